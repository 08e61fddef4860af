/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reports: what block servers tell of the writes to one image (CONTRACT P, C5).
 *
 * A reporter is one open control file. Each thing written into it is a report:
 * the server waits in write(2) until it is taken in, so what is known here is
 * ahead of the bytes (a write is reported before it is executed) and ahead of
 * the client (its end is reported before the reply).
 *
 * What comes of it, as long as nobody else writes (company.h)
 *   - a generation that moves only by writes to what is looked at: the FAT
 *     partitions and the tables, not the root file system beside them;
 *   - the ranges written since any generation, so that what was not touched is
 *     believed without being read;
 *   - how long a partition has been quiet, writes in flight being no quiet;
 *   - guards (guard.h): the bytes that an open version needs are kept before the
 *     report of the write that replaces them is answered.
 * A reporter speaks only for its own process. As soon as anybody else has the
 * image open for writing, or a reporter goes, or cannot be understood, all that
 * was believed is looked at again, and the device's own signs count.
 *
 * Locking: any function from any thread. One lock for each image, never held
 * across I/O; nothing here blocks but saving_run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/device/device.h"
#include "cache/changes/formats/notify.h"

struct company;
struct guard;
struct reports;
struct reporter;
struct saving;

/* A report that old bytes have to be kept for is answered after this, whatever became of them. */
#define REPORTS_BOUND_NS (50 * INT64_C(1000000))

/* `company` says who else writes: taken over, may be NULL (then others can never be ruled out). -ENOMEM. */
int reports_new(struct company *company, struct reports **reports);
struct reports *reports_ref(struct reports *reports);
void reports_unref(struct reports *reports); /* NULL is fine */

/* ---- for the servers: fuse/control ---------------------------------------- */

/* A control file was opened. It holds a reference to `reports`. -ENOMEM. */
int reporter_new(struct reports *reports, struct reporter **reporter);

/* It is closed, by its server or by the server's death: what it had in flight has ended. NULL is fine. */
void reporter_free(struct reporter *reporter);

/*
 * Take in what was written to it. `thread` is the writing thread as the kernel
 * names it, 0 if it does not. NULL: answer at once. Else: bytes must be kept
 * first; call saving_run where it may block, then answer, then saving_unref.
 */
struct saving *reporter_take(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes);

/*
 * The same for what was written, and answered, before there was a reporter: its writes
 * may have been executed, so it is too late to keep what they replaced. Never blocks.
 */
void reporter_take_late(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes);

/* Keep the bytes. As long as the device takes; stops soon after saving_give_up. */
void saving_run(struct saving *saving);

/* The bound is over: what is not kept by now is lost to its readers. From any thread, at most once, never blocks. */
void saving_give_up(struct saving *saving);
void saving_free(struct saving *saving); /* after saving_run returned, or instead of it */

/* Look at everything again: for a user who knows better. */
void reports_flush(struct reports *reports);

/* Are the ranges believed, or would they be by a look at the image now? Never blocks. */
bool reports_exact(struct reports *reports);

/* ---- for status ------------------------------------------------------------ */

#define REPORTS_STATUS_REPORTERS 8

struct reports_status {
	bool exact;		/* the ranges are believed */
	const char *why_not;	/* constant text; NULL when exact, or when nobody reports */
	pid_t other;		/* somebody else who has the image open for writing, or 0 */
	unsigned reporters;	/* open control files that have said something */
	struct {
		pid_t process;
		enum notify_form form;
		uint64_t writes;
	} reporter[REPORTS_STATUS_REPORTERS];
	uint64_t writes, written_bytes; /* reported so far, by all */
	unsigned in_flight;
	int64_t quiet_ns;	/* since the last reported write ended; -1: none yet */
	unsigned guarded;	/* open versions that reported writes wait for */
	uint64_t saved_bytes;	/* kept before they were overwritten, in all */
	uint64_t lost;		/* chunks that could not be kept in time */
};

void reports_status(struct reports *reports, struct reports_status *status);

/* ---- for the image (cache/ only) ------------------------------------------- */

/* What the device saw, corrected by what is known here. Call right after the device's own observe. */
void reports_observe(struct reports *reports, struct cache_observation *seen);

/*
 * The ranges written since `generation`, those in flight included: at most
 * `capacity`. Returns how many, or -1 when it may be anything. *in_flight is how
 * many of them, at the front, are still being written.
 */
int reports_changes(struct reports *reports, uint64_t generation, struct cache_range *ranges, size_t capacity,
		    size_t *in_flight);

/*
 * A burst: writes that follow each other more closely than the time of rest.
 * What is older than the burst that goes on is no half of it.
 */
struct reports_burst {
	int64_t quiet_ns; /* since the last write ended; 0: one is in flight */
	int64_t start_ns; /* when the first began; now, when there is rest */
	/* What was true under this and is untouched since is older than the burst. 0: how it began is not known. */
	uint64_t generation;
};

/* In `where`, or (NULL) in all that is looked at. -ENOTSUP: not exact now. */
int reports_burst(struct reports *reports, const struct cache_range *where, int64_t rest_ns, int64_t now_ns,
		  struct reports_burst *burst);

/* Ranges nobody ever reads for (other file systems). Copied. Until called, none. */
void reports_set_dull(struct reports *reports, const struct cache_range *ranges, size_t count);

/*
 * Guard an open version whose bytes were true at `generation`. 0: from now on
 * every reported write waits for what it needs. -EAGAIN: a write to it is in
 * flight; -ESTALE: not as it was; -ENOTSUP: not exact now.
 */
int reports_guard(struct reports *reports, struct guard *guard, uint64_t generation);
void reports_unguard(struct reports *reports, struct guard *guard);

/* For the model check, which owns time. Before anything else. */
void reports_set_clock(struct reports *reports, int64_t (*monotonic_ns)(void));

/*
 * Was every write since then reported? Asked after a read and an observation:
 * 0, and what the guard did not save was not overwritten. -EAGAIN: in doubt, ask
 * again; -ENOTSUP: no.
 */
int reports_guard_stands(struct reports *reports, struct guard *guard);
