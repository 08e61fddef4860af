/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/extents.c: where a file's bytes are, in however many pieces. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/device/extents.h"
#include "cache_device.h"

#define RUN 4096U

/* `order[i]` is the place in the image, in RUN bytes, of the i-th piece of the file. */
static struct extents *make(const unsigned *order, size_t count, uint64_t size_bytes)
{
	struct extents_run *runs = calloc(count, sizeof(*runs));
	struct extents *extents;

	for (size_t i = 0; i < count; i++)
		runs[i] = (struct extents_run){ (uint64_t)order[i] * RUN, min_u64(RUN, size_bytes - i * RUN), i * RUN };
	cr_assert_eq(extents_new(runs, count, size_bytes, &extents), 0);
	return extents;
}

static int make_of(struct extents_run a, struct extents_run b, uint64_t size_bytes)
{
	struct extents_run *runs = calloc(2, sizeof(*runs));
	struct extents *extents;
	int error;

	runs[0] = a;
	runs[1] = b;
	error = extents_new(runs, 2, size_bytes, &extents);
	if (error == 0)
		extents_unref(extents);
	return error;
}

Test(cache_extents, s1_runs_that_leave_gaps_or_overlap_are_refused)
{
	cr_expect_eq(make_of((struct extents_run){ 0, 10, 0 }, (struct extents_run){ 20, 10, 10 }, 20), 0);
	cr_expect_eq(make_of((struct extents_run){ 0, 10, 0 }, (struct extents_run){ 20, 10, 11 }, 21), -EIO);
	cr_expect_eq(make_of((struct extents_run){ 0, 10, 0 }, (struct extents_run){ 20, 10, 5 }, 20), -EIO);
	cr_expect_eq(make_of((struct extents_run){ 0, 10, 0 }, (struct extents_run){ 20, 10, 10 }, 21), -EIO);
	cr_expect_eq(make_of((struct extents_run){ 0, 10, 0 }, (struct extents_run){ 9, 10, 10 }, 20), -EIO);
	cr_expect_eq(make_of((struct extents_run){ 0, 0, 0 }, (struct extents_run){ 9, 10, 0 }, 10), -EIO);
	cr_expect_eq(make_of((struct extents_run){ UINT64_MAX - 5, 10, 0 }, (struct extents_run){ 9, 10, 10 }, 20), -EIO);
}

Test(cache_extents, neighbours_are_one_run)
{
	struct extents *one = make((unsigned[]){ 5, 6, 7 }, 3, 3 * RUN), *same = make((unsigned[]){ 5, 6, 7 }, 3, 3 * RUN);
	struct extents *other = make((unsigned[]){ 5, 7, 6 }, 3, 3 * RUN);

	cr_expect_lt(extents_footprint_bytes(one), extents_footprint_bytes(other));
	cr_expect(extents_equal(one, same));
	cr_expect_not(extents_equal(one, other));
	extents_unref(one);
	extents_unref(same);
	extents_unref(other);
}

static bool collect(void *context, uint64_t chunk)
{
	uint64_t *chunks = context;

	*chunks |= UINT64_C(1) << chunk;
	return true;
}

static uint64_t chunks_in(const struct extents *extents, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t chunks = 0;

	extents_each_chunk(extents, &(struct cache_range){ offset_bytes, length_bytes }, collect, &chunks);
	return chunks;
}

Test(cache_extents, c5_a_range_of_the_image_touches_just_its_chunks)
{
	unsigned order[48];
	struct extents *extents;
	struct cache_range range;

	/* Backwards, with a hole after each: the first chunk (16 pieces) is at the end. */
	for (unsigned i = 0; i < 48; i++)
		order[i] = 2 * (50 - i);
	extents = make(order, 48, 48 * RUN - 100);
	cr_expect_eq(extents_chunk_bytes(extents, 2), CHUNK_BYTES - 100);
	cr_expect_eq(chunks_in(extents, 0, 6 * RUN), 0);
	cr_expect_eq(chunks_in(extents, 6 * RUN, 1), 4);
	cr_expect_eq(chunks_in(extents, 6 * RUN + RUN - 100, 100), 0, "behind the end of the file");
	cr_expect_eq(chunks_in(extents, 0, UINT64_MAX), 7);
	cr_expect_eq(chunks_in(extents, 100 * RUN, UINT64_MAX), 1);
	cr_expect_eq(chunks_in(extents, 99 * RUN, RUN), 0);
	range = (struct cache_range){ 99 * RUN, RUN };
	cr_expect_not(extents_touch(extents, &range));
	range.length_bytes++;
	cr_expect(extents_touch(extents, &range));
	cr_expect(extents_chunk_touches(extents, 0, &range));
	cr_expect_not(extents_chunk_touches(extents, 1, &range));
	range.length_bytes = 0;
	cr_expect_not(extents_touch(extents, &range));
	extents_unref(extents);
}

