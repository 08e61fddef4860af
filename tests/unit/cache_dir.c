/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/dir.c: names, ids and listings of a directory that changes. */
#include <criterion/criterion.h>
#include <errno.h>

#include "cache/tree/image.h"
#include "cache/tree/version.h"
#include "cache_dir_volume.h"

Test(cache_dir, c4_lookup_of_an_unchanged_file_reads_nothing)
{
	uint64_t id;

	start_volume(DEVICE_EVENTS);
	id = id_of("kernel8-long-name.img");
	memory_device_reset_counts(&memory);
	cr_expect_eq(id_of("kernel8-long-name.img"), id);
	cr_expect_eq(id_of("KERNEL8-LONG-NAME.IMG"), id);
	cr_expect_eq(id_of("kernel.img"), id);
	cr_expect_eq(memory_device_reads(&memory), 0);
	end_volume();
}

Test(cache_dir, c4_nothing_is_read_while_nothing_changes)
{
	start_volume(DEVICE_EVENTS);
	id_of("overlays/a.dtb");
	error_of("absent");
	memory_device_reset_counts(&memory);
	id_of("overlays/a.dtb");
	cr_expect_eq(error_of("absent"), -ENOENT);
	cr_expect_eq(memory_device_reads(&memory), 0);
	cr_expect_eq(reader.blocked, 0);
	end_volume();
}

Test(cache_dir, c4_a_change_elsewhere_compares_but_keeps_ids_and_waits_for_nobody)
{
	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		uint64_t file, directory, inside;

		start_volume(kind);
		file = id_of("config.txt");
		directory = id_of("overlays");
		inside = id_of("overlays/a.dtb");
		small_volume_put(&volume, &other);
		changed();
		cr_expect_eq(id_of("config.txt"), file);
		cr_expect_eq(reader.waited_ns, 0);
		cr_expect_eq(id_of("overlays"), directory);
		cr_expect_eq(id_of("overlays/a.dtb"), inside);
		end_volume();
	}
}

Test(cache_dir, c3_another_entry_is_another_id)
{
	struct file touched = config;
	uint64_t id;

	start_volume(DEVICE_EVENTS);
	id = id_of("config.txt");
	touched.time++;
	small_volume_put(&volume, &touched);
	changed();
	cr_expect_neq(id_of("config.txt"), id);
	end_volume();
}

Test(cache_dir, c1_a_new_name_shows_when_it_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	struct cache_node node;

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

Test(cache_dir, c6_a_name_that_went_is_only_absent_when_that_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	struct cache_node node;
	uint64_t id;

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

Test(cache_dir, c1_a_listing_is_of_one_moment_that_lasted)
{
	struct cache_listing listing;
	struct cache_dir *root;

	start_volume(DEVICE_TIMES);
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
	end_volume();
}

Test(cache_dir, c8_a_directory_that_went_is_stale_and_its_users_keep_it)
{
	struct cache_node directory, inside, node;
	struct cache_attributes attributes;

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

Test(cache_dir, c1_stat_of_a_directory_shows_its_new_times)
{
	struct cache_attributes before, after;
	struct cache_node directory;

	start_volume(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	cr_assert_eq(reader_stat(&reader, directory.dir, &before), 0);
	fat_image_root(volume.fat)[4 * 32 + 22] = 77;
	changed();
	cr_assert_eq(reader_stat(&reader, directory.dir, &after), 0);
	cr_expect_eq(after.id, before.id);
	cr_expect_gt(after.times.modified.tv_sec, before.times.modified.tv_sec);
	cr_expect_gt(after.size_bytes, 0);
	node_put_any(&directory);
	end_volume();
}

Test(cache_dir, s1_a_directory_that_contains_itself_is_an_error)
{
	start_volume(DEVICE_EVENTS);
	fat_image_entry(fat_image_cluster(volume.fat, 9) + 3 * 32, "LOOP       ", 0x10, 9, 0);
	fat_image_entry(fat_image_cluster(volume.fat, 9) + 4 * 32, "ROOT       ", 0x10, 0, 0);
	cr_expect_eq(error_of("overlays/loop"), -EIO);
	cr_expect_eq(error_of("overlays/root"), -EIO);
	cr_expect_eq(error_of("overlays/a.dtb"), 0);
	end_volume();
}

Test(cache_dir, c6_a_directory_that_contradicts_itself_is_waited_for_then_an_error_then_itself_again)
{
	uint64_t id;

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

Test(cache_dir, e_a_device_that_fails_is_an_error_only_as_long_as_it_fails)
{
	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

/* A request asks with several calls, and goes on after the first one failed. */
Test(cache_dir, c1_an_observation_that_failed_is_none)
{
	struct cache_op op = { .may_block = true, .came_ns = 100 };
	struct cache_dir *root = NULL;

	start_volume(DEVICE_NOTHING);
	cr_expect_eq(error_of("config.txt"), 0);
	memory.fail_observe = -EIO;
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), -EIO);
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), -EIO);
	memory.fail_observe = 0;
	end_volume();
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
	start_volume(DEVICE_NOTHING);
	settle();
	cr_expect_lt(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_lt(time_to_find("OVERLAYS/A.DTB"), cache_settings_default.settle_ns);
	end_volume();

	start_volume(DEVICE_NOTHING);
	memory.signless = true;
	settle();
	cr_expect_geq(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_lt(time_to_find("CONFIG.TXT"), cache_settings_default.settle_ns);
	cr_expect_geq(time_to_find("OVERLAYS/A.DTB"), cache_settings_default.settle_ns);
	end_volume();
}

Test(cache_dir, c7_without_any_sign_a_difference_anywhere_is_one)
{
	uint64_t generation;

	start_volume(DEVICE_NOTHING);
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
	end_volume();
}

/* One look is for all who came before it, and for nobody who came later. */
Test(cache_dir, c6_a_look_is_for_all_who_came_before_it)
{
	struct cache_op first = { .may_block = true, .came_ns = 100 }, waited = { .may_block = true, .came_ns = 150 };
	struct cache_op later = { .may_block = true, .came_ns = 250 }, any = { .may_block = true };
	struct cache_dir *root = NULL;

	start_volume(DEVICE_NOTHING);
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
	end_volume();
	start_volume(DEVICE_EVENTS);
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
	end_volume();
}

Test(cache_dir, c6_what_is_not_at_hand_is_asked_for_again_where_it_may_block)
{
	start_volume(DEVICE_EVENTS);
	memory.not_at_hand = true;
	cr_expect_eq(error_of("overlays/a.dtb"), 0);
	cr_expect_eq(reader.blocked, 3); /* root, overlays, a.dtb */
	end_volume();
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

	start_volume(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "overlays", &directory), 0);
	memory_device_reset_counts(&memory);
	memory.turn = reuse_at_first_block_of_the_directory;
	cr_expect_eq(reader_lookup(&reader, directory.dir, "b.dtb", &node), -ESTALE);
	node_put_any(&directory);
	end_volume();
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

	start_volume(DEVICE_EVENTS);
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
	end_volume();
}
