/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/dir.c: names, ids and listings of a directory that changes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/tree/image.h"
#include "cache/tree/version.h"
#include "cache_reader.h"
#include "cache_volume.h"

static const struct file config = { "CONFIG  TXT", NULL, 0, { 2 }, 1000, 1, 100 };
static const struct file kernel = { "KERNEL  IMG", "kernel8-long-name.img", 1, { 3, 4 }, 5000, 2, 200 };
static const struct file other = { "OTHER   TXT", NULL, 5, { 5 }, 10, 3, 300 };

static struct small_volume volume;
static struct memory_device memory;
static struct reader reader;

static void start(enum device_kind kind)
{
	volume = small_volume_new(4096);
	small_volume_put(&volume, &config);
	small_volume_put(&volume, &kernel);
	small_volume_put_directory(&volume, 4, "OVERLAYS   ", 9);
	small_volume_put_in(&volume, 9, &(struct file){ "A       DTB", NULL, 2, { 10 }, 300, 7, 0 });
	memory_device_init(&memory, kind, volume.bytes, volume.size_bytes);
	reader_init(&reader, &memory);
}

static void end(void)
{
	reader_end(&reader);
	cr_expect_eq(memory.closes, 1);
	small_volume_free(&volume);
}

static uint64_t id_of(const char *path)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, path, &node), 0, "%s is not found", path);
	node_put_any(&node);
	return node.attributes.id;
}

static int error_of(const char *path)
{
	struct cache_node node;
	int error = reader_walk(&reader, path, &node);

	if (error == 0)
		node_put_any(&node);
	return error;
}

/* The writer has changed bytes: tell of it. */
static void changed(void)
{
	memory_device_write(&memory, 0, volume.bytes, 1);
}

static void settle(void)
{
	memory.now_ns += 10 * SECOND;
}

Test(cache_dir, c4_lookup_of_an_unchanged_file_reads_nothing)
{
	uint64_t id;

	start(DEVICE_EVENTS);
	id = id_of("kernel8-long-name.img");
	memory_device_reset_counts(&memory);
	cr_expect_eq(id_of("kernel8-long-name.img"), id);
	cr_expect_eq(id_of("KERNEL8-LONG-NAME.IMG"), id);
	cr_expect_eq(id_of("kernel.img"), id);
	cr_expect_eq(memory_device_reads(&memory), 0);
	end();
}

Test(cache_dir, c4_nothing_is_read_while_nothing_changes)
{
	start(DEVICE_EVENTS);
	id_of("overlays/a.dtb");
	error_of("absent");
	memory_device_reset_counts(&memory);
	id_of("overlays/a.dtb");
	cr_expect_eq(error_of("absent"), -ENOENT);
	cr_expect_eq(memory_device_reads(&memory), 0);
	cr_expect_eq(reader.blocked, 0);
	end();
}

Test(cache_dir, c4_a_change_elsewhere_compares_but_keeps_ids_and_waits_for_nobody)
{
	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		uint64_t file, directory, inside;

		start(kind);
		file = id_of("config.txt");
		directory = id_of("overlays");
		inside = id_of("overlays/a.dtb");
		small_volume_put(&volume, &other);
		changed();
		cr_expect_eq(id_of("config.txt"), file);
		cr_expect_eq(reader.waited_ns, 0);
		cr_expect_eq(id_of("overlays"), directory);
		cr_expect_eq(id_of("overlays/a.dtb"), inside);
		end();
	}
}

Test(cache_dir, c3_another_entry_is_another_id)
{
	struct file touched = config;
	uint64_t id;

	start(DEVICE_EVENTS);
	id = id_of("config.txt");
	touched.time++;
	small_volume_put(&volume, &touched);
	changed();
	cr_expect_neq(id_of("config.txt"), id);
	end();
}

