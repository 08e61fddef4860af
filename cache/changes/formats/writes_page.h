/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writes_page: what a block server says of the writes to an export NAME, as a page
 * that is read through its export NAME@writes. imagefs-writes(7) is the format, with the
 * rules for servers and readers; here is the reader's half, and where the fields are.
 *
 * The page counts, for each unit (1 MiB) of the image, the writes that were begun and
 * those that have ended. A writer waits for no reader. A reader uses the page as a seqlock:
 *
 *     before = the page; the data; after = the page
 *
 * and when writes_page_held(before, after, range), the data of `range` are of one
 * moment and as fresh as `before`: nothing was in flight there when `before` was
 * read, and nothing was begun until `after` was. Later, writes_page_since(before, now)
 * says what has to be read again.
 *
 * Pure functions over bytes: no I/O, no threads, no memory. The bytes are hostile: a
 * server that lies can make its own image stale, keep its reader busy for as many steps
 * as the page has bytes, and nothing else. Contract R, C1, C2, S1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WRITES_PAGE_SUFFIX "@writes" /* of the export, after NAME, which may be empty */
#define WRITES_PAGE_MAGIC "imgfsWR1" /* the last character is the version */

/* Little-endian. */
enum {
	WRITES_PAGE_HEADER = 8,	     /* u32: bytes of the header, which the counters follow */
	WRITES_PAGE_SHIFT = 12,	     /* u32: a unit has 1 << this many bytes */
	WRITES_PAGE_INSTANCE = 16,   /* 16 bytes */
	WRITES_PAGE_SIZE = 32,	     /* u64: the image's bytes, as its last writer was told; 0: not known */
	WRITES_PAGE_BEGUN = 40,	     /* u64: writes begun, each once, however many units it has */
	WRITES_PAGE_ENDED = 48,	     /* u64 */
	WRITES_PAGE_SLOT_COUNT = 56, /* u32 */
	WRITES_PAGE_UNLISTED = 60,   /* u32: writes in flight that have no slot */
	WRITES_PAGE_SLOTS = 64,	     /* of each write in flight: u64 offset, u64 length; length 0: free */
	WRITES_PAGE_SLOT_BYTES = 16,
	WRITES_PAGE_COUNTER_BYTES = 8, /* of each unit: u32 begun, u32 ended, both modulo 2^32 */

	WRITES_PAGE_INSTANCE_BYTES = 16,
	WRITES_PAGE_SHIFT_MIN = 12,
	WRITES_PAGE_SHIFT_MAX = 40,
	WRITES_PAGE_FIRST_READ = 4096, /* has the header; of one of 512 bytes, counters of 448 MiB, too */
	WRITES_PAGE_MOMENT_BYTES = 65536, /* a read of the page's first bytes up to here is of one moment */
};

struct writes_range {
	uint64_t offset_bytes, length_bytes; /* their sum does not overflow */
};

/* A page that was read. It borrows the bytes, which must stay as long as it is used. */
struct writes_page {
	const unsigned char *bytes;
	uint64_t size_bytes; /* of the image; 0: not known */
	uint64_t begun, ended;
	uint32_t header_bytes, slot_count, unlisted;
	unsigned unit_shift;
	bool of_one_moment;	       /* the counters below are of the moment of the header */
	const unsigned char *counters; /* of the units [first_unit, first_unit + unit_count) */
	uint64_t first_unit, unit_count;
};

/*
 * Take apart the first `length_bytes` of a page, as one request of at most
 * WRITES_PAGE_MOMENT_BYTES read them; WRITES_PAGE_FIRST_READ are enough for any header.
 * 0; -EPROTONOSUPPORT: no page, or of another version; -EPROTO: no server that keeps to
 * the rules says this, or too few bytes. With an error nothing is known of any write.
 */
int writes_page_parse(struct writes_page *page, const void *bytes, size_t length_bytes);

/* Which bytes of the page hold the counters of `range` (not empty). They may lie beyond the end of the
 * export. */
struct writes_range writes_page_where(const struct writes_page *page, const struct writes_range *range);

/*
 * Use these counters in the place of those that were parsed: a piece of the same page from
 * `at_bytes` on, read after the header was. -EINVAL: not at a counter.
 * Of units for which no counters were read, the totals tell.
 */
int writes_page_set_counters(struct writes_page *page, const void *bytes, uint64_t at_bytes,
			     size_t length_bytes);

/*
 * What of `range` was written, or began to be, between two looks: at most `capacity` ranges,
 * in order. Returns how many, or -1 when it may be all of it: another instance, more than
 * fits, counters that may have gone round, two pages that do not go together.
 */
int writes_page_since(const struct writes_page *then, const struct writes_page *now,
		      const struct writes_range *range, struct writes_range *ranges, size_t capacity);

/* What of `range` may be changing just now: as above, in any order. */
int writes_page_in_flight(const struct writes_page *now, const struct writes_range *range,
			  struct writes_range *ranges, size_t capacity);

/*
 * Are the bytes of `range`, all read after `before` was and before `after` was asked
 * for, of one moment, and that moment not before that of `before`?
 */
bool writes_page_held(const struct writes_page *before, const struct writes_page *after,
		      const struct writes_range *range);
