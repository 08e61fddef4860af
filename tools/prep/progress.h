/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress: how far it is, on a terminal: a bar, the speed, the time left. Nothing elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;
	const char *what; /* borrowed */
	uint64_t total;	  /* of the input, in bytes; 0: not known */
	int64_t begun_ns, last_ns;
};

/* `wanted` and standard error is a terminal: a line that is written over again and again. */
void progress_begin(struct progress *progress, bool wanted, const char *what, uint64_t total);

/* `in` of the total was read, `out` bytes of the image are written. Cheap: call it as often as you like. */
void progress_move(struct progress *progress, uint64_t in, uint64_t out);

/* The line is cleared. */
void progress_end(struct progress *progress);