/* 65,536 pieces, in the image in another order than in the file. */
Test(cache_extents, c6_many_pieces_are_read_and_found_quickly)
{
	enum { COUNT = 65536 };
	unsigned *order = calloc(COUNT, sizeof(*order));
	unsigned char *image = malloc((size_t)COUNT * RUN), *buffer = NULL, *bytes, plain[3 * RUN];
	struct memory_device memory;
	struct extents *extents;

	cr_assert_eq(posix_memalign((void **)&buffer, CACHE_BLOCK_BYTES, cache_device_buffer_bytes(1 << 20)), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		order[i] = (unsigned)((i * UINT64_C(40503)) % COUNT);
		memset(image + (size_t)order[i] * RUN, (int)(i % 251), RUN);
	}
	memory_device_init(&memory, DEVICE_EVENTS, image, (uint64_t)COUNT * RUN);
	extents = make(order, COUNT, (uint64_t)COUNT * RUN);
	for (unsigned i = 0; i + 1 < COUNT; i += 255) {
		struct cache_range range = { (uint64_t)order[i] * RUN + 7, 1 };

		cr_assert(extents_chunk_touches(extents, i / 16, &range));
		cr_assert_eq(extents_read(extents, &memory.device, (uint64_t)i * RUN + 1, RUN, buffer, &bytes), 0);
		cr_assert_eq(bytes[0], i % 251);
		cr_assert_eq(bytes[RUN - 1], (i + 1) % 251);
	}
	cr_expect_eq(extents_read_now(extents, &memory.device, RUN / 2, sizeof(plain), plain), 0);
	cr_expect_eq(plain[0], 0);
	cr_expect_eq(plain[RUN], 1);
	cr_expect_eq(plain[3 * RUN - 1], 3);
	memory.not_at_hand = true;
	cr_expect_eq(extents_read_now(extents, &memory.device, 0, RUN, plain), -EAGAIN);
	extents_unref(extents);
	free(order);
	free(image);
	free(buffer);
}

/* Ranges of one run each in one call, one of several by itself. */
Test(cache_extents, c6_ranges_are_read_side_by_side)
{
	static unsigned char image[64 * RUN];
	static _Alignas(CACHE_BLOCK_BYTES) unsigned char buffers[3][4 * RUN];
	unsigned order[8] = { 8, 9, 10, 40, 11, 12, 13, 14 }; /* 4 and more are a run, 3 is elsewhere */
	struct extents_part parts[3] = {
		{ 0, 2 * RUN, buffers[0], NULL }, { 2 * RUN, 2 * RUN, buffers[1], NULL }, { 5 * RUN + 7, RUN, buffers[2], NULL },
	};
	struct memory_device memory;
	struct extents *extents;

	for (unsigned i = 0; i < 64; i++)
		memset(image + (size_t)i * RUN, (int)i, RUN);
	memory_device_init(&memory, DEVICE_EVENTS, image, sizeof(image));
	extents = make(order, 8, 8 * RUN);
	memory_device_reset_counts(&memory);
	cr_assert_eq(extents_read_parts(extents, &memory.device, parts, 3), 0);
	cr_expect_leq(memory.data_calls, 2);
	cr_expect_eq(parts[0].bytes[0], 8);
	cr_expect_eq(parts[0].bytes[2 * RUN - 1], 9);
	cr_expect_eq(parts[1].bytes[0], 10);
	cr_expect_eq(parts[1].bytes[RUN], 40);
	cr_expect_eq(parts[2].bytes[0], 12);
	cr_expect_eq(parts[2].bytes[RUN - 1], 13);
	parts[1].offset_bytes = 7 * RUN;
	cr_expect_eq(extents_read_parts(extents, &memory.device, parts, 3), -EIO, "behind the end of the file");
	extents_unref(extents);
}

