/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * write_log: what is written to one image, where, since when and by whom, as far
 * as somebody tells; and what follows from it (CONTRACT C5, P).
 *
 * Who tells
 *   The kernel (kernel.h), of every write by anybody, before it is executed; or
 *   block servers, through control files (reporter.h); or the server of an image that
 *   is read from it, after the fact (nbd_writes.h, and below). Each write is announced
 *   (write_log_begin), and mostly its end is told (write_log_end). A write
 *   without a known end is uncertain: it may be executed at any time within the
 *   lag that ctime has as well (WAIT_CTIME_LAG_NS), and is looked at again until
 *   then; how long the image has been quiet counts from its begin.
 *
 * What follows, as long as every write is announced (exact; trust.h, where a look at the image begins)
 *   - a generation that moves only by writes to what is looked at: the FAT
 *     partitions and the tables, not the root file system beside them;
 *   - the ranges written since any generation: what was not touched is believed
 *     without being read;
 *   - how long a partition has been quiet (burst.h);
 *   - guards (guards.h): the bytes that an open file needs are preserved before
 *     the write that replaces them may go on.
 *
 * Strangers
 *   A change that no announced write explains - a FAN_MODIFY of a thread that
 *   announced nothing, a ctime outside of all announced writes - was made by
 *   somebody who does not tell: a descriptor from before the mark, a loop
 *   device, a mapping. Then all is looked at again, and the device's own signs
 *   count until there was no stranger for WAIT_STRANGER_NS. Where only servers
 *   report, a stranger's write in the very moments of a reported one passes for it.
 *
 * Told after the fact
 *   A server counts writes, and each look at the image asks it (write_feed_ops.look) what was
 *   written since the look before, and what is being written; nobody announces anything. So
 *   what is known is of the last look: whoever has read something looks once more, and then
 *   asks here whether it was written since the look before the reading. That is a
 *   seqlock. There are no guards: bytes that are overwritten are gone. A write counts as
 *   begun at the look before, and as ended at the one that found it.
 *
 * Locking: any function from any thread. One lock for each log, a leaf but for
 * the guards' own; never held across I/O. Nothing here blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/changes/write_feed.h"
#include "cache/device/device.h"

struct saving;
struct write_log;

int write_log_new(struct write_log **log); /* -ENOMEM */
struct write_log *write_log_ref(struct write_log *log);
void write_log_unref(struct write_log *log); /* NULL is fine */

/* For the model check, which owns time: its one clock is the real-time clock as well. Before anything else. */
void write_log_set_clock(struct write_log *log, int64_t (*clock_ns)(void));
int64_t write_log_now_ns(const struct write_log *log);

/* ---- who tells of every write by anybody (write_feed.h) -------------------------- */

/* Before the first look. Taken over: closed by write_log_close_feed. */
void write_log_set_feed(struct write_log *log, struct write_feed *feed);
void write_log_no_feed(struct write_log *log, const char *why); /* constant text, for status */
void write_log_close_feed(struct write_log *log);
bool write_log_has_feed(const struct write_log *log);

/* ---- for those who tell -------------------------------------------------------- */

/*
 * A write of `id` by `teller` is about to be executed. *saving, if it is made, is
 * to be run or given up before it may be. False: more are in flight than can be
 * followed; the teller must not be believed then.
 */
bool write_log_begin(struct write_log *log, const void *teller, uint64_t id, const struct cache_range *range,
		     struct saving **saving);

/* All writes of that id have ended. Returns how many there were. */
unsigned write_log_end(struct write_log *log, const void *teller, uint64_t id);

/* They were reads: forget them. Returns how many. */
unsigned write_log_was_read(struct write_log *log, const void *teller, uint64_t id);

/* Their end will not be told, or not which: they are uncertain from now on. Returns how many. */
unsigned write_log_end_unknown(struct write_log *log, const void *teller, uint64_t id);

/* Of this teller nothing is in flight any more. Returns how many were. */
unsigned write_log_end_all(struct write_log *log, const void *teller);

/* Somebody wrote who does not tell. */
void write_log_stranger(struct write_log *log);

/* After the fact: what a feed's look found. */
struct write_news {
	int64_t since_ns; /* of write_log_now_ns: when the look before began */
	uint64_t writes;  /* begun since then */
	const struct cache_range *written, *in_flight; /* since then; and now */
	size_t written_count, in_flight_count;
};

#define WRITE_NEWS_MAX 64 /* of each */

/* False: there is no memory for it, and what is being written is not known: the feed's look has to be false,
 * too. */
bool write_log_news(struct write_log *log, const struct write_news *news);

/* Up to where anything is tracked, but for pieces of so many bytes behind other file systems; of an image of that size. */
uint64_t write_log_tracked_end(struct write_log *log, uint64_t size_bytes, uint64_t piece_bytes);

/* The first byte that is tracked, from that one on. */
uint64_t write_log_tracked_begin(struct write_log *log, uint64_t from_bytes);

/* Is it known what is tracked, so that there is more of it than that only where a FAT is? */
bool write_log_is_mapped(struct write_log *log);

/* Look at everything again. */
void write_log_start_over(struct write_log *log);

/* So many bytes could not be preserved in time; for status. */
void write_log_count_lost(struct write_log *log, unsigned lost);

/* A server's reports are to be believed (+1), or not any more (-1); one of them cannot be followed (distrusted). Nothing where a feed tells. */
void write_log_count_reporters(struct write_log *log, int speaking, int distrusted);

/* ---- for the image (cache/tree) ------------------------------------------------- */

/*
 * The ranges written since `generation`, and those that may be written just now:
 * at most `capacity`. Returns how many, or -1 when it may be anything. *in_flight
 * is how many of them, at the front, may be written just now.
 */
int write_log_changes(struct write_log *log, uint64_t generation, struct cache_range *ranges, size_t capacity,
		      size_t *in_flight);

/*
 * Was nothing written since `generation` that touches this, and is nothing being written that does? Of all that is
 * remembered, which may be more than write_log_changes tells; `touches` is called under the log's lock.
 */
bool write_log_untouched(struct write_log *log, uint64_t generation,
			 bool (*touches)(const void *what, const struct cache_range *range), const void *what);

/* Are writes told after the fact, if at all? Then nothing can be guarded. */
bool write_log_is_told_late(const struct write_log *log);

/* Who tells after the fact, for status: constant text; NULL: the device's own word for it stands. */
const char *write_log_source(struct write_log *log);

/* Was each write since `generation` told, whether or not all of them are remembered? */
bool write_log_told_since(struct write_log *log, uint64_t generation);

/* Ranges nobody ever reads for (other file systems): writes to them are not remembered. Copied. Until called, none. */
void write_log_set_untracked(struct write_log *log, const struct cache_range *ranges, size_t count);

/* ---- for status ------------------------------------------------------------------ */

struct write_log_status {
	bool exact;	       /* every write is known with its range, or would be as soon as somebody looks */
	const char *why_not;   /* constant text; NULL when exact, or when nobody tells */
	bool kernel;	       /* the kernel tells, of everybody */
	bool late;	       /* what is told is told after the fact */
	int64_t stranger_ns;   /* since somebody wrote who does not tell; -1: never */
	uint64_t writes, written_bytes; /* announced so far, by all */
	unsigned in_flight;
	int64_t quiet_ns;      /* since the last announced write ended; -1: none yet */
	unsigned guarded;      /* open files that writers wait for */
	uint64_t saved_bytes;  /* preserved before they were overwritten, in all */
	uint64_t lost;	       /* how often something could not be preserved in time */
};

/* Without a look at the image. */
void write_log_status(struct write_log *log, struct write_log_status *status);
