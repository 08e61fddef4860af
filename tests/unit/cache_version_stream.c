/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/stream.c: a copy that is served while it is made, on slow storage of which nothing is believed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "cache_version_files.h"

/* Three parts of seven clusters at most: the first is served alone. */
#define CLUSTERS 20U
#define FIRST 7U

static struct file big = { "BIG     BIN", NULL, 3, { 0 }, CLUSTERS *CLUSTER, 8, 1 };

static void start_slow(void)
{
	start_files_with(DEVICE_NOTHING, 4 << 20, 4 << 20);
	for (unsigned i = 0; i < CLUSTERS; i++)
		big.clusters[i] = i + 2;
	small_volume_put(&volume, &big);
	memory.grain_bytes = CLUSTER;
	/* What is noted is noted by the clock. */
	memory.now_ns = clock_now_ns(CLOCK_MONOTONIC);
	atomic_store(&memory.device.slow, true);
	memory_device_reset_counts(&memory);
}

static int keep(struct cache_node *node)
{
	struct cache_op op = { .may_block = true };

	return cache_version_keep(node->version, &op);
}

/* As an open that begins when what was noted has lasted. */
static void pass_time(void)
{
	memory.now_ns += 10 * SECOND;
	memory_device_reset_counts(&memory);
}

static int try_read(struct cache_node *node, uint64_t offset_bytes)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	int error = cache_version_read(node->version, &op, offset_bytes, PIECE, &bytes);

	if (error == 0)
		cache_bytes_release(&bytes);
	return error;
}

static void expect_all(struct cache_node *node)
{
	cr_expect_eq(read_at(node, 8, 0, CLUSTERS / 2 * CLUSTER), 0);
	cr_expect_eq(read_at(node, 8, CLUSTERS / 2 * CLUSTER, CLUSTERS / 2 * CLUSTER), 0);
}

static void overwrite_big(unsigned index)
{
	memory_device_land(&memory, small_volume_offset(&volume, big.clusters[index]),
			   content_of(9) + (size_t)index * CLUSTER, CLUSTER);
}

Test(cache_version, c7_a_copy_from_slow_storage_is_what_was_noted_and_is_read_anew)
{
	struct cache_node node;

	start_slow();
	node = open_file("big.bin");
	cr_expect_eq(keep(&node), -EINPROGRESS);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER);
	pass_time();
	cr_expect_eq(keep(&node), 0);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER);
	expect_all(&node);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER);
	close_file(&node);
	end_files();
}

Test(cache_version, c6_what_was_noted_stays_for_who_comes_back)
{
	struct cache_node node;

	start_slow();
	node = open_file("big.bin");
	cache_version_close(node.version);
	cr_expect_eq(keep(&node), -ECANCELED);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER, "it is noted though nobody has it open");
	pass_time();
	cr_expect_eq(reader_open(&reader, node.version), 0);
	cr_expect_eq(keep(&node), 0);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER);
	close_file(&node);
	end_files();
}

/* In the second part. */
static void read_what_is_there(struct memory_device *self)
{
	if (!self->in_data || self->data_bytes < (FIRST + 1) * CLUSTER)
		return;
	self->turn = NULL;
	cr_expect_eq(try_read(&meanwhile, 0), 0);
	cr_expect_eq(try_read(&meanwhile, FIRST * CLUSTER - PIECE), 0);
	cr_expect_eq(try_read(&meanwhile, FIRST * CLUSTER), -EINPROGRESS);
}

Test(cache_version, c6_a_copy_is_served_while_it_is_made)
{
	start_slow();
	meanwhile = open_file("big.bin");
	cr_expect_eq(keep(&meanwhile), -EINPROGRESS);
	pass_time();
	memory.turn = read_what_is_there;
	cr_expect_eq(keep(&meanwhile), 0);
	cr_expect_null(memory.turn);
	expect_all(&meanwhile);
	close_file(&meanwhile);
	end_files();
}

static void open_what_grows(struct memory_device *self)
{
	if (!self->in_data || self->data_bytes < 2 * CLUSTER)
		return;
	self->turn = NULL;
	/* Two, who both had looked it up before: whoever reads it reads on. */
	cr_expect_eq(reader_open(&reader, meanwhile.version), -ESTALE);
	cr_expect_eq(reader_open(&reader, meanwhile.version), -ESTALE);
}

