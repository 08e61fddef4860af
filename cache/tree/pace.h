/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace: how many reads of a file are under way together, where that is sooner.
 *
 * Storage that takes its time for each read, however long it is, as a server on the network, is asked for
 * several at once: twice as many, as long as each takes less time by that. A disk is as fast with one.
 *
 * Not thread-safe: of one who reads a file from its begin to its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/waits.h"

#define PACE_MAX 4		   /* reads at once */
#define PACE_SLOW_NS (2 * WAIT_MS) /* what takes less is not slow */

struct pace {
	size_t width;	 /* so many now; begins with 1 */
	int64_t each_ns; /* what one took of the last group; 0: there was none */
	bool found;
};

/* What is read into. All zero but for the size. */
struct pace_buffers {
	size_t each_bytes;
	void *list[PACE_MAX]; /* NULL: not needed yet, or not to be had */
};

/* Is there that one? The first is to be had as long as there is memory; only so many more there are, of all who read. */
bool pace_has_buffer(struct pace_buffers *buffers, size_t i);
void pace_put_buffers(struct pace_buffers *buffers);

/* `count` reads took that long together. */
static inline void pace_find(struct pace *pace, size_t count, int64_t took_ns)
{
	int64_t each_ns = took_ns / (int64_t)count;

	if (pace->found || count < pace->width || each_ns < PACE_SLOW_NS)
		return;
	if (pace->each_ns != 0 && each_ns > pace->each_ns / 4 * 3) {
		pace->width /= 2;
		pace->found = true;
		return;
	}
	pace->each_ns = each_ns;
	pace->found = pace->width == PACE_MAX;
	if (!pace->found)
		pace->width *= 2;
}
