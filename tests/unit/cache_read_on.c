/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/read_on.c: what is read with a comparison that has to be made anyway, and what is made of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "base/waits.h"
#include "cache/changes/guards.h"
#include "cache/changes/trust.h"
#include "cache/tree/chunk.h"
#include "cache/tree/dir.h"
#include "cache/tree/image.h"
#include "cache/tree/read_on.h"
#include "cache_feed.h"
#include "cache_reader.h"
#include "cache_volume.h"

/* Clusters are chunks: the file has so many, and so many are known. As much as MUCH_CHUNKS, which is 64. */
#define CLUSTER 65536U
#define CHUNKS 230U
#define KNOWN 64U
#define STEP 16U

static struct fat_image *fat;
static struct memory_device memory;
static struct reader reader;
static struct cache_node node;
static struct cache_version *version;
static struct cache_image *image;
static struct memory_feed *feed;
static unsigned char *held; /* a chunk, as somebody else hands it out */

static uint64_t offset_of(unsigned chunk)
{
	return VOLUME_DATA_OFFSET + (uint64_t)chunk * CLUSTER;
}

static void make_volume(void)
{
	uint32_t chain[CHUNKS];

	fat = fat_image_new((struct fat_image_shape){ .type = 12, .clusters = CHUNKS, .sectors_per_cluster = CLUSTER / 512,
						      .reserved_sectors = 8, .fat_copies = 1, .fat_sectors = 8, .root_entries = 128 });
	for (unsigned i = 0; i < CHUNKS; i++) {
		chain[i] = i + 2;
		memset(fat->bytes + offset_of(i), (int)i + 1, CLUSTER);
	}
	fat_image_entry(fat_image_root(fat), "BIG     BIN", 0x20, 2, CHUNKS * CLUSTER);
	fat_image_chain(fat, chain, CHUNKS);
}

static int64_t the_clock(void)
{
	return memory.now_ns;
}

static void begin_to_tell(void)
{
	struct write_log *log;

	cr_assert_eq(write_log_new(&log), 0);
	write_log_set_clock(log, the_clock);
	cache_image_set_log(reader.image, log);
	feed = memory_feed_new(&memory, log);
	write_log_listen(log, true);
	memory.now_ns += 10 * SECOND;
}

static void start(enum device_kind kind)
{
	struct chunk_hash hash;

	make_volume();
	memory_device_init(&memory, kind, fat->bytes, fat->source.size_bytes);
	reader_init(&reader, &memory);
	image = reader.image;
	if (kernel_tells(kind))
		begin_to_tell();
	cr_assert_eq(reader_walk(&reader, "big.bin", &node), 0);
	cr_assert_eq(reader_open(&reader, node.version), 0);
	version = node.version;
	memory.now_ns += SECOND; /* what is written just after listening began would not be taken for all */
	pthread_mutex_lock(&image->lock);
	cr_assert_eq(chunks_allocate(version), 0);
	for (unsigned chunk = 0; chunk < KNOWN; chunk++) {
		hash = chunk_hash_of(fat->bytes + offset_of(chunk), CLUSTER);
		chunk_remember(version, chunk, &hash);
	}
	cr_assert_eq(version->known_count, KNOWN);
}

static void end(void)
{
	memory.turn = NULL;
	image_leave(image);
	cache_version_close(version);
	cache_version_put(version);
	reader_end(&reader);
	fat_image_free(fat);
	free(held);
}

/* Behind a read of that chunk. Under the lock, as its caller is. */
static int read_on_behind(unsigned chunk, struct guard *guard)
{
	struct cache_op op = { .may_block = true };
	struct span behind = { (uint64_t)chunk * CLUSTER, CLUSTER };

	cr_assert_eq(image_observe(image, &op), 0);
	memory_device_reset_counts(&memory);
	return read_on(version, &op, &behind, guard);
}

