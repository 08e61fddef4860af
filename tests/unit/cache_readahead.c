/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/readahead.c: what is asked for ahead of a sequential reader, and extents_will_need. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "cache/device/extents.h"
#include "cache/tree/readahead.h"
#include "cache_device.h"

#define KIB UINT64_C(1024)
#define SIZE_BYTES (10000 * KIB + 17)

static struct span read_at(struct readahead *readahead, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct span read = { offset_bytes, (size_t)min_u64(length_bytes, SIZE_BYTES - offset_bytes) };

	return readahead_next(readahead, &read, SIZE_BYTES);
}

Test(cache_readahead, c6_what_follows_small_reads_is_asked_for_once)
{
	struct readahead readahead = { 0 };
	uint64_t asked_bytes = 0;

	for (uint64_t at = 0; at < SIZE_BYTES; at += 128 * KIB) {
		struct span next = read_at(&readahead, at, 128 * KIB);

		if (next.length_bytes == 0)
			continue;
		cr_expect_geq(at + 128 * KIB, 512 * KIB, "of a file just opened");
		if (asked_bytes == 0)
			asked_bytes = next.offset_bytes;
		cr_expect_eq(next.offset_bytes, asked_bytes);
		cr_expect_leq(next.offset_bytes - at, 1200 * KIB);
		cr_expect_leq(next.length_bytes, 512 * KIB);
		asked_bytes += next.length_bytes;
	}
	cr_expect_eq(asked_bytes, SIZE_BYTES);
}

/* Who reads by little begins with READs of 16 KiB, 32 and 64: no later one begins where a chunk does, and each is widened by one. */
Test(cache_readahead, c6_small_reads_that_begin_within_a_chunk_are_small)
{
	struct readahead readahead = { 0 };
	uint64_t asked_bytes = 0;

	read_at(&readahead, 0, 128 * KIB);
	for (uint64_t at = 64 * KIB; at < SIZE_BYTES; at += 128 * KIB)
		asked_bytes += read_at(&readahead, at, 192 * KIB).length_bytes;
	cr_expect_geq(asked_bytes, SIZE_BYTES - 1024 * KIB);
}

Test(cache_readahead, nothing_is_asked_for_that_nobody_will_read)
{
	struct readahead readahead = { 0 };

	for (uint64_t at = 0; at < SIZE_BYTES; at += 256 * KIB)
		cr_expect_eq(read_at(&readahead, at, 256 * KIB).length_bytes, 0, "the kernel does it");
	for (uint64_t i = 0; i < 100; i++)
		cr_expect_eq(read_at(&readahead, i * 37 % 10 * 1000 * KIB, 64 * KIB).length_bytes, 0, "who reads here and there");
}

Test(cache_readahead, reads_may_overtake_each_other)
{
	struct readahead readahead = { 0 };
	unsigned asked = 0;

	for (uint64_t at = 0; at < SIZE_BYTES / 2; at += 256 * KIB) {
		asked += read_at(&readahead, at + 128 * KIB, 128 * KIB).length_bytes > 0;
		asked += read_at(&readahead, at, 128 * KIB).length_bytes > 0;
	}
	cr_expect_geq(asked, 5000 / 512);
}

Test(cache_readahead, s1_no_more_runs_than_a_read_has_are_asked_for)
{
	static unsigned char image[4096 * 1024];
	struct memory_device memory;
	struct extents *extents;

	memory_device_init(&memory, DEVICE_EVENTS, image, sizeof(image));
	struct extents_run *runs = calloc(512, sizeof(*runs));

	for (uint64_t i = 0; i < 512; i++)
		runs[i] = (struct extents_run){ 2 * i * 4096, 4096, i * 4096 };
	cr_assert_eq(extents_new(runs, 512, 512 * 4096, &extents), 0);
	extents_will_need(extents, &memory.device, 100, 3 * 4096);
	cr_expect_eq(memory.needed_bytes, 3 * 4096);
	cr_expect_eq(memory.needs, 4);
	extents_will_need(extents, &memory.device, 0, 512 * 4096);
	extents_will_need(extents, &memory.device, 511 * 4096, 4097);
	extents_will_need(extents, &memory.device, 0, 0);
	cr_expect_eq(memory.needs, 4);
	extents_unref(extents);
}
