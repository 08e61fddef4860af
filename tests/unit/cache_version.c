/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/version.c: what one open file returns, whatever becomes of its image. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cache_reader.h"
#include "cache_volume.h"

#define PIECE 4096U

/* Clusters of 64 KiB are chunks of 64 KiB. */
#define CLUSTER 65536U

static const struct file small = { "SMALL   BIN", NULL, 0, { 2, 4, 3 }, 150000, 1, 1 };
static const struct file other = { "OTHER   BIN", NULL, 1, { 6 }, 5000, 2, 1 };
static const struct file empty = { "EMPTY   BIN", NULL, 2, { 0 }, 0, 0, 1 };

static struct small_volume volume;
static struct memory_device memory;
static struct reader reader;
static struct cache_node meanwhile; /* used by a second reader during a turn */

static void start_with(enum device_kind kind, uint64_t keep_limit_bytes, uint64_t budget_bytes)
{
	struct cache_settings settings = cache_settings_default;

	settings.keep_limit_bytes = keep_limit_bytes;
	settings.keep_bytes = budget_bytes;
	settings.temporary_directory = "/tmp";
	volume = small_volume_new(CLUSTER);
	small_volume_put(&volume, &small);
	small_volume_put(&volume, &other);
	small_volume_put(&volume, &empty);
	memory_device_init(&memory, kind, volume.bytes, volume.size_bytes);
	reader_init_device(&reader, &settings, &memory.device);
	reader.memory = &memory;
}

static void start(enum device_kind kind)
{
	start_with(kind, 1 << 20, 1 << 20);
}

static void end(void)
{
	struct cache_use use;

	/* What is large is given back by a thread. */
	cache_use(reader.cache, &use);
	for (int i = 0; i < 5000 && use.kept.memory_bytes + use.kept.file_bytes > 0; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		cache_use(reader.cache, &use);
	}
	cr_expect_eq(use.kept.memory_bytes + use.kept.file_bytes, 0, "bytes are kept for nobody");
	reader_end(&reader);
	cr_expect_eq(memory.closes, 1);
	small_volume_free(&volume);
}

static struct cache_node look_up(const char *name)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, name, &node), 0, "%s is not found", name);
	return node;
}

static struct cache_node open_file(const char *name)
{
	struct cache_node node = look_up(name);

	cr_assert_eq(reader_open(&reader, node.version), 0);
	return node;
}

static void close_file(struct cache_node *node)
{
	cache_version_close(node->version);
	cache_version_put(node->version);
}

/* 0 when `length_bytes` from there on are the seed's; an error; or -EBADMSG: other bytes. */
static int read_at(struct cache_node *node, unsigned seed, uint64_t offset_bytes, size_t length_bytes)
{
	static unsigned char bytes[1 << 20];
	long got = reader_read(&reader, node->version, offset_bytes, length_bytes, bytes);

	if (got < 0)
		return (int)got;
	return (size_t)got == length_bytes && content_is(bytes, seed, offset_bytes, length_bytes) ? 0
												  : -EBADMSG;
}

static void expect_fetch(const char *name, unsigned seed, uint64_t size_bytes)
{
	struct cache_attributes attributes;
	unsigned char *content;

	cr_assert_eq(reader_fetch(&reader, name, PIECE, &content, &attributes), 0);
	cr_expect_eq(attributes.size_bytes, size_bytes);
	cr_expect(content_is(content, seed, 0, size_bytes));
	free(content);
}

/* Write another content over one cluster of the file, or all. */
static void overwrite_cluster(unsigned index, unsigned seed)
{
	uint64_t at = (uint64_t)index * CLUSTER;

	memory_device_write(&memory, small_volume_offset(&volume, small.clusters[index]),
			    content_of(seed) + at, min_u64(CLUSTER, small.size_bytes - at));
}

static void overwrite(unsigned seed)
{
	for (unsigned i = 0; i < 3; i++)
		overwrite_cluster(i, seed);
}

/* A write that concerns no file. */
static void write_elsewhere(void)
{
	memory_device_write(&memory, small_volume_offset(&volume, 20), volume.bytes, 512);
}

static void settle(void)
{
	memory.now_ns += 10 * SECOND;
}

/* ---- unchanged ----------------------------------------------------------- */