Test(cache_version, c1_who_opens_what_is_being_read_anew_gets_another_inode)
{
	struct cache_node next;

	start_slow();
	meanwhile = open_file("big.bin");
	cr_expect_eq(keep(&meanwhile), -EINPROGRESS);
	pass_time();
	memory.turn = open_what_grows;
	cr_expect_eq(keep(&meanwhile), 0);
	cr_expect_null(memory.turn);
	expect_all(&meanwhile);
	next = open_file("big.bin");
	cr_expect_neq(next.attributes.id, meanwhile.attributes.id);
	pass_time();
	cr_expect_eq(keep(&next), 0);
	cr_expect_eq(memory.data_bytes, CLUSTERS * CLUSTER, "it takes over what was noted");
	expect_all(&next);
	close_file(&meanwhile);
	close_file(&next);
	end_files();
}

Test(cache_version, c2_what_is_not_as_it_was_noted_begins_to_last)
{
	struct cache_node node;

	start_slow();
	node = open_file("big.bin");
	cr_expect_eq(keep(&node), -EINPROGRESS);
	overwrite_big(3);
	pass_time();
	cr_expect_eq(keep(&node), -EINPROGRESS);
	cr_expect_eq(try_read(&node, 0), -EINPROGRESS, "nothing of it was served");
	pass_time();
	cr_expect_eq(keep(&node), 0);
	cr_expect_eq(read_at(&node, 8, 0, 3 * CLUSTER), 0);
	close_file(&node);
	end_files();
}

static void overwrite_the_rest(struct memory_device *self)
{
	if (!self->in_data || self->data_bytes < (FIRST + 1) * CLUSTER)
		return;
	self->turn = NULL;
	cr_expect_eq(try_read(&meanwhile, 0), 0);
	overwrite_big(CLUSTERS - 1);
}

Test(cache_version, c2_what_changes_after_some_was_served_ends_the_version)
{
	start_slow();
	meanwhile = open_file("big.bin");
	cr_expect_eq(keep(&meanwhile), -EINPROGRESS);
	pass_time();
	memory.turn = overwrite_the_rest;
	cr_expect_eq(keep(&meanwhile), -ESTALE);
	cr_expect_null(memory.turn);
	cr_expect_eq(try_read(&meanwhile, (CLUSTERS - 1) * CLUSTER), -ESTALE);
	cr_expect_eq(try_read(&meanwhile, (CLUSTERS - 2) * CLUSTER), -ESTALE);
	close_file(&meanwhile);
	end_files();
}

static void remove_big(struct memory_device *self)
{
	if (!self->in_data || self->data_bytes < (FIRST + 1) * CLUSTER)
		return;
	self->turn = NULL;
	cr_expect_eq(try_read(&meanwhile, 0), 0);
	small_volume_remove(&volume, &big);
	memory_device_write(self, 0, volume.bytes, 1);
}

Test(cache_version, c2_what_has_no_entry_any_more_is_served_no_further)
{
	start_slow();
	meanwhile = open_file("big.bin");
	cr_expect_eq(keep(&meanwhile), -EINPROGRESS);
	pass_time();
	memory.turn = remove_big;
	cr_expect_neq(keep(&meanwhile), 0);
	cr_expect_null(memory.turn);
	close_file(&meanwhile);
	end_files();
}

/* What was handed out before is held against the image before anything new is served. */
Test(cache_version, c2_what_was_handed_out_of_the_end_is_seen_to_hold_first)
{
	start_slow();
	atomic_store(&memory.device.slow, false);
	meanwhile = open_file("big.bin");
	reader.never_keeps = true;
	cr_expect_eq(read_at(&meanwhile, 8, (CLUSTERS - 1) * CLUSTER, PIECE), 0);
	atomic_store(&memory.device.slow, true);
	memory.now_ns = clock_now_ns(CLOCK_MONOTONIC);
	cr_expect_eq(keep(&meanwhile), -EINPROGRESS);
	overwrite_big(CLUSTERS - 1);
	pass_time();
	cr_expect_eq(keep(&meanwhile), -ESTALE);
	cr_expect_eq(try_read(&meanwhile, 0), -ESTALE, "none of it was served");
	close_file(&meanwhile);
	end_files();
}
