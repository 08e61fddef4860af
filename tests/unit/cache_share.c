/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image's share of memory (base/share.h, cache/tree/dir.c): what is held, let go and refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/share.h"
#include "cache_reader.h"
#include "cache_volume.h"

/* Each of the directories is one cluster, of this many files beside "." and "..". */
#define DIRECTORIES 10
#define FILES 120

#define SHARE_BYTES ((uint64_t)96 << 10)

static struct small_volume volume;
static struct memory_device memory;
static struct reader reader;

static void start(uint64_t image_bytes, uint64_t all_bytes)
{
	static const struct file kernel = { "KERNEL  IMG", NULL, 0, { 13, 14, 15, 16 }, 16000, 1, 0 };
	struct cache_settings settings = cache_settings_default;
	char name[12];

	volume = small_volume_new(4096);
	small_volume_put(&volume, &kernel);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++) {
		snprintf(name, sizeof(name), "D%-10u", dir);
		small_volume_put_directory(&volume, 1 + dir, name, 2 + dir);
		for (unsigned i = 0; i < FILES; i++) {
			snprintf(name, sizeof(name), "F%-10u", i);
			small_volume_put_in(&volume, 2 + dir, &(struct file){ name, NULL, 2 + i, { 0 }, 0, 2, 0 });
		}
	}
	memory_device_init(&memory, DEVICE_EVENTS, volume.bytes, volume.size_bytes);
	settings.image_memory_bytes = image_bytes;
	settings.all_memory_bytes = all_bytes;
	reader_init_device(&reader, &settings, &memory.device);
	reader.memory = &memory;
}

static void end(void)
{
	reader_end(&reader);
	small_volume_free(&volume);
}

static uint64_t used(void)
{
	struct cache_use use;

	cache_image_use(reader.image, &use);
	return use.memory_bytes;
}

static struct cache_node look_up(const char *path)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, path, &node), 0, "%s is not found", path);
	return node;
}

static struct cache_node look_up_in(unsigned dir, unsigned file)
{
	char path[32];

	snprintf(path, sizeof(path), "d%u/f%u", dir, file);
	return look_up(path);
}

Test(share, s5_a_share_refuses_and_so_does_the_whole)
{
	struct share whole = { .limit_bytes = 10 }, part = { .limit_bytes = 7, .whole = &whole };
	struct share other = { .limit_bytes = 7, .whole = &whole };

	cr_expect(share_take(&part, 7));
	cr_expect_not(share_take(&part, 1));
	cr_expect_not(share_take(&other, 4));
	cr_expect_eq(share_used(&other), 0);
	cr_expect(share_take(&other, 3));
	share_give(&part, 7);
	cr_expect(share_take(&other, 4));
	share_count(&other, 7, 20);
	cr_expect_eq(share_used(&other), 20);
	cr_expect_eq(share_used(&whole), 20);
	cr_expect_not(share_take(&part, 1));
	cr_expect_not(share_take(&part, UINT64_MAX));
}

Test(share, s5_the_least_part_is_not_refused_for_what_others_hold)
{
	struct share whole = { .limit_bytes = 100 };
	struct share greedy = { .limit_bytes = 100, .whole = &whole }, modest = { .limit_bytes = 80, .whole = &whole };

	cr_expect(share_take(&greedy, 100));
	cr_expect_not(share_has_room(&greedy, 1));
	cr_expect(share_has_room(&modest, 10));
	cr_expect(share_take(&modest, 10));
	cr_expect_eq(share_used(&whole), 110);
	cr_expect_not(share_has_room(&modest, 1));
	cr_expect_not(share_take(&modest, 1));
	share_give(&greedy, 100);
	cr_expect(share_has_room(&modest, 70));
	cr_expect_not(share_has_room(&modest, 71));
	cr_expect(share_take(&modest, 70));
	cr_expect_eq(share_used(&whole), 80);
}

/* The kernel remembers a file of each directory: they keep their numbers, though little is held of the rest. */
Test(cache_share, s5_directories_that_are_remembered_take_a_share_at_most)
{
	struct cache_node held[DIRECTORIES], again;
	struct cache_listing listing;

	start(SHARE_BYTES, UINT64_MAX);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++) {
		held[dir] = look_up_in(dir, dir);
		cr_expect_leq(used(), SHARE_BYTES / 2);
	}
	cr_expect_gt(used(), 0);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++) {
		again = look_up_in(dir, dir);
		cr_expect_eq(again.attributes.id, held[dir].attributes.id, "an unchanged file has another number");
		node_put_any(&again);
		/* The rest is found, too, and what is not there is not. */
		again = look_up_in(dir, 77);
		node_put_any(&again);
		cr_expect_eq(reader_walk(&reader, "d3/none", &again), -ENOENT);
		cr_expect_leq(used(), SHARE_BYTES / 2);
	}
	again = look_up("d5");
	cr_expect_eq(reader_list(&reader, again.dir, &listing), 0);
	cr_expect_eq(listing.count, FILES);
	cache_listing_free(&listing);
	node_put_any(&again);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		node_put_any(&held[dir]);
	end();
}