Test(cache_version, c4_an_unchanged_file_is_opened_without_reading)
{
	struct cache_node node;

	start(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	memory_device_reset_counts(&memory);
	reader.blocked = 0;
	node = open_file("small.bin");
	cr_expect_eq(memory_device_reads(&memory), 0);
	cr_expect_eq(reader.blocked, 0);
	close_file(&node);
	end();
}

Test(cache_version, c3_an_unchanged_file_keeps_its_id_whatever_else_is_written)
{
	struct cache_node before, after;
	struct file moved = other;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start(kind);
		expect_fetch("small.bin", 1, 150000);
		before = look_up("small.bin");
		write_elsewhere();
		moved.seed = 3;
		moved.time = 9;
		small_volume_put(&volume, &moved);
		memory_device_write(&memory, 0, volume.bytes, 1);
		after = open_file("small.bin");
		cr_expect_eq(after.attributes.id, before.attributes.id);
		cr_expect_eq(reader.waited_ns, 0);
		cr_expect_eq(read_at(&after, 1, 0, 150000), 0);
		close_file(&after);
		node_put_any(&before);
		end();
	}
}

Test(cache_version, c2_reads_end_where_the_file_does)
{
	struct cache_node node;
	unsigned char bytes[PIECE];

	start(DEVICE_EVENTS);
	node = open_file("small.bin");
	cr_expect_eq(reader_read(&reader, node.version, 149000, PIECE, bytes), 1000);
	cr_expect(content_is(bytes, 1, 149000, 1000));
	cr_expect_eq(reader_read(&reader, node.version, 150000, PIECE, bytes), 0);
	cr_expect_eq(reader_read(&reader, node.version, UINT64_MAX, PIECE, bytes), 0);
	close_file(&node);
	end();
}

Test(cache_version, c2_an_empty_file_is_empty)
{
	struct cache_node node;
	unsigned char byte;

	start(DEVICE_NOTHING);
	node = open_file("empty.bin");
	cr_expect_eq(reader_read(&reader, node.version, 0, 1, &byte), 0);
	cr_expect_eq(memory.data_reads, 0);
	close_file(&node);
	end();
}

static void expect_kept(uint64_t memory_expected, uint64_t file_expected)
{
	struct cache_use all, own;

	cache_use(reader.cache, &all);
	cache_image_use(reader.image, &own);
	cr_expect_eq(all.kept.memory_bytes, memory_expected);
	cr_expect_eq(all.kept.file_bytes, file_expected);
	cr_expect_eq(own.kept.memory_bytes, memory_expected);
	cr_expect_eq(own.kept.file_bytes, file_expected);
}

/* ---- changed ------------------------------------------------------------- */

Test(cache_version, c1_bytes_overwritten_under_the_same_entry_make_another_version)
{
	struct cache_node old, new;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start(kind);
		expect_fetch("small.bin", 1, 150000);
		old = look_up("small.bin");
		overwrite(2);
		cr_expect_eq(reader_open(&reader, old.version), -ESTALE);
		new = open_file("small.bin");
		cr_expect_neq(new.attributes.id, old.attributes.id);
		cr_expect_eq(read_at(&new, 2, 0, 150000), 0);
		close_file(&new);
		node_put_any(&old);
		end();
	}
}

Test(cache_version, c2_new_bytes_are_waited_for_until_they_last)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start(DEVICE_EVENTS);
	node = open_file("small.bin");
	overwrite_cluster(0, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 0, PIECE, &bytes), -EINPROGRESS);
	cr_expect(op.keep_wanted);
	memory.now_ns += op.retry_ns / 2;
	overwrite_cluster(1, 2);
	memory.now_ns += op.retry_ns / 2;
	cr_expect_eq(cache_version_read(node.version, &op, 0, PIECE, &bytes), -EINPROGRESS);
	overwrite_cluster(2, 2);
	close_file(&node);
	settle();
	expect_fetch("small.bin", 2, 150000);
	end();
}

/* No file is read for its open, nor whole for its first byte, whatever its image does. */
Test(cache_version, c6_nothing_is_read_before_it_is_needed)
{
	struct cache_node node;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start(kind);
		node = look_up("small.bin");
		memory_device_reset_counts(&memory);
		write_elsewhere();
		cr_expect_eq(reader_open(&reader, node.version), 0);
		cr_expect_eq(memory.data_reads, 0);
		settle();
		reader.never_keeps = true;
		cr_expect_eq(read_at(&node, 1, PIECE, PIECE), 0);
		cr_expect_leq(memory.data_bytes, kind == DEVICE_NOTHING ? 8 * CLUSTER : CLUSTER);
		close_file(&node);
		end();
	}
}