/* How many from there on are in that state. */
static unsigned in_state(unsigned chunk, enum chunk_state state)
{
	unsigned count = 0;

	while (chunk + count < CHUNKS && version->states[chunk + count] == state)
		count++;
	return count;
}

static unsigned noted(unsigned chunk)
{
	unsigned count = 0;

	while (chunk + count < CHUNKS && version->noted_ns[chunk + count] != 0)
		count++;
	return count;
}

/* ---- whether, and how much ------------------------------------------------------- */

Test(cache_read_on, as_much_again_as_is_known_waits_for_the_comparison)
{
	start(DEVICE_EVENTS);
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(version->states[KNOWN], CHUNK_NEW, "that is its reader's");
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_READ), KNOWN);
	cr_expect_eq(memory.data_reads, KNOWN / STEP);
	cr_expect_eq(version->known_count, KNOWN, "nobody has seen it");
	end();
}

Test(cache_read_on, nothing_where_little_is_known)
{
	start(DEVICE_EVENTS);
	version->states[KNOWN - 10] = CHUNK_NEW;
	version->known_count--;
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(memory.data_reads, 0);
	end();
}

Test(cache_read_on, nothing_for_who_jumps)
{
	start(DEVICE_EVENTS);
	cr_expect_eq(read_on_behind(KNOWN + 1, NULL), 0);
	cr_expect_eq(memory.data_reads, 0);
	cr_expect_eq(read_on_behind(0, NULL), 0, "there is nothing before it");
	cr_expect_eq(memory.data_reads, 0);
	end();
}

Test(cache_read_on, it_ends_at_what_is_not_new)
{
	start(DEVICE_EVENTS);
	version->states[KNOWN + 5] = CHUNK_READ;
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(memory.data_reads, 1);
	cr_expect_eq(memory.data_bytes, 4 * CLUSTER);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_READ), 5);
	end();
}

Test(cache_read_on, it_ends_at_the_end_of_the_file)
{
	start(DEVICE_EVENTS);
	for (unsigned chunk = KNOWN; chunk < CHUNKS - 3; chunk++)
		version->states[chunk] = CHUNK_READ;
	cr_expect_eq(read_on_behind(CHUNKS - 4, NULL), 0);
	cr_expect_eq(memory.data_bytes, 3 * CLUSTER);
	cr_expect_eq(in_state(CHUNKS - 3, CHUNK_READ), 3);
	end();
}

Test(cache_read_on, c6_a_slow_device_gives_what_it_can_in_time)
{
	start(DEVICE_EVENTS);
	memory.call_ns = WAIT_READ_ON_NS;
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_READ), STEP);
	end();
}

/* ---- what is made of it ----------------------------------------------------------- */

Test(cache_read_on, c7_what_is_new_begins_to_last_and_waits_when_it_has)
{
	start(DEVICE_NOTHING);
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_NEW), CHUNKS - KNOWN - 1);
	cr_expect_eq(noted(KNOWN + 1), 2 * KNOWN, "twice as much");
	memory.now_ns += WAIT_SETTLE_NS;
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_READ), 2 * KNOWN);
	cr_expect_geq(version->waiting.lasted_ns, WAIT_SETTLE_NS);
	end();
}

/* Somebody else hands out other bytes of a chunk while it is read. */
static void hand_out_others(struct memory_device *self)
{
	struct chunk_hash hash;

	if (!self->in_data)
		return;
	self->turn = NULL;
	held = calloc(1, CLUSTER);
	hash = chunk_hash_of(held, CLUSTER);
	chunk_remember(version, KNOWN + 3, &hash);
}

Test(cache_read_on, c2_what_others_were_given_meanwhile_ends_it_if_it_differs)
{
	start(DEVICE_EVENTS);
	memory.turn = hand_out_others;
	cr_expect_eq(read_on_behind(KNOWN, NULL), -ESTALE);
	cr_expect(version->detached);
	end();
}

