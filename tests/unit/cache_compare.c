/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/compare.c: how many reads a comparison has under way, and what it finds. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/waits.h"
#include "cache/tree/chunk.h"
#include "cache/tree/compare.h"
#include "cache/tree/image.h"
#include "cache_reader.h"
#include "cache_volume.h"

/* Clusters are chunks, and all are known: 8 MiB, which is 8 reads. */
#define CLUSTER 65536U
#define CHUNKS 128U
#define READS 8U

static struct fat_image *fat;
static struct memory_device memory;
static struct reader reader;
static struct cache_node node;
static struct cache_version *version;

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

static void know(unsigned chunk)
{
	struct chunk_hash hash = chunk_hash_of(fat->bytes + offset_of(chunk), CLUSTER);

	chunk_remember(version, chunk, &hash);
}

static void start(void)
{
	make_volume();
	memory_device_init(&memory, DEVICE_EVENTS, fat->bytes, fat->source.size_bytes);
	memory.grain_bytes = 1 << 20;
	reader_init(&reader, &memory);
	cr_assert_eq(reader_walk(&reader, "big.bin", &node), 0);
	cr_assert_eq(reader_open(&reader, node.version), 0);
	version = node.version;
	pthread_mutex_lock(&version->image->lock);
	cr_assert_eq(chunks_allocate(version), 0);
}

static void end(void)
{
	memory.turn = NULL;
	image_leave(version->image);
	cache_version_close(version);
	cache_version_put(version);
	reader_end(&reader);
	fat_image_free(fat);
}

static int compare(int64_t limit_ns)
{
	struct cache_op op = { .may_block = true };

	cr_assert_eq(image_observe(version->image, &op), 0);
	memory_device_reset_counts(&memory);
	return compare_known(version, &op, COMPARE_ALL, limit_ns);
}

static void know_all(void)
{
	for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
		know(chunk);
}

static unsigned last_call;

/* A server far away: each call takes its time, however much it reads. */
static void be_far(struct memory_device *self)
{
	if (self->in_data && self->data_calls != last_call)
		self->now_ns += 20 * WAIT_MS;
	last_call = self->data_calls;
}

/* A slow line: each read takes its time, however many there are. */
static void be_narrow(struct memory_device *self)
{
	self->now_ns += self->in_data ? 20 * WAIT_MS : 0;
}

Test(cache_compare, c6_reads_are_under_way_together_where_each_takes_its_time)
{
	start();
	know_all();
	memory.turn = be_far;
	cr_expect_eq(compare(WAIT_COMPARE_READ_NS), 0);
	cr_expect_eq(memory.data_reads, READS);
	cr_expect_leq(memory.data_calls, 4, "%u calls", memory.data_calls);
	end();
}

Test(cache_compare, c6_and_one_after_the_other_where_that_is_as_soon)
{
	start();
	know_all();
	cr_expect_eq(compare(WAIT_COMPARE_READ_NS), 0);
	cr_expect_eq(memory.data_calls, READS, "a device that takes no time");
	memory.turn = be_narrow;
	cr_expect_eq(compare(WAIT_S), 0);
	cr_expect_geq(memory.data_calls, READS - 1, "%u calls", memory.data_calls);
	cr_expect_eq(compare(50 * WAIT_MS), -EINPROGRESS);
	cr_expect_leq(memory.data_reads, 4, "far more than there is time for");
	end();
}

/* Wherever it is among those that are read together. */
Test(cache_compare, c1_a_chunk_that_differs_is_found)
{
	for (unsigned chunk = 0; chunk < CHUNKS; chunk += 15) {
		start();
		know_all();
		fat->bytes[offset_of(chunk) + CLUSTER - 1] ^= 1;
		memory_device_write(&memory, 0, fat->bytes, 1);
		memory.turn = be_far;
		cr_expect_eq(compare(WAIT_COMPARE_READ_NS), -ESTALE, "chunk %u", chunk);
		cr_expect(version->detached);
		end();
	}
}

/* What nobody has seen is not read, and what is between it is read together. */
Test(cache_compare, c6_pieces_that_are_known_are_read_together)
{
	start();
	for (unsigned chunk = 0; chunk < CHUNKS; chunk += 16)
		know(chunk);
	memory.turn = be_far;
	cr_expect_eq(compare(WAIT_COMPARE_READ_NS), 0);
	cr_expect_eq(memory.data_bytes, 8 * CLUSTER);
	cr_expect_leq(memory.data_calls, 4, "%u calls", memory.data_calls);
	end();
}