/* The image was written where nothing tells what: what was handed out is compared, before and after. */
Test(cache_version, c2_what_is_new_belongs_to_what_was_handed_out)
{
	struct cache_node node;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start(kind);
		reader.never_keeps = true;
		node = open_file("small.bin");
		cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
		write_elsewhere();
		settle();
		cr_expect_eq(read_at(&node, 1, 70000, PIECE), 0);
		overwrite_cluster(0, 2);
		settle();
		cr_expect_eq(read_at(&node, 1, 140000, PIECE), -ESTALE);
		cr_expect_eq(read_at(&node, 1, 70000, PIECE), 0, "what was handed out is in the image still");
		close_file(&node);
		end();
	}
}

/* The first chunk is overwritten, and all at rest again, just after the third was read. */
static void overwrite_what_is_known(struct memory_device *self)
{
	if (self->data_reads == 0 || self->in_data)
		return;
	self->turn = NULL;
	memory_device_land(self, small_volume_offset(&volume, small.clusters[0]), content_of(2), CLUSTER);
}

Test(cache_version, c2_what_is_known_is_compared_after_the_read)
{
	struct cache_node node;

	start(DEVICE_TIMES);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	memory_device_sign(&memory);
	memory_device_pass(&memory, 300 * MS);
	memory_device_reset_counts(&memory);
	memory.turn = overwrite_what_is_known;
	cr_expect_eq(read_at(&node, 1, 140000, PIECE), -ESTALE);
	cr_expect_null(memory.turn);
	close_file(&node);
	end();
}

static void be_slow(struct memory_device *self)
{
	if (self->in_data)
		self->now_ns += 30 * MS;
}

/* Another reader's chunk was read before that writer came, and his own after it. */
static void read_and_be_overwritten(struct memory_device *self)
{
	if (!self->in_data)
		return;
	self->turn = NULL;
	cr_expect_eq(read_at(&meanwhile, 1, 140000, PIECE), 0);
	memory_device_land(self, small_volume_offset(&volume, small.clusters[2]), content_of(2) + 131072, 150000 - 131072);
	memory_device_land(self, small_volume_offset(&volume, small.clusters[1]), content_of(2) + 65536, CLUSTER);
}

Test(cache_version, c2_of_two_readers_each_sees_what_the_other_hands_out)
{
	struct cache_node node;

	start(DEVICE_TIMES);
	meanwhile = open_file("small.bin");
	node = open_file("small.bin");
	memory_device_sign(&memory);
	memory_device_pass(&memory, 300 * MS);
	memory_device_reset_counts(&memory);
	memory.turn = read_and_be_overwritten;
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	cr_expect_null(memory.turn);
	close_file(&meanwhile);
	close_file(&node);
	end();
}

/* Too much is known to be compared in time: another inode, and the old one goes on for who has it. */
Test(cache_version, c6_what_takes_too_long_to_compare_gets_another_inode)
{
	struct file big = { "BIG     BIN", NULL, 3, { 0 }, 20 * CLUSTER, 8, 1 };
	struct cache_node old, new, again;

	start_with(DEVICE_EVENTS, 4 << 20, 4 << 20);
	for (unsigned i = 0; i < 20; i++)
		big.clusters[i] = i + 2;
	small_volume_put(&volume, &big);
	memory.grain_bytes = CLUSTER;
	old = open_file("big.bin");
	cr_expect_eq(read_at(&old, 8, 0, 16 * CLUSTER), 0);
	cr_expect_eq(read_at(&old, 8, 16 * CLUSTER, CLUSTER), 0);
	memory_device_write(&memory, small_volume_offset(&volume, 23), volume.bytes, 512);
	settle();
	memory.turn = be_slow;
	cr_expect_eq(reader_open(&reader, old.version), -ESTALE);
	memory.turn = NULL;
	new = open_file("big.bin");
	cr_expect_neq(new.attributes.id, old.attributes.id);
	cr_expect_eq(read_at(&old, 8, 18 * CLUSTER, CLUSTER), 0, "it is not gone because it was retired");
	again = look_up("big.bin");
	cr_expect_eq(again.attributes.id, new.attributes.id);
	node_put_any(&again);
	small_volume_remove(&volume, &big);
	memory_device_write(&memory, 0, volume.bytes, 1);
	settle();
	cr_expect_eq(read_at(&old, 8, 19 * CLUSTER, CLUSTER), -ESTALE, "its entry is gone");
	cr_expect_eq(read_at(&old, 8, 0, CLUSTER), 0);
	close_file(&old);
	close_file(&new);
	end();
}

