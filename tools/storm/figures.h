/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * figures: what a storm counted, and how long things took; printed as text or as JSON.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Times in microseconds, as many as come. */
struct samples {
	double *values;
	size_t count, room;
	bool lost; /* no memory for some */
};

enum figures_time {
	TIME_ANSWER,	 /* from a request to the first packet, whatever it is */
	TIME_FIRST_BYTE, /* from a request to the first block */
	TIME_WHOLE,	 /* from a request to the last block */
	TIME_BOOT,	 /* a board's whole sequence */
	TIMES
};

struct figures {
	struct samples times[TIMES];
	uint64_t requests, whole, probed, absent, bytes, boots;
	/* What is wrong, by kind. */
	uint64_t refused, cut, silent, invalid, differing, missing, unexpected, local;
	uint64_t resent, duplicates;
	double seconds;
};

/* What the report says of how it was made. */
struct figures_about {
	const char *server, *asks; /* "Pi 4", or of what else */
	const char *against;	   /* NULL: held against each other only */
	size_t boards, rounds;
	double window_seconds;
};

void figures_take(struct figures *figures, enum figures_time which, int64_t from_ns, int64_t to_ns);

/*
 * One more that is wrong: `count` is that of its kind in `figures`. The first ones are named on stderr, `why`
 * with them.
 */
void figures_blame(struct figures *figures, uint64_t *count, const char *path, const char *why);

/* How many answers were wrong, of any kind. */
uint64_t figures_wrong(const struct figures *figures);

/* Sorts the samples. */
void figures_print(struct figures *figures, const struct figures_about *about, FILE *out);
void figures_print_json(struct figures *figures, const struct figures_about *about, FILE *out);

void figures_free(struct figures *figures);