/* Pieces with little between them cost one read of the device, not one each. */
Test(cache_extents, c6_pieces_that_are_near_each_other_are_read_together)
{
	unsigned order[256];
	static unsigned char image[1024 * RUN];
	unsigned char *buffer = NULL, *bytes;
	struct memory_device memory;
	struct extents *extents;

	cr_assert_eq(posix_memalign((void **)&buffer, CACHE_BLOCK_BYTES, cache_device_buffer_bytes(1 << 20)), 0);
	for (unsigned i = 0; i < 256; i++) {
		order[i] = 2 * i + (i >= 128 ? 200 : 0);
		memset(image + (size_t)order[i] * RUN, (int)i, RUN);
	}
	memory_device_init(&memory, DEVICE_EVENTS, image, sizeof(image));
	extents = make(order, 256, 256 * RUN);
	cr_assert_eq(extents_read(extents, &memory.device, 0, 256 * RUN, buffer, &bytes), 0);
	for (unsigned i = 0; i < 256; i++)
		cr_expect(bytes[(size_t)i * RUN] == i && bytes[(size_t)i * RUN + RUN - 1] == i);
	cr_expect_leq(memory.data_reads, 4);
	memory.fail_data = -EIO;
	cr_expect_eq(extents_read(extents, &memory.device, 0, 256 * RUN, buffer, &bytes), -EIO);
	cr_expect_eq(extents_read(extents, &memory.device, 1, 256 * RUN, buffer, &bytes), -EIO, "beyond its end");
	extents_unref(extents);
	free(buffer);
}

/* 256 pieces, each at `place` (of 1024), are read right; what that took of the device stays in its counts. */
static void read_scattered(struct memory_device *memory, unsigned (*place)(unsigned piece))
{
	unsigned order[256];
	static unsigned char image[8192 * RUN];
	unsigned char *buffer = NULL, *bytes;
	struct extents *extents;

	cr_assert_eq(posix_memalign((void **)&buffer, CACHE_BLOCK_BYTES, cache_device_buffer_bytes(1 << 20)), 0);
	for (unsigned i = 0; i < 256; i++) {
		order[i] = place(i);
		memset(image + (size_t)order[i] * RUN, (int)i, RUN);
	}
	memory_device_init(memory, DEVICE_EVENTS, image, sizeof(image));
	extents = make(order, 256, 256 * RUN);
	cr_assert_eq(extents_read(extents, &memory->device, 0, 256 * RUN, buffer, &bytes), 0);
	for (unsigned i = 0; i < 256; i++)
		cr_expect(bytes[(size_t)i * RUN] == i && bytes[(size_t)i * RUN + RUN - 1] == i, "piece %u", i);
	extents_unref(extents);
	free(buffer);
}

/* In some order, far from each other. */
static unsigned scattered(unsigned piece)
{
	return piece * 77 % 256 * 32;
}

Test(cache_extents, c6_pieces_that_are_far_from_each_other_are_read_side_by_side)
{
	struct memory_device memory;

	read_scattered(&memory, scattered);
	cr_expect_eq(memory.data_reads, 256);
	cr_expect_eq(memory.data_bytes, 256 * RUN, "nothing between them");
	cr_expect_eq(memory.data_calls, 256 / CACHE_PIECES_MAX);
}

/* Each second one, and they follow each other in the file in some order. */
static unsigned shuffled(unsigned piece)
{
	return piece * 77 % 256 * 2;
}

Test(cache_extents, c6_neighbours_are_read_together_in_whatever_order_they_are_in_the_file)
{
	struct memory_device memory;

	read_scattered(&memory, shuffled);
	cr_expect_leq(memory.data_reads, 2);
	cr_expect_leq(memory.data_bytes, 511 * RUN);
}

/* A run longer than what is read at once, behind a short one. */
Test(cache_extents, long_runs_are_read_in_parts)
{
	static unsigned char image[1024 * RUN];
	struct extents_run *runs = calloc(2, sizeof(*runs));
	unsigned char *buffer = NULL, *bytes;
	struct memory_device memory;
	struct extents *extents;

	cr_assert_eq(posix_memalign((void **)&buffer, CACHE_BLOCK_BYTES, cache_device_buffer_bytes(sizeof(image))), 0);
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (unsigned char)(i * 31 + i / RUN);
	memory_device_init(&memory, DEVICE_EVENTS, image, sizeof(image));
	runs[0] = (struct extents_run){ 900 * RUN, RUN + 100, 0 };
	runs[1] = (struct extents_run){ 10 * RUN, 700 * RUN, RUN + 100 };
	cr_assert_eq(extents_new(runs, 2, 701 * RUN + 100, &extents), 0);
	cr_assert_eq(extents_read(extents, &memory.device, 50, 701 * RUN, buffer, &bytes), 0);
	cr_expect_eq(memcmp(bytes, image + 900 * RUN + 50, RUN + 50), 0);
	cr_expect_eq(memcmp(bytes + RUN + 50, image + 10 * RUN, 700 * RUN - 50), 0);
	extents_unref(extents);
	free(buffer);
}