/* Somebody always writes elsewhere: what is new must have lasted long, what is known need not wait. */
Test(cache_version, c6_on_an_image_that_is_never_quiet_new_bytes_must_last_longer)
{
	struct cache_bytes bytes;
	struct cache_node node;
	int64_t start_ns;

	start(DEVICE_EVENTS);
	node = open_file("small.bin");
	start_ns = memory.now_ns;
	for (;;) {
		struct cache_op op = { .may_block = true };

		write_elsewhere();
		if (cache_version_read(node.version, &op, 0, PIECE, &bytes) == 0)
			break;
		memory.now_ns += 20 * MS;
	}
	cache_bytes_release(&bytes);
	cr_expect_geq(memory.now_ns - start_ns, 10 * 200 * MS);
	cr_expect_leq(memory.now_ns - start_ns, 10 * 200 * MS + 50 * MS);
	write_elsewhere();
	cr_expect_eq(read_at(&node, 1, PIECE, PIECE), 0);
	cr_expect_eq(reader.waited_ns, 0);
	close_file(&node);
	end();
}

/* Somebody writes elsewhere without end, for more than the time that content must last then. */
static void be_written(struct cache_node *node)
{
	int64_t start_ns = memory.now_ns;

	while (memory.now_ns - start_ns < 5 * SECOND / 2) {
		struct cache_op op = { .may_block = true }, keep = { .may_block = true };
		struct cache_bytes bytes;

		write_elsewhere();
		if (cache_version_read(node->version, &op, PIECE, node->attributes.size_bytes, &bytes) == 0)
			cache_bytes_release(&bytes);
		if (op.keep_wanted)
			cache_version_keep(node->version, &keep);
		memory.now_ns += 20 * MS;
	}
}

Test(cache_version, c2_a_copied_version_is_read_to_its_end)
{
	struct cache_node node;

	start(DEVICE_EVENTS);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(150000, 0);
	overwrite(2);
	small_volume_remove(&volume, &small);
	settle();
	cr_expect_eq(read_at(&node, 1, PIECE, 140000), 0);
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	close_file(&node);
	end();
}

/* Its first read is all of it: then nothing is kept, but all is known. */
Test(cache_version, c2_a_superseded_version_is_read_as_long_as_its_clusters_hold_it)
{
	struct cache_node node;

	start(DEVICE_EVENTS);
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
	end();
}

Test(cache_version, s5_a_large_file_is_never_copied_and_read_all_the_same)
{
	struct cache_node node;

	start_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(0, 0);
	cr_expect_eq(read_at(&node, 1, 140000, PIECE), 0);
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	close_file(&node);
	end();
}

Test(cache_version, c2_a_large_file_that_was_overwritten_ends)
{
	struct cache_node node;

	start_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	overwrite(2);
	settle();
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	close_file(&node);
	expect_fetch("small.bin", 2, 150000);
	end();
}

/* Nobody has seen the second chunk; the first is known. Half an update is no version. */
Test(cache_version, c2_an_unknown_chunk_that_changes_while_it_is_read_is_waited_for)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	overwrite_cluster(1, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -EINPROGRESS);
	overwrite_cluster(0, 2);
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	close_file(&node);
	end();
}

