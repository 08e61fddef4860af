/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recent: the last requests of all, in the order in which they came, for who wants to see
 * them as they happen (imagefsctl status --follow).
 *
 * Each has a number, one more than that of the last: who looks again and again sees what is
 * new, and how much went by unseen. What it costs a request: a lock that is held while some
 * names are copied. Memory: RECENT_COUNT entries, always.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_COUNT 128
#define RECENT_PROGRAM_BYTES 32
#define ASKED_NAME_BYTES 96

enum asked_outcome {
	ASKED_OPENED,
	ASKED_ABSENT,
	ASKED_FAILED, /* EIO: there or not, it could not be had */
};

struct recent_request {
	uint64_t sequence; /* from 1 on */
	int64_t when_ns;
	enum asked_outcome outcome;
	uint64_t version;	      /* of what was opened */
	char name[ASKED_NAME_BYTES];  /* its path in the partition, or in the root; the end of it when it is longer */
	char image[ASKED_NAME_BYTES]; /* in the mount; "": none was reached */
	char board[ASKED_NAME_BYTES]; /* "": none */
	char program[RECENT_PROGRAM_BYTES]; /* that asked; "": not known */
};

struct recent {
	pthread_mutex_t lock;
	struct recent_request requests[RECENT_COUNT]; /* the lock: a ring, and */
	uint64_t count;				      /* ever */
};

void recent_init(struct recent *recent);

/* `request` is copied but for its number. */
void recent_note(struct recent *recent, const struct recent_request *request);

/* A copy of the last ones, the oldest first. How many. */
size_t recent_copy(struct recent *recent, struct recent_request copy[RECENT_COUNT]);