/* What was let go is as old as it was: an image that is being written keeps nobody waiting for it. */
Test(cache_share, s5_what_is_read_again_and_the_same_is_no_new_content)
{
	struct cache_node held[DIRECTORIES], again;

	start(SHARE_BYTES, UINT64_MAX);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		held[dir] = look_up_in(dir, 0);
	/* As long as content must last on an image that is never quiet, and then a write elsewhere. */
	memory_device_pass(&memory, 5 * SECOND);
	memory_device_write(&memory, small_volume_offset(&volume, 20), volume.bytes, 1);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++) {
		again = look_up_in(dir, 1);
		cr_expect_eq(reader.waited_ns, 0, "directory %u: waited %lld ms", dir, (long long)(reader.waited_ns / MS));
		node_put_any(&again);
		node_put_any(&held[dir]);
	}
	end();
}

Test(cache_share, c1_a_change_is_seen_in_a_directory_of_which_little_is_held)
{
	static const struct file added = { "NEW        ", NULL, 2 + FILES, { 0 }, 0, 3, 0 };
	static const struct file changed = { "F0         ", NULL, 2, { 17 }, 100, 4, 0 };
	struct cache_node held[DIRECTORIES], again;

	start(SHARE_BYTES, UINT64_MAX);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		held[dir] = look_up_in(dir, 0);
	small_volume_put_in(&volume, 2, &added);
	small_volume_put_in(&volume, 3, &changed);
	memory_device_write(&memory, 0, volume.bytes, 1);
	memory_device_pass(&memory, SECOND);
	again = look_up("d0/new");
	node_put_any(&again);
	again = look_up("d0/f0");
	cr_expect_eq(again.attributes.id, held[0].attributes.id);
	node_put_any(&again);
	again = look_up("d1/f0");
	cr_expect_neq(again.attributes.id, held[1].attributes.id);
	cr_expect_eq(again.attributes.size_bytes, 100);
	node_put_any(&again);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		node_put_any(&held[dir]);
	end();
}

/* So much as is in use is refused to nobody but the image itself; what is not in use any more is free again. */
Test(cache_share, s5_past_the_share_it_is_refused)
{
	struct cache_node node, held[FILES];
	unsigned count = 0;
	int error = 0;

	start(24 << 10, UINT64_MAX);
	node = look_up("kernel.img");
	for (unsigned i = 0; i < FILES && error == 0; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d0/f%u", i);
		error = reader_walk(&reader, path, &held[count]);
		count += error == 0;
	}
	cr_expect_eq(error, -EDQUOT, "%d", error);
	cr_expect_gt(count, 1);
	cr_expect_leq(used(), 24 << 10);
	while (count > 0)
		node_put_any(&held[--count]);
	held[0] = look_up("d0/f100");
	node_put_any(&held[0]);
	node_put_any(&node);
	end();
}

/* All together hold too much: each lets go of what it can, and none is refused a small part. */
Test(cache_share, s5_in_all_each_lets_go_and_has_a_small_part)
{
	struct cache_node held[3];
	uint64_t alone, least = (8 << 20) / 8;

	start(8 << 20, 100 << 10);
	for (unsigned dir = 0; dir < 3; dir++)
		held[dir] = look_up_in(dir, 0);
	alone = used();
	cr_expect_lt(alone, least);
	/* The others hold it. */
	share_count(cache_memory(reader.cache), 0, 1 << 20);
	node_put_any(&held[0]);
	held[0] = look_up_in(9, 9);
	share_count(cache_memory(reader.cache), 1 << 20, 0);
	for (unsigned dir = 0; dir < 3; dir++)
		node_put_any(&held[dir]);
	end();

	start(SHARE_BYTES, 100 << 10);
	for (unsigned dir = 0; dir < 3; dir++)
		held[dir] = look_up_in(dir, 0);
	alone = used();
	cr_expect_gt(alone, SHARE_BYTES / 4);
	share_count(cache_memory(reader.cache), 0, 1 << 20);
	cache_image_relieve(reader.image);
	cr_expect_lt(used(), alone / 2);
	share_count(cache_memory(reader.cache), 1 << 20, 0);
	for (unsigned dir = 0; dir < 3; dir++)
		node_put_any(&held[dir]);
	end();
}

/* A file that nobody has open is forgotten when its image is crowded; one that is open goes on as it was. */
Test(cache_share, s5_an_open_file_is_not_let_go)
{
	struct cache_node node, held[DIRECTORIES];
	unsigned char bytes[16000];

	start(SHARE_BYTES, UINT64_MAX);
	node = look_up("kernel.img");
	cr_assert_eq(reader_open(&reader, node.version), 0);
	cr_expect_eq(reader_read(&reader, node.version, 0, 4096, bytes), 4096);
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		held[dir] = look_up_in(dir, 0);
	cr_expect_eq(reader_read(&reader, node.version, 0, sizeof(bytes), bytes), sizeof(bytes));
	cr_expect(content_is(bytes, 1, 0, sizeof(bytes)));
	for (unsigned dir = 0; dir < DIRECTORIES; dir++)
		node_put_any(&held[dir]);
	cache_version_close(node.version);
	cache_version_put(node.version);
	end();
}
