/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/readahead.h"

#include "base/checked.h"

/*
 * From larger READs on the kernel reads ahead enough: 128 KiB, and a chunk by which they are widened, for who reads by less begins
 * with READs of 16 KiB and 32, and never comes to the begin of a chunk. Of a file just opened READs are small too, for less than IN_ROW.
 */
#define READ_BYTES ((uint64_t)128 << 10)
#define SMALL_BYTES (READ_BYTES + ((uint64_t)64 << 10))
#define IN_ROW_BYTES ((uint64_t)512 << 10)

/* READs of one reader overtake each other by so much. */
#define NEAR_BYTES (4 * READ_BYTES)

/* So much is asked for at once, until so much is ahead: a filesystem takes no more than a request of its disk. */
#define STEP_BYTES ((uint64_t)512 << 10)
#define AHEAD_BYTES ((uint64_t)1 << 20)

struct span readahead_next(struct readahead *readahead, const struct span *read, uint64_t size_bytes)
{
	uint64_t end = read->offset_bytes + read->length_bytes;
	struct span next = { 0 };

	if (read->length_bytes > SMALL_BYTES || read->offset_bytes > readahead->end_bytes + NEAR_BYTES ||
	    end + NEAR_BYTES < readahead->end_bytes) {
		*readahead = (struct readahead){ .end_bytes = end };
		return next;
	}
	readahead->end_bytes = max_u64(readahead->end_bytes, end);
	readahead->in_row_bytes += read->length_bytes;
	if (readahead->in_row_bytes < IN_ROW_BYTES)
		return next;
	next.offset_bytes = max_u64(readahead->asked_bytes, readahead->end_bytes);
	if (next.offset_bytes < size_bytes && next.offset_bytes - readahead->end_bytes < AHEAD_BYTES)
		next.length_bytes = (size_t)min_u64(STEP_BYTES, size_bytes - next.offset_bytes);
	readahead->asked_bytes = next.offset_bytes + next.length_bytes;
	return next;
}
