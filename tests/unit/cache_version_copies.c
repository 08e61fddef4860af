/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/copy.c, read.c: versions that are copied, or too large for that, and what is kept of them. */
#include <criterion/criterion.h>
#include <errno.h>

#include "cache_version_files.h"

Test(cache_version, c2_a_copied_version_is_read_to_its_end)
{
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(150000, 0);
	overwrite(2);
	small_volume_remove(&volume, &small);
	settle();
	cr_expect_eq(read_at(&node, 1, PIECE, 140000), 0);
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	close_file(&node);
	end_files();
}

/* Its first read is all of it: then nothing is kept, but all is known. */
Test(cache_version, c2_a_superseded_version_is_read_as_long_as_its_clusters_hold_it)
{
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, 150000), 0);
	small_volume_remove(&volume, &small);
	memory_device_write(&memory, 0, volume.bytes, 1);
	settle();
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	overwrite_cluster(0, 5);
	cr_expect_eq(read_at(&node, 1, 0, PIECE), -ESTALE);
	cr_expect_eq(read_at(&node, 1, 65536, PIECE), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, s5_a_large_file_is_never_copied_and_read_all_the_same)
{
	struct cache_node node;

	start_files_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(0, 0);
	cr_expect_eq(read_at(&node, 1, 140000, PIECE), 0);
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c2_a_large_file_that_was_overwritten_ends)
{
	struct cache_node node;

	start_files_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	overwrite(2);
	settle();
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	close_file(&node);
	expect_fetch("small.bin", 2, 150000);
	end_files();
}

/* Nobody has seen the second chunk; the first is known. Half an update is no version. */
Test(cache_version, e_without_room_for_a_copy_files_are_read_all_the_same)
{
	struct cache_settings settings = cache_settings_default;
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	reader_end(&reader);
	memory.closes = 0;
	settings.keep_bytes = 200000;
	settings.temporary_directory = "/nonexistent";
	reader_init_device(&reader, &settings, &memory.device);
	reader.memory = &memory;
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(0, 0);
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	cr_expect_eq(read_at(&node, 1, 0, 150000), 0);
	close_file(&node);
	end_files();
}

/* ---- what is kept, and life ---------------------------------------------- */

Test(cache_version, s5_copies_stay_in_the_images_share_and_go_with_the_last_close)
{
	struct cache_node first, second, again;

	start_files_with(DEVICE_EVENTS, 1 << 20, 152000);
	first = open_file("small.bin");
	second = open_file("other.bin");
	again = open_file("small.bin");
	be_written(&first);
	expect_kept(0, 150000);
	be_written(&second);
	expect_kept(5000, 150000);
	overwrite(3);
	write_elsewhere();
	cr_expect_eq(read_at(&second, 2, PIECE, 904), 0);
	close_file(&first);
	expect_kept(5000, 150000);
	cr_expect_eq(read_at(&again, 1, 100000, PIECE), 0);
	close_file(&again);
	expect_kept(5000, 0);
	close_file(&second);
	end_files();
}

Test(cache_version, s5_past_the_share_there_is_no_copy)
{
	struct cache_node node;

	start_files_with(DEVICE_EVENTS, 1 << 20, 74000);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(0, 0);
	cr_expect_eq(read_at(&node, 1, 100000, PIECE), 0);
	close_file(&node);
	end_files();
}

/* While a file that nothing tells of is copied, what was read of it is overwritten, and another opens it who knows. */
static void overwrite_what_is_copied(struct memory_device *self)
{
	if (self->data_bytes < 1200000)
		return;
	self->turn = NULL;
	for (unsigned cluster = 2; cluster < 4; cluster++) /* they were read */
		memcpy(self->bytes + small_volume_offset(&volume, cluster), content_of(9) + (size_t)(cluster - 2) * CLUSTER,
		       CLUSTER); /* without a sign */
	cr_expect_eq(reader_open(&reader, meanwhile.version), 0);
}

Test(cache_version, c1_a_copy_is_not_for_who_opened_it_after_it_was_begun)
{
	struct cache_op op = { .may_block = true };
	struct file big = { "BIG     BIN", NULL, 3, { 0 }, 20 * CLUSTER, 8, 1 };

	start_files_with(DEVICE_NOTHING, 4 << 20, 4 << 20);
	for (unsigned i = 0; i < 20; i++)
		big.clusters[i] = i + 2;
	small_volume_put(&volume, &big);
	memory.grain_bytes = CLUSTER;
	settle();
	meanwhile = open_file("big.bin");
	cr_expect_eq(cache_version_keep(meanwhile.version, &op), -EINPROGRESS, "it has not lasted yet");
	settle();
	memory_device_reset_counts(&memory);
	memory.turn = overwrite_what_is_copied;
	cr_expect_neq(cache_version_keep(meanwhile.version, &op), 0);
	cr_expect_null(memory.turn);
	cr_expect_neq(read_at(&meanwhile, 8, 0, PIECE), 0, "an older content was read");
	cache_version_close(meanwhile.version);
	close_file(&meanwhile);
	end_files();
}

/* In the midst of a copy the version is read and closed; nobody needs the copy any more. */
static void read_and_close_meanwhile(struct memory_device *self)
{
	if (self->data_reads < 2 || !self->in_data)
		return;
	self->turn = NULL;
	cr_expect_eq(read_at(&meanwhile, 1, 0, PIECE), 0);
	cache_version_close(meanwhile.version);
}

Test(cache_version, s5_a_close_in_the_midst_of_a_copy_leaves_nothing)
{
	struct cache_op op = { .may_block = true };

	start_files(DEVICE_EVENTS);
	memory.grain_bytes = PIECE;
	meanwhile = open_file("small.bin");
	cr_expect_eq(read_at(&meanwhile, 1, 0, 150000), 0);
	memory_device_reset_counts(&memory);
	memory.turn = read_and_close_meanwhile;
	cr_expect_neq(cache_version_keep(meanwhile.version, &op), 0);
	cr_expect_null(memory.turn);
	expect_kept(0, 0);
	node_put_any(&meanwhile);
	end_files();
}
