/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * untracked: the ranges of one image that nobody here ever reads for: the file systems beside the
 * FAT partitions. Writes to them are not remembered.
 *
 * A part of the write log (log_state.h), under its lock: nothing here locks or blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

struct untracked {
	struct cache_range *ranges; /* owned */
	size_t count;
	bool known; /* it was told what is untracked, if anything is */
};

/* From now on these, which are copied; none without memory. False: they are what they were. */
bool untracked_set(struct untracked *untracked, const struct cache_range *ranges, size_t count);
void untracked_free(struct untracked *untracked); /* not the structure itself */

/* Is the whole range untracked? */
bool untracked_hold(const struct untracked *untracked, const struct cache_range *range);

/* The first of them from the index `at` on that has a byte of the range; `count` when there is none. */
size_t untracked_next(const struct untracked *untracked, const struct cache_range *range, size_t at);

/* Where the tracked part of an image of that size ends, but for pieces of at most `piece_bytes` between untracked ranges. */
uint64_t untracked_tail_begin(const struct untracked *untracked, uint64_t size_bytes, uint64_t piece_bytes);

/* The first byte from `from_bytes` on that is tracked. */
uint64_t untracked_end_at(const struct untracked *untracked, uint64_t from_bytes);