Test(cache_version, c2_a_chain_that_is_too_short_is_an_error_when_it_has_lasted)
{
	struct cache_node node;

	start(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	settle();
	fat_image_link(volume.fat, 4, fat_image_end_mark(volume.fat));
	memory_device_write(&memory, 0, volume.bytes, 1);
	node = look_up("small.bin");
	cr_expect_eq(reader_open(&reader, node.version), -EIO);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	fat_image_link(volume.fat, 4, 3);
	memory_device_write(&memory, 0, volume.bytes, 1);
	cr_expect_eq(reader_open(&reader, node.version), 0);
	close_file(&node);
	end();
}

Test(cache_version, c3_another_chain_is_another_version)
{
	struct file moved = small;
	struct cache_node node;

	start(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	node = open_file("small.bin");
	moved.clusters[1] = 10;
	small_volume_put(&volume, &moved);
	memory_device_write(&memory, 0, volume.bytes, 1);
	settle();
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	expect_fetch("small.bin", 1, 150000);
	close_file(&node);
	end();
}

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

	start(DEVICE_EVENTS);
	node = open_file("small.bin");
	overwrite_cluster(1, 2);
	overwrite_cluster(2, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory_device_reset_counts(&memory);
	memory.turn = overtake_slow_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	cr_expect_null(memory.turn);
	close_file(&node);
	end();
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

	start(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = update_slow_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	settle();
	cr_expect_eq(read_at(&node, 2, 0, 150000), 0);
	close_file(&node);
	end();
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

	start_with(DEVICE_EVENTS, 4 << 20, 4 << 20);
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
	end();
}

/* ---- devices that cannot tell -------------------------------------------- */

Test(cache_version, c7_where_nothing_is_believed_each_open_reads_again)
{
	struct cache_node node;

	start(DEVICE_NOTHING);
	memory_device_reset_counts(&memory);
	expect_fetch("other.bin", 2, 5000);
	cr_expect_geq(memory.data_reads, 2, "a single reading of unknown bytes is believed");
	memory_device_reset_counts(&memory);
	node = open_file("other.bin");
	cr_expect_eq(memory.data_reads, 1);
	close_file(&node);
	end();
}

/* The clock answered it: others wait for the image while it is looked at. */
Test(cache_version, c7_no_look_is_taken_for_who_was_answered)
{
	atomic_bool over = false;
	struct cache_op op = { .may_block = true, .over = &over };
	struct cache_node node;

	start(DEVICE_NOTHING);
	node = look_up("small.bin");
	over = true;
	memory_device_reset_counts(&memory);
	cr_expect_eq(cache_version_open(node.version, &op), -EAGAIN);
	cr_expect_eq(memory.observations, 0);
	over = false;
	cr_expect_eq(cache_version_open(node.version, &op), 0);
	cr_expect_gt(memory.observations, 0);
	close_file(&node);
	end();
}

/* Not even a time tells: what is new counts from when it was first seen. */
Test(cache_version, c7_content_is_as_young_as_it_was_first_seen)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;
	int64_t start_ns;

	start(DEVICE_NOTHING);
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
	end();
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

	start_with(DEVICE_NOTHING, 0, 0);
	node = open_file("small.bin");
	cr_assert_eq(read_at(&node, 1, 0, CLUSTER), 0);
	cr_assert_eq(read_at(&node, 1, CLUSTER, CLUSTER), 0);
	/* It was looked at, and has not lasted: nobody has seen it. */
	overwrite_cluster(2, 3);
	cr_expect_eq(read_at(&node, 3, 2 * (uint64_t)CLUSTER, 150000 - 2 * CLUSTER), 0);
	close_file(&node);
	end();
}

Test(cache_version, c7_two_readings_that_differ_are_not_believed)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = overwrite_at_second_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 0, 150000, &bytes), -EINPROGRESS);
	close_file(&node);
	end();
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

	start(DEVICE_NOTHING);
	node = open_file("small.bin");
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -EINPROGRESS);
	memory.now_ns += SECOND;
	memory_device_reset_counts(&memory);
	memory.turn = remove_at_first_reading;
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -ESTALE);
	close_file(&node);
	end();
}

/* Between a write's time and its bytes all looks settled; what was read then is not believed later. */
Test(cache_version, c1_bytes_that_came_after_their_time_are_seen)
{
	struct cache_node node;

	start(DEVICE_TIMES);
	expect_fetch("other.bin", 2, 5000);
	memory_device_sign(&memory);
	expect_fetch("other.bin", 2, 5000);
	memory_device_land(&memory, small_volume_offset(&volume, 6), volume.bytes, 512);
	settle();
	node = look_up("other.bin");
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	node_put_any(&node);
	end();
}

/* ---- failures ------------------------------------------------------------ */

