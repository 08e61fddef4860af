/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * target: an image in one of the directories that it is seen in, for fresh: what it must hold, and looks at it, which are
 * judged and counted. Each target has a thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "states.h"
#include "writer.h"

#define HELD 3

/* Constant once there are targets. */
extern struct states states;
extern double patience_seconds; /* so long a refusal is tried again */

struct held {
	int fd;
	unsigned name;
	size_t length;
	unsigned char *bytes;
};

/* An image in one of its directories. */
struct target {
	struct writer *writer;
	const char *directory;
	struct target *first; /* of the image's: it writes, and says when it is over */
	pthread_barrier_t together; /* the first one's, for all of them */
	bool over; /* the first one's */
	unsigned char *model; /* what the image holds */
	unsigned state;
	uint64_t random;
	int64_t written_ns;
	unsigned char *want, *got;
	bool *affected; /* by the last update, of each name */
	struct held held[HELD];
	unsigned long rounds, settled_rounds, trims, zeroes, opens, stale, refused, held_whole, held_refused,
		held_mixed;
	struct series changed_us, unchanged_us;
	pthread_t thread;
};

/* Open every file and list every directory, those that the last update changed first. They must be as in target->state. */
void target_look_at_all(struct target *target);

/* Open some file, and begin to read it; later read it to its end: as it was, or an error. */
void target_hold(struct target *target, struct held *held);
void target_let_go(struct target *target, struct held *held);
