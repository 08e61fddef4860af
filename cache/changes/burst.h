/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * burst: writes to one image that follow each other more closely than a time of rest: one update, as
 * far as anybody can tell. What is older than the burst that goes on is no half of it.
 *
 * A part of the write log, which it locks. Nothing blocks.
 */
#pragma once

#include <stdint.h>

struct cache_range;
struct write_log;

struct write_burst {
	int64_t quiet_ns; /* since the last write ended; 0: one is in flight */
	int64_t start_ns; /* when the first began; now, when there is rest */
	/* What was true under this and is untouched since is older than the burst. 0: how it began is not known. */
	uint64_t generation;
};

/* In `where`, or (NULL) in all that is looked at. -ENOTSUP: not exact now. */
int write_log_burst(struct write_log *log, const struct cache_range *where, int64_t rest_ns, int64_t now_ns,
		    struct write_burst *burst);
