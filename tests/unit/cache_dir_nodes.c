/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/dir.c, cache/tree/tree.c: what nobody uses keeps its id for a while, and not without end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/tree/image.h"
#include "cache/tree/version.h"
#include "cache_dir_volume.h"

/* The kernel forgets what it likes, and looks up a few names again and again. */
Test(cache_dir, c3_an_unchanged_file_that_nobody_uses_for_a_while_keeps_its_id)
{
	uint64_t kernel_id, below_id, config_id;

	start_volume(DEVICE_EVENTS);
	kernel_id = id_of("kernel8-long-name.img");
	below_id = id_of("overlays/a.dtb");
	config_id = id_of("config.txt");
	for (int i = 0; i < 5000; i++) {
		cr_assert_eq(id_of("config.txt"), config_id, "at look %d", i);
		cr_assert_eq(error_of("absent.txt"), -ENOENT);
	}
	cr_expect_eq(id_of("kernel8-long-name.img"), kernel_id);
	cr_expect_eq(id_of("overlays/a.dtb"), below_id);
	end_volume();
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
	end_volume();
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
	end_volume();
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
	end_volume();
}

Test(cache_dir, s1_nodes_that_nobody_uses_do_not_grow_without_end)
{
	struct file touched = config;
	uint64_t last = 0;

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}
