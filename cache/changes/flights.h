/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flights: the writes to one image that were announced and have not ended, or of which it is not
 * known whether they have.
 *
 * A part of the write log (log_state.h), under its lock: nothing here locks or blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

struct flight {
	const void *teller; /* never followed: who may end it */
	uint64_t id;	    /* of that teller */
	struct cache_range range;
	int64_t begun_ns;
	uint64_t generation; /* of the log, when it was announced */
	bool untracked;
	bool uncertain; /* it may be executed until the lag is over, and nobody will tell */
};

struct flights {
	struct flight *all; /* owned; in no order */
	size_t count, capacity;
};

/* False: more are in flight than any server has, or there is no memory. */
bool flights_add(struct flights *flights, const struct flight *flight);

/* The last one takes its place: who removes some goes from the last one to the first. */
void flights_remove(struct flights *flights, size_t index);
void flights_free(struct flights *flights); /* not the structure itself */

/* Is one of exactly that range in flight? */
bool flights_have(const struct flights *flights, const struct cache_range *range);

/* How many are of a range that is tracked (untracked.h)? */
unsigned flights_count_tracked(const struct flights *flights);