Test(cache_dir, c1_a_new_name_shows_when_it_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	struct cache_node node;

	start(DEVICE_EVENTS);
	cr_expect_eq(error_of("other.txt"), -ENOENT);
	cr_assert_eq(reader_root(&reader, CACHE_PARTITION_BOOT, &root), 0);
	small_volume_put(&volume, &other);
	changed();
	cr_expect_eq(cache_dir_lookup(root, &op, "other.txt", &node), -EINPROGRESS);
	cr_expect_gt(op.retry_ns, 150 * MS);
	cr_expect_leq(op.retry_ns, 200 * MS);
	memory.now_ns += op.retry_ns;
	cr_assert_eq(cache_dir_lookup(root, &op, "other.txt", &node), 0);
	cr_expect_eq(node.attributes.size_bytes, 10);
	node_put_any(&node);
	cache_dir_put(root);
	end();
}

Test(cache_dir, c6_a_name_that_went_is_only_absent_when_that_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	struct cache_node node;
	uint64_t id;

	start(DEVICE_EVENTS);
	id_of("config.txt");
	settle();
	id = id_of("config.txt");
	cr_assert_eq(reader_root(&reader, CACHE_PARTITION_BOOT, &root), 0);
	small_volume_remove(&volume, &config);
	changed();
	cr_expect_eq(cache_dir_lookup(root, &op, "config.txt", &node), -EINPROGRESS);
	small_volume_put(&volume, &config);
	changed();
	cr_expect_neq(id_of("config.txt"), id);
	small_volume_remove(&volume, &config);
	changed();
	cr_expect_eq(error_of("config.txt"), -ENOENT);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	cr_expect_lt(reader.waited_ns, 235 * MS);
	cache_dir_put(root);
	end();
}

Test(cache_dir, c1_a_listing_is_of_one_moment_that_lasted)
{
	struct cache_listing listing;
	struct cache_dir *root;

	start(DEVICE_TIMES);
	cr_assert_eq(reader_root(&reader, CACHE_PARTITION_BOOT, &root), 0);
	cr_assert_eq(reader_list(&reader, root, &listing), 0);
	cr_expect_eq(reader.waited_ns, 0);
	cr_assert_eq(listing.count, 3);
	cr_expect_str_eq(listing.entries[1].name, "kernel8-long-name.img");
	cr_expect(listing.entries[2].is_directory);
	cache_listing_free(&listing);
	small_volume_put(&volume, &other);
	changed();
	cr_assert_eq(reader_list(&reader, root, &listing), 0);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	cr_expect_eq(listing.count, 4);
	cache_listing_free(&listing);
	cache_dir_put(root);
	end();
}

Test(cache_dir, c8_a_directory_that_went_is_stale_and_its_users_keep_it)
{
	struct cache_node directory, inside, node;
	struct cache_attributes attributes;

	start(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	cr_assert_eq(reader_walk(&reader, "overlays/a.dtb", &inside), 0);
	fat_image_root(volume.fat)[4 * 32] = 0xE5;
	changed();
	settle();
	cr_expect_eq(reader_lookup(&reader, directory.dir, "a.dtb", &node), -ESTALE);
	cr_expect_eq(reader_stat(&reader, directory.dir, &attributes), -ESTALE);
	cr_expect_eq(reader_open(&reader, inside.version), -ESTALE);
	cr_expect_eq(error_of("overlays"), -ENOENT);
	node_put_any(&directory);
	node_put_any(&inside);
	end();
}

Test(cache_dir, c1_stat_of_a_directory_shows_its_new_times)
{
	struct cache_attributes before, after;
	struct cache_node directory;

	start(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	cr_assert_eq(reader_stat(&reader, directory.dir, &before), 0);
	fat_image_root(volume.fat)[4 * 32 + 22] = 77;
	changed();
	cr_assert_eq(reader_stat(&reader, directory.dir, &after), 0);
	cr_expect_eq(after.id, before.id);
	cr_expect_gt(after.times.modified.tv_sec, before.times.modified.tv_sec);
	cr_expect_gt(after.size_bytes, 0);
	node_put_any(&directory);
	end();
}

Test(cache_dir, s1_a_directory_that_contains_itself_is_an_error)
{
	start(DEVICE_EVENTS);
	fat_image_entry(fat_image_cluster(volume.fat, 9) + 3 * 32, "LOOP       ", 0x10, 9, 0);
	fat_image_entry(fat_image_cluster(volume.fat, 9) + 4 * 32, "ROOT       ", 0x10, 0, 0);
	cr_expect_eq(error_of("overlays/loop"), -EIO);
	cr_expect_eq(error_of("overlays/root"), -EIO);
	cr_expect_eq(error_of("overlays/a.dtb"), 0);
	end();
}

Test(cache_dir, c6_a_directory_that_contradicts_itself_is_waited_for_then_an_error_then_itself_again)
{
	uint64_t id;

	start(DEVICE_EVENTS);
	id = id_of("overlays/a.dtb");
	settle();
	fat_image_link(volume.fat, 9, 0);
	changed();
	cr_expect_eq(error_of("overlays/a.dtb"), -EIO);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	cr_expect_eq(error_of("config.txt"), 0);
	fat_image_chain(volume.fat, &(uint32_t){ 9 }, 1);
	changed();
	cr_expect_eq(id_of("overlays/a.dtb"), id);
	end();
}

Test(cache_dir, e_a_device_that_fails_is_an_error_only_as_long_as_it_fails)
{
	start(DEVICE_EVENTS);
	memory.fail_blocks = -EIO;
	cr_expect_eq(error_of("config.txt"), -EIO);
	memory.fail_blocks = 0;
	cr_expect_eq(error_of("config.txt"), 0);
	memory.fail_blocks = -EIO;
	cr_expect_eq(error_of("overlays/a.dtb"), -EIO);
	memory.fail_observe = -EIO;
	cr_expect_eq(error_of("config.txt"), -EIO);
	memory.fail_observe = memory.fail_blocks = 0;
	cr_expect_eq(error_of("overlays/a.dtb"), 0);
	end();
}

/* A request asks with several calls, and goes on after the first one failed. */
Test(cache_dir, c1_an_observation_that_failed_is_none)
{
	struct cache_op op = { .may_block = true, .came_ns = 100 };
	struct cache_dir *root = NULL;

	start(DEVICE_NOTHING);
	cr_expect_eq(error_of("config.txt"), 0);
	memory.fail_observe = -EIO;
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), -EIO);
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), -EIO);
	memory.fail_observe = 0;
	end();
}

