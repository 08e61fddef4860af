/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: the writes to one image that have ended: each moves the generation, and the last ones are
 * remembered with their ranges, in a ring. What is older than the ring, or was not told, is behind
 * the floor: of what was believed then anything may have been overwritten.
 *
 * A part of the write log (log_state.h), under its lock: nothing here locks or blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

struct entry {
	uint64_t generation; /* what it moved it to */
	struct cache_range range;
	int64_t begun_ns, ended_ns;
};

struct history {
	uint64_t generation;
	uint64_t floor;	       /* what was believed under an older generation may be anything */
	uint64_t gap;	       /* since this one each write was told: `floor`, or before it where the ring was full */
	uint64_t epoch;	       /* how many gaps there were: guards do not outlast one */
	int64_t floor_ns;      /* since when all that was written is in the ring */
	struct entry *entries; /* owned: a ring, ascending generations; there when somebody tells */
	size_t first, count;
};

void history_init(struct history *history);
void history_free(struct history *history); /* not the structure itself */

/* Have room for entries. False: no memory. */
bool history_prepare(struct history *history);

/* Nothing is known of what was written until now. */
void history_start_over(struct history *history, int64_t now_ns);

/* A write has ended. After history_prepare. */
void history_append(struct history *history, const struct cache_range *range, int64_t begun_ns, int64_t ended_ns);

/* The one that is so many back from the last one, 0; NULL: so many are not remembered. */
const struct entry *history_back(const struct history *history, size_t back);

/* The same of those that ended since that generation: NULL, too, where the others begin. */
const struct entry *history_since(const struct history *history, uint64_t generation, size_t back);
