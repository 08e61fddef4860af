/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log_state: the write log inside, for the files that are made of it: write_log.c (what is told and
 * asked), trust.c (whether all is told), burst.c and guards.c. To everybody else it is opaque (write_log.h).
 *
 * Its parts (history, flights, windows, untracked) lock nothing and know nothing of each other, but
 * that windows.h asks the flights. What concerns several of them at once is here.
 *
 * Locking: every function here is called under the log's lock, but for log_state_is_told_late, and
 * takes no other. Under that lock only the guards' own are taken (guard.h); no feed is called, no
 * image is read, nothing waits. Who tells and who looks may be any thread at any time: what is not
 * constant, not atomic, and not under the lock, must not be added.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/changes/flights.h"
#include "cache/changes/history.h"
#include "cache/changes/untracked.h"
#include "cache/changes/windows.h"
#include "cache/changes/write_feed.h"

struct guard;

struct write_log {
	_Atomic unsigned references;
	int64_t (*monotonic_ns)(void), (*real_time_ns)(void); /* constant after the start, */
	struct write_feed *feed;	/* as is this; or NULL, and then */
	const char *why_no_feed;	/* likewise: constant text */
	pthread_mutex_t lock;	       /* protects all below; only guards' locks are taken under it */

	struct history history;
	struct flights flights;
	struct windows windows;
	struct untracked untracked;
	struct guard *guards; /* a list: guards.c */

	/* What the last look saw: trust.c. */
	int64_t listening_ns; /* since when the feed tells; 0: it does not */
	int64_t began_ns;     /* when somebody began to tell, or is believed again, if it is not judged yet; else 0 */
	int64_t settles_ns;   /* until then what nobody told of before may still be executed; 0: no more */
	bool exact, blind;
	uint64_t device_generation, size_bytes;
	int64_t stamp_ns;
	int64_t stranger_ns; /* when one was last noticed; 0: never */

	int speaking, distrusted;
	uint64_t writes, written_bytes, saved_bytes, lost;
	int64_t last_end_ns;
};

/* Are writes told after the fact, if at all? Without the lock: it is constant. */
static inline bool log_state_is_told_late(const struct write_log *log)
{
	return log->feed && log->feed->ops->look;
}

/* All is to be looked at again: what was written until now is not known. */
void log_state_start_over(struct write_log *log);

/* Somebody wrote who does not tell. */
void log_state_stranger(struct write_log *log);

/* The flight of that index counts as written at `ended_ns`; its ctime is of `stamped_ns` at the latest. It is in flight no more. */
void log_state_land(struct write_log *log, size_t index, int64_t ended_ns, int64_t stamped_ns);

/* The same of an uncertain one, whose end is nobody's to tell: it counts as written when it began, and its ctime soon after. */
void log_state_land_uncertain(struct write_log *log, size_t index);

/*
 * The feed's writes grow old: what has not ended within the settle time is
 * uncertain, what is uncertain for longer than the lag is over; and then what
 * was read meanwhile has to be looked at once more, which the entry says.
 */
void log_state_age_flights(struct write_log *log);