Test(cache_version, e_a_device_that_fails_is_an_error_of_that_read)
{
	struct cache_node node;

	start_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	memory.fail_data = -EIO;
	cr_expect_eq(read_at(&node, 1, 0, PIECE), -EIO);
	memory.fail_data = 0;
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	close_file(&node);
	end();
}

Test(cache_version, c8_an_image_cut_under_a_file_is_an_error_until_it_is_whole)
{
	uint64_t size_bytes;
	struct cache_node node;

	start(DEVICE_EVENTS);
	size_bytes = volume.size_bytes;
	node = open_file("small.bin");
	memory_device_resize(&memory, volume.bytes, small_volume_offset(&volume, 3));
	settle();
	cr_expect_eq(read_at(&node, 1, 0, 150000), -EIO);
	memory_device_resize(&memory, volume.bytes, size_bytes);
	settle();
	cr_expect_eq(read_at(&node, 1, 0, 150000), 0);
	close_file(&node);
	end();
}

/* As one that is being copied to where it is. */
Test(cache_version, c8_an_image_that_was_cut_when_first_seen_is_read_when_it_is_whole)
{
	struct cache_attributes attributes;
	unsigned char *content;
	uint64_t size_bytes;

	start(DEVICE_EVENTS);
	size_bytes = volume.size_bytes;
	memory_device_resize(&memory, volume.bytes, small_volume_offset(&volume, 3));
	settle();
	cr_expect_eq(reader_fetch(&reader, "small.bin", PIECE, &content, &attributes), -EIO);
	memory_device_resize(&memory, volume.bytes, size_bytes);
	settle();
	expect_fetch("small.bin", 1, 150000);
	end();
}

Test(cache_version, e_without_room_for_a_copy_files_are_read_all_the_same)
{
	struct cache_settings settings = cache_settings_default;
	struct cache_node node;

	start(DEVICE_EVENTS);
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
	end();
}

/* ---- what is kept, and life ---------------------------------------------- */

Test(cache_version, s5_copies_stay_in_the_images_share_and_go_with_the_last_close)
{
	struct cache_node first, second, again;

	start_with(DEVICE_EVENTS, 1 << 20, 152000);
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
	end();
}

Test(cache_version, s5_past_the_share_there_is_no_copy)
{
	struct cache_node node;

	start_with(DEVICE_EVENTS, 1 << 20, 74000);
	node = open_file("small.bin");
	be_written(&node);
	expect_kept(0, 0);
	cr_expect_eq(read_at(&node, 1, 100000, PIECE), 0);
	close_file(&node);
	end();
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

	start_with(DEVICE_NOTHING, 4 << 20, 4 << 20);
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
	end();
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

	start(DEVICE_EVENTS);
	memory.grain_bytes = PIECE;
	meanwhile = open_file("small.bin");
	cr_expect_eq(read_at(&meanwhile, 1, 0, 150000), 0);
	memory_device_reset_counts(&memory);
	memory.turn = read_and_close_meanwhile;
	cr_expect_neq(cache_version_keep(meanwhile.version, &op), 0);
	cr_expect_null(memory.turn);
	expect_kept(0, 0);
	node_put_any(&meanwhile);
	end();
}

Test(cache_version, s1_users_may_go_in_any_order)
{
	struct cache_node node, root;

	start(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "", &root), 0);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	cache_image_put(reader.image);
	node_put_any(&root);
	cr_expect_eq(memory.closes, 0);
	cr_expect_eq(read_at(&node, 1, 5000, PIECE), 0);
	close_file(&node);
	cr_expect_eq(memory.closes, 1);
	cache_free(reader.cache);
	small_volume_free(&volume);
}

Test(cache_version, s1_thousands_of_superseded_versions_cost_nothing)
{
	struct cache_node held;

	start(DEVICE_EVENTS);
	held = open_file("small.bin");
	cr_expect_eq(read_at(&held, 1, 0, PIECE), 0);
	for (unsigned round = 0; round < 3000; round++) {
		overwrite(round % 100 + 10);
		settle();
		expect_fetch("small.bin", round % 100 + 10, 150000);
	}
	expect_kept(0, 0);
	cr_expect_eq(read_at(&held, 1, 0, 150000), -ESTALE);
	close_file(&held);
	end();
}