Test(cache_read_on, what_cannot_be_read_is_no_error_and_not_known)
{
	start(DEVICE_EVENTS);
	memory.fail_data = -EIO;
	memory.fail_from_bytes = offset_of(KNOWN + 1 + STEP);
	cr_expect_eq(read_on_behind(KNOWN, NULL), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_READ), STEP);
	memory.fail_data = 0;
	end();
}

static void stop_answering(struct memory_device *self)
{
	if (self->in_data)
		self->fail_observe = -EIO;
}

Test(cache_read_on, a_device_that_shows_nothing_any_more_is_an_error)
{
	start(DEVICE_EVENTS);
	memory.turn = stop_answering;
	cr_expect_eq(read_on_behind(KNOWN, NULL), -EIO);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_NEW), CHUNKS - KNOWN - 1);
	memory.fail_observe = 0;
	end();
}

/* ---- with a guard ------------------------------------------------------------------- */

/* A write to that chunk, which is told of. */
static void write_chunk(unsigned chunk)
{
	struct cache_range range = { offset_of(chunk), 4096 };
	static const unsigned char bytes[4096];

	memory_feed_announce(feed, 7, &range);
	memory.now_ns += MS;
	memory_device_write(&memory, range.offset_bytes, bytes, sizeof(bytes));
	memory.now_ns += MS;
	memory_feed_modified(feed, 7);
}

Test(cache_read_on, c5_what_is_guarded_is_known_at_once)
{
	start(DEVICE_KERNEL_SYNC);
	cr_assert_not_null(version->guard);
	cr_expect_eq(read_on_behind(KNOWN, version->guard), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_KNOWN), KNOWN);
	cr_expect_eq(version->known_count, 2 * KNOWN);
	end();
}

Test(cache_read_on, c2_what_was_written_while_it_was_read_is_not_known)
{
	struct cache_op op = { .may_block = true };

	start(DEVICE_KERNEL_SYNC);
	write_chunk(KNOWN + STEP + 2);
	cr_assert_eq(image_observe(image, &op), 0);
	/* All is quiet again, so that only the guard says it. */
	memory.now_ns += 3 * SECOND;
	cr_assert_eq(image_observe(image, &op), 0);
	cr_assert_eq(write_log_guard_stands(image->log, version->guard), 0);
	cr_expect_eq(read_on_behind(KNOWN, version->guard), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_KNOWN), STEP);
	cr_expect_eq(memory.data_reads, 2);
	end();
}

Test(cache_read_on, c2_half_of_an_update_is_not_known)
{
	start(DEVICE_KERNEL_SYNC);
	/* Of the same file, a moment ago: more may come. */
	write_chunk(5);
	cr_expect_eq(read_on_behind(KNOWN, version->guard), 0);
	cr_expect_eq(write_log_guard_stands(image->log, version->guard), 0, "so it is not for that");
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_KNOWN), 0);
	cr_expect_eq(memory.data_reads, 1);
	end();
}

Test(cache_read_on, c2_a_guard_that_stands_no_more_makes_nothing_known)
{
	struct cache_op op = { .may_block = true };

	start(DEVICE_KERNEL_SYNC);
	write_log_start_over(image->log);
	/* All is quiet again, so that only the guard says it. */
	memory.now_ns += 3 * SECOND;
	cr_assert_eq(image_observe(image, &op), 0);
	cr_expect_eq(read_on_behind(KNOWN, version->guard), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_KNOWN), 0);
	cr_expect_eq(memory.data_reads, 1);
	end();
}

static struct guard *theirs;

static void take_guard_away(struct memory_device *self)
{
	if (!self->in_data || theirs)
		return;
	theirs = version->guard;
	version->guard = NULL;
}

Test(cache_read_on, c2_a_guard_that_is_not_the_versions_any_more_makes_nothing_known)
{
	start(DEVICE_KERNEL_SYNC);
	memory.turn = take_guard_away;
	cr_expect_eq(read_on_behind(KNOWN, version->guard), 0);
	cr_expect_eq(in_state(KNOWN + 1, CHUNK_KNOWN), 0);
	version->guard = theirs;
	end();
}
