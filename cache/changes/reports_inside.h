/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reports_inside: what reports.c (the log, and what follows from it) and
 * reporter.c (the streams that fill it) share, and nobody else sees.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "cache/changes/company.h"
#include "cache/changes/guard.h"
#include "cache/changes/ledger.h"
#include "cache/changes/reports.h"

/* Writes that ended and are remembered; of what is older anything may be true. */
#define LOG_ENTRIES 1024

/* nbdkit has 16 threads for each connection. */
#define THREADS_KNOWN 128

enum reports_state {
	REPORTS_INEXACT, /* others write too, or may: the device's own signs count */
	REPORTS_IN_DOUBT, /* somebody was seen: nothing is concluded until it is known who */
	REPORTS_EXACT,
};

struct log_entry {
	uint64_t generation;
	struct cache_range range;
	int64_t begun_ns, ended_ns;
};

struct flight {
	struct reporter *reporter;
	uint64_t id;
	struct cache_range range;
	int64_t begun_ns;
	bool dull;
	bool unkept; /* posted in a ledger: what it is about to overwrite has not been kept */
};

struct reports {
	_Atomic unsigned references;
	struct company *company; /* constant; or NULL */
	pthread_mutex_t lock;	 /* protects all below; only guards' locks are taken under it */

	uint64_t generation;
	uint64_t floor;	     /* what was believed under an older generation may be anything */
	uint64_t epoch;	     /* how often that happened: guards do not outlast it */
	int64_t floor_ns;    /* since when all that was written is in the log */
	struct log_entry *log; /* a ring of LOG_ENTRIES, ascending generations; there when somebody reports */
	size_t log_first, log_count;
	struct flight *flights;
	size_t flight_count, flight_capacity, busy_count; /* busy: not dull */
	struct cache_range *dull;
	size_t dull_count;
	struct guard *guards;
	struct cache_range watch; /* every guard is within it; empty without any */
	uint64_t saving_serial;

	/* What the last look saw. */
	enum reports_state state;
	bool blind;
	uint64_t device_generation, foreign, size_bytes;
	int64_t stamp_ns;		       /* real time, as the next two: */
	int64_t window_begin_ns, window_end_ns; /* writes were in flight */

	int64_t (*monotonic_ns)(void); /* constant after the start */
	struct reporter *reporters;
	unsigned speaking, distrusted;
	uint64_t writes, written_bytes, saved_bytes, lost;
	int64_t last_end_ns;
};

struct reporter {
	struct reports *reports; /* a reference */
	struct reporter *next;	 /* reports->lock */

	pthread_mutex_t lock; /* held while a piece of the stream is taken in; then reports->lock inside */
	struct notify_parser parser;
	/* Of whom it is known which process they belong to; by thread, of two in one place the later one. */
	pid_t threads[THREADS_KNOWN], processes[THREADS_KNOWN];
	pid_t process; /* reports->lock from here: whom it speaks for; 0: it has not said anything */
	bool distrusted;
	size_t flights; /* of the reports' */
	uint64_t writes;
	bool offered;	       /* a ledger, in time or too late; under the reporter's own lock alone */
	struct ledger *ledger; /* or NULL */
	uint64_t taken;	       /* of its records, */
	int64_t taken_ns;      /* and when last */
};

/* ---- reports.c; all under the lock --------------------------------------- */

/* The newest but `back`, of log_count. */
const struct log_entry *reports_log_entry(const struct reports *reports, size_t back);

/* Anything may have changed. */
void reports_start_over(struct reports *reports);

/* A write that takes so long may never end: until it does, it is as if nobody reported. */
bool reports_is_stuck(const struct reports *reports, int64_t now_ns);

bool reports_is_dull(const struct reports *reports, const struct cache_range *range);

/* A write is announced. False: there are more than can be followed. */
bool reports_add_flight(struct reports *reports, const struct flight *flight);

/* The reporter's writes of that id have ended at that time; or `all` of them. */
void reports_end_flights(struct reports *reports, const struct reporter *reporter, bool all, uint64_t id, int64_t at_ns);

/* Its reporter is not believed any more, until it is closed. */
void reports_distrust(struct reports *reports, struct reporter *reporter);

/* ---- reporter.c ------------------------------------------------------------ */

/*
 * A server writes one record at a time, or a few. Each is held against what is in
 * flight and open, while the image waits: more at once are not followed.
 */
#define REPORTS_EVENTS_MAX 256

/* Of `flight` all but reporter and dull are given. `followed`: it is one of few. False: it is as if a stranger did it. */
bool reporter_begin_write(struct reporter *reporter, struct flight *flight, bool followed);

/* ---- posted.c -------------------------------------------------------------- */

/* From now on it posts there, too. Taken over. */
void reporter_use_ledger(struct reporter *reporter, struct ledger *ledger);

/* Take in what was posted: in its ledger, which it has; in all of them. */
void reporter_take_posted(struct reporter *reporter);
void reports_take_posted(struct reports *reports);
