/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/read.c, compare.c: what is read slowly, or from devices that cannot tell what was written. */
#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "cache_version_files.h"

/* ---- slow reading ---------------------------------------------------------- */

/* The first cluster is written after the second reading saw it, which then takes as long as bytes must last.
 */
static void overtake_slow_reading(struct memory_device *self)
{
	if (self->data_reads < 2)
		return;
	self->turn = NULL;
	self->now_ns += 60 * SECOND;
	overwrite_cluster(0, 2);
}

Test(cache_version, c2_the_time_a_reading_takes_is_not_the_time_bytes_must_last)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	overwrite_cluster(1, 2);
	overwrite_cluster(2, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory_device_reset_counts(&memory);
	memory.turn = overtake_slow_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	cr_expect_null(memory.turn);
	close_file(&node);
	end_files();
}

/* All is quiet; in the midst of a slow read an update comes and goes. */
static void update_slow_reading(struct memory_device *self)
{
	if (self->data_reads < 2)
		return;
	self->turn = NULL;
	overwrite(2);
	self->now_ns += SECOND;
}

Test(cache_version, c2_an_update_that_a_slow_read_straddles_is_not_half_believed)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = update_slow_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	settle();
	cr_expect_eq(read_at(&node, 2, 0, 150000), 0);
	close_file(&node);
	end_files();
}

/* While a file is read whole it is overwritten, the image comes to rest, and another opens it. */
static void open_what_is_half_read(struct memory_device *self)
{
	if (self->data_bytes < 1200000)
		return;
	self->turn = NULL;
	for (unsigned cluster = 2; cluster < 22; cluster++)
		memory_device_write(self, small_volume_offset(&volume, cluster),
				    content_of(9) + (size_t)(cluster - 2) * CLUSTER, CLUSTER);
	settle();
	cr_expect_eq(reader_open(&reader, meanwhile.version), 0);
	cr_expect_neq(read_at(&meanwhile, 8, 0, PIECE), 0, "an older content was read");
	cache_version_close(meanwhile.version);
}

Test(cache_version, c1_what_a_reading_under_way_saw_before_a_change_is_not_served)
{
	struct cache_op op = { .may_block = true };
	struct file big = { "BIG     BIN", NULL, 3, { 0 }, 20 * CLUSTER, 8, 1 };

	start_files_with(DEVICE_EVENTS, 4 << 20, 4 << 20);
	for (unsigned i = 0; i < 20; i++)
		big.clusters[i] = i + 2;
	small_volume_put(&volume, &big);
	memory.grain_bytes = CLUSTER;
	meanwhile = open_file("big.bin");
	memory_device_reset_counts(&memory);
	memory.turn = open_what_is_half_read;
	cr_expect_neq(cache_version_keep(meanwhile.version, &op), 0);
	cr_expect_null(memory.turn);
	close_file(&meanwhile);
	end_files();
}

/* ---- devices that cannot tell -------------------------------------------- */

Test(cache_version, c7_where_nothing_is_believed_each_open_reads_again)
{
	struct cache_node node;

	start_files(DEVICE_NOTHING);
	memory_device_reset_counts(&memory);
	expect_fetch("other.bin", 2, 5000);
	cr_expect_geq(memory.data_reads, 2, "a single reading of unknown bytes is believed");
	memory_device_reset_counts(&memory);
	node = open_file("other.bin");
	cr_expect_eq(memory.data_reads, 1);
	close_file(&node);
	end_files();
}

/* The clock answered it: others wait for the image while it is looked at. */
Test(cache_version, c7_no_look_is_taken_for_who_was_answered)
{
	atomic_bool over = false;
	struct cache_op op = { .may_block = true, .over = &over };
	struct cache_node node;

	start_files(DEVICE_NOTHING);
	node = look_up("small.bin");
	over = true;
	memory_device_reset_counts(&memory);
	cr_expect_eq(cache_version_open(node.version, &op), -EAGAIN);
	cr_expect_eq(memory.observations, 0);
	over = false;
	cr_expect_eq(cache_version_open(node.version, &op), 0);
	cr_expect_gt(memory.observations, 0);
	close_file(&node);
	end_files();
}

/* Not even a time tells: what is new counts from when it was first seen. */
Test(cache_version, c7_content_is_as_young_as_it_was_first_seen)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;
	int64_t start_ns;

	start_files(DEVICE_NOTHING);
	node = open_file("small.bin");
	start_ns = memory.now_ns;
	for (unsigned half = 0; half < 2; half++) {
		cr_expect_eq(cache_version_read(node.version, &op, 0, PIECE, &bytes), -EINPROGRESS);
		cr_expect_leq(op.retry_ns, 50 * MS);
		memory.now_ns += 150 * MS;
		memory_device_land(&memory, small_volume_offset(&volume, 2), content_of(2 + half), CLUSTER);
	}
	cr_expect_eq(read_at(&node, 3, 0, PIECE), 0);
	cr_expect_geq(memory.now_ns - start_ns, 500 * MS);
	close_file(&node);
	end_files();
}

/* Writers of whom not even a time tells. */
static void overwrite_at_second_reading(struct memory_device *self)
{
	if (self->data_reads < 1)
		return;
	self->turn = NULL;
	memory_device_land(self, small_volume_offset(&volume, 3), content_of(2) + 131072, 512);
}

Test(cache_version, c7_what_was_read_on_is_not_handed_out)
{
	struct cache_node node;

	start_files_with(DEVICE_NOTHING, 0, 0);
	node = open_file("small.bin");
	cr_assert_eq(read_at(&node, 1, 0, CLUSTER), 0);
	cr_assert_eq(read_at(&node, 1, CLUSTER, CLUSTER), 0);
	/* It was looked at, and has not lasted: nobody has seen it. */
	overwrite_cluster(2, 3);
	cr_expect_eq(read_at(&node, 3, 2 * (uint64_t)CLUSTER, 150000 - 2 * CLUSTER), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c7_two_readings_that_differ_are_not_believed)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = overwrite_at_second_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	close_file(&node);
	end_files();
}

static void remove_at_first_reading(struct memory_device *self)
{
	if (self->data_reads == 0)
		return;
	self->turn = NULL;
	fat_image_root(volume.fat)[0] = 0xE5;
	memory_device_land(self, small_volume_offset(&volume, 2), content_of(2), CLUSTER);
}

Test(cache_version, c7_entry_and_chain_are_looked_at_after_the_bytes)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = remove_at_first_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -ESTALE);
	close_file(&node);
	end_files();
}

/* Between a write's time and its bytes all looks settled; what was read then is not believed later. */
Test(cache_version, c1_bytes_that_came_after_their_time_are_seen)
{
	struct cache_node node;

	start_files(DEVICE_TIMES);
	expect_fetch("other.bin", 2, 5000);
	memory_device_sign(&memory);
	expect_fetch("other.bin", 2, 5000);
	memory_device_land(&memory, small_volume_offset(&volume, 6), volume.bytes, 512);
	settle();
	node = look_up("other.bin");
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	node_put_any(&node);
	end_files();
}