/* How long it takes to find it. */
static int64_t time_to_find(const char *path)
{
	int64_t start_ns = memory.now_ns;

	id_of(path);
	return memory.now_ns - start_ns;
}

Test(cache_dir, c7_without_any_sign_what_is_seen_for_the_first_time_has_to_last)
{
	start(DEVICE_NOTHING);
	settle();
	cr_expect_lt(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_lt(time_to_find("OVERLAYS/A.DTB"), cache_settings_default.settle_ns);
	end();

	start(DEVICE_NOTHING);
	memory.signless = true;
	settle();
	cr_expect_geq(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_lt(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_geq(time_to_find("OVERLAYS/A.DTB"), cache_settings_default.settle_ns);
	end();
}

Test(cache_dir, c7_without_any_sign_a_difference_anywhere_is_one)
{
	uint64_t generation;

	start(DEVICE_NOTHING);
	memory.signless = true;
	settle();
	id_of("CONFIG.TXT");
	settle();
	id_of("CONFIG.TXT");
	cr_expect_gt(reader.image->seen.quiet_ns, SECOND);
	generation = reader.image->seen.generation;
	small_volume_put(&volume, &other);
	id_of("CONFIG.TXT");
	cr_expect_gt(reader.image->seen.generation, generation);
	cr_expect_lt(reader.image->seen.quiet_ns, SECOND);
	end();
}

/* One look is for all who came before it, and for nobody who came later. */
Test(cache_dir, c6_a_look_is_for_all_who_came_before_it)
{
	struct cache_op first = { .may_block = true, .came_ns = 100 }, waited = { .may_block = true, .came_ns = 150 };
	struct cache_op later = { .may_block = true, .came_ns = 250 }, any = { .may_block = true };
	struct cache_dir *root = NULL;

	start(DEVICE_NOTHING);
	memory.looked_ns = 200;
	cr_expect_eq(cache_image_root(reader.image, &first, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	memory_device_reset_counts(&memory);
	cr_expect_eq(cache_image_root(reader.image, &waited, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	cr_expect_eq(memory.observations, 0);
	cr_expect_eq(memory_device_reads(&memory), 0);
	memory.looked_ns = 300;
	cr_expect_eq(cache_image_root(reader.image, &later, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	cr_expect_gt(memory.observations, 0);
	cr_expect_gt(memory_device_reads(&memory), 0);
	memory_device_reset_counts(&memory);
	cr_expect_eq(cache_image_root(reader.image, &any, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	cr_expect_gt(memory.observations, 0);
	end();
	start(DEVICE_EVENTS);
	memory.looked_ns = 200;
	cr_expect_eq(cache_image_root(reader.image, &first, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	memory_device_reset_counts(&memory);
	cr_expect_eq(cache_image_root(reader.image, &waited, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	cr_expect_eq(memory.observations, 0);
	cr_expect_eq(cache_image_root(reader.image, &later, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	cr_expect_gt(memory.observations, 0);
	end();
}

Test(cache_dir, c6_what_is_not_at_hand_is_asked_for_again_where_it_may_block)
{
	start(DEVICE_EVENTS);
	memory.not_at_hand = true;
	cr_expect_eq(error_of("overlays/a.dtb"), 0);
	cr_expect_eq(reader.blocked, 3); /* root, overlays, a.dtb */
	end();
}

/* The root is looked at, then a directory is read for the first time while its clusters become another's. */
static void reuse_clusters(struct memory_device *self)
{
	self->turn = NULL;
	fat_image_root(volume.fat)[4 * 32] = 0xE5;
	fat_image_entry(fat_image_root(volume.fat) + 5 * 32, "FOREIGN    ", 0x10, 9, 0);
	memcpy(fat_image_cluster(volume.fat, 9) + 2 * 32, "B       ", 8);
	changed();
}

static void reuse_at_first_block_of_the_directory(struct memory_device *self)
{
	if (self->block_reads == 1)
		reuse_clusters(self);
}

Test(cache_dir, c1_what_leads_to_a_directory_is_looked_at_after_it)
{
	struct cache_node directory, node;

	start(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	memory_device_reset_counts(&memory);
	memory.turn = reuse_at_first_block_of_the_directory;
	cr_expect_eq(reader_lookup(&reader, directory.dir, "b.dtb", &node), -ESTALE);
	node_put_any(&directory);
	end();
}

/* A directory of two clusters; between the reads of both an entry moves from the second to the first. */
static void move_entry_between_clusters(struct memory_device *self)
{
	if (self->block_reads < 3)
		return;
	self->turn = NULL;
	memcpy(fat_image_cluster(volume.fat, 9) + 3 * 32, fat_image_cluster(volume.fat, 12), 32);
	fat_image_cluster(volume.fat, 12)[0] = 0xE5;
	changed();
}

Test(cache_dir, c6_a_name_that_moves_during_a_look_is_not_missed)
{
	struct cache_node directory, node;

	start(DEVICE_EVENTS);
	fat_image_chain(volume.fat, (uint32_t[]){ 9, 12 }, 2);
	memset(fat_image_cluster(volume.fat, 9) + 3 * 32, 0xE5, 4096 - 3 * 32);
	fat_image_entry(fat_image_cluster(volume.fat, 12), "B       DTB", 0x20, 10, 300);
	cr_assert_eq(reader_walk(&reader, "", &directory), 0);
	cr_assert_eq(reader_lookup(&reader, directory.dir, "overlays", &node), 0);
	memory_device_reset_counts(&memory);
	memory.turn = move_entry_between_clusters;
	node_put_any(&directory);
	directory = node;
	cr_assert_eq(reader_lookup(&reader, directory.dir, "b.dtb", &node), 0);
	cr_expect_null(memory.turn, "nothing moved");
	node_put_any(&node);
	node_put_any(&directory);
	end();
}

/* The kernel forgets what it likes, and looks up a few names again and again. */
Test(cache_dir, c3_an_unchanged_file_that_nobody_uses_for_a_while_keeps_its_id)
{
	uint64_t kernel_id, below_id, config_id;

	start(DEVICE_EVENTS);
	kernel_id = id_of("kernel8-long-name.img");
	below_id = id_of("overlays/a.dtb");
	config_id = id_of("config.txt");
	for (int i = 0; i < 5000; i++) {
		cr_assert_eq(id_of("config.txt"), config_id, "at look %d", i);
		cr_assert_eq(error_of("absent.txt"), -ENOENT);
	}
	cr_expect_eq(id_of("kernel8-long-name.img"), kernel_id);
	cr_expect_eq(id_of("overlays/a.dtb"), below_id);
	end();
}

#define MANY 2040 /* empty files, in a directory of one cluster */

static void name_of_many(unsigned i, char *short_name, char *path)
{
	char name[16];

	snprintf(name, sizeof(name), "F%07u   ", i);
	memcpy(short_name, name, 12);
	snprintf(path, 32, "overlays/f%07u", i);
}

/* A directory of MANY beside two files. */
static void start_many(void)
{
	char short_name[12], path[32];

	volume = small_volume_new(65536);
	small_volume_put(&volume, &config);
	small_volume_put(&volume, &kernel);
	small_volume_put_directory(&volume, 4, "OVERLAYS   ", 9);
	for (unsigned i = 0; i < MANY; i++) {
		name_of_many(i, short_name, path);
		small_volume_put_in(&volume, 9, &(struct file){ .short_name = short_name, .slot = 2 + i });
	}
	memory_device_init(&memory, DEVICE_EVENTS, volume.bytes, volume.size_bytes);
	reader_init(&reader, &memory);
}

static void look_up_many(unsigned from, unsigned to)
{
	char short_name[12], path[32];

	for (unsigned i = from; i < to; i++) {
		name_of_many(i, short_name, path);
		id_of(path);
	}
}

static uint64_t memory_bytes(void)
{
	struct cache_use use;

	cache_use(reader.cache, &use);
	return use.memory_bytes;
}

Test(cache_dir, s1_only_so_many_nodes_that_nobody_uses_are_kept)
{
	uint64_t before_bytes;

	start_many();
	look_up_many(0, 1);
	before_bytes = memory_bytes();
	look_up_many(1, 512);
	cr_expect_gt(memory_bytes() - before_bytes, 500 * sizeof(struct cache_version), "they are not kept at all");
	look_up_many(512, MANY);
	cr_expect_lt(memory_bytes() - before_bytes, 1500 * sizeof(struct cache_version), "all are kept for ever");
	end();
}

/* The kernel names it by that number: with another one it would ask twice. */
Test(cache_dir, c3_what_was_only_looked_up_keeps_its_id_when_its_node_went)
{
	struct file first = { .short_name = "F0000000   ", .slot = 2 };
	uint64_t first_id, config_id;
	struct cache_node held, directory;

	start_many();
	cr_assert_eq(reader_walk(&reader, "config.txt", &held), 0);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	config_id = held.attributes.id;
	first_id = id_of("overlays/f0000000");
	look_up_many(1, MANY);
	cr_expect_eq(id_of("overlays/f0000000"), first_id);
	cr_expect_eq(id_of("config.txt"), config_id, "it is in use");
	look_up_many(1, MANY);
	first.time = 5;
	small_volume_put_in(&volume, 9, &first);
	changed();
	settle();
	cr_expect_neq(id_of("overlays/f0000000"), first_id, "another entry has the number of the one before");
	node_put_any(&held);
	node_put_any(&directory);
	end();
}

/* What was handed out of it is known no more: the next one must not be taken for it. */
Test(cache_dir, c3_what_was_read_gets_another_id_when_its_node_went)
{
	struct cache_attributes attributes;
	unsigned char *content;
	uint64_t kernel_id;

	start_many();
	kernel_id = id_of("kernel8-long-name.img");
	cr_assert_eq(reader_fetch(&reader, "kernel8-long-name.img", 4096, &content, &attributes), 0);
	free(content);
	cr_expect_eq(attributes.id, kernel_id);
	look_up_many(0, MANY);
	cr_expect_neq(id_of("kernel8-long-name.img"), kernel_id);
	end();
}

Test(cache_dir, s1_nodes_that_nobody_uses_do_not_grow_without_end)
{
	struct file touched = config;
	uint64_t last = 0;

	start(DEVICE_EVENTS);
	for (int round = 0; round < 5000; round++) {
		uint64_t id;

		touched.time = (uint16_t)round;
		small_volume_put(&volume, &touched);
		changed();
		settle();
		id = id_of("config.txt");
		cr_assert_gt(id, last);
		last = id;
	}
	end();
}
