/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * company: who else writes to an image that somebody reports of.
 *
 * A report says what its own process does. That nobody else does anything is
 * found out here, for one image at a time, by two means:
 *   fanotify  tells of every open and every change by a process that is not one
 *             of the reporters, before the call that caused it returns;
 *   a census  of all processes' descriptors and of the loop devices tells who had
 *             the image open for writing before, or still has: some of them
 *             write without a sign (libaio, loop devices).
 * Both need root; without it others can never be ruled out.
 *
 * Not seen: stores into a mapping whose descriptor was closed, and kernel
 * targets (LIO) that were set up before the first report. Who uses those next to
 * a reporter is told so in imagefs-control(7).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct company_state {
	bool alone;	     /* as far as can be known, only the known processes write */
	bool in_doubt;	     /* it was alone, somebody was seen, and is being asked after */
	int64_t doubt_ns;    /* since when (CLOCK_MONOTONIC), while in_doubt */
	uint64_t foreign;    /* grows with each change by another process */
	pid_t other;	     /* one that has the image open for writing, or 0 */
	const char *why_not; /* constant text when not alone */
};

/* An interface, so that the model check can be company of its own. */
struct company {
	const struct company_ops *ops;
};

/* All calls from any thread; none blocks for longer than reading a queue in memory takes. */
struct company_ops {
	void (*look)(struct company *company, struct company_state *state);
	/* This process reports what it writes. Counted: forget it as often as it was made known. */
	void (*know)(struct company *company, pid_t process);
	void (*forget)(struct company *company, pid_t process, bool in_flight); /* was it in the midst of a write? */
	void (*close)(struct company *company);
};

struct companies; /* the fanotify queue and the census, of all images */

/*
 * `trusted`: everybody who writes to images is in this PID namespace, and may be
 * looked at (else that is only believed of the initial namespace, and tried).
 * -errno without the privilege. Starts a thread when it is first needed.
 */
int companies_new(bool trusted, struct companies **companies);

/*
 * Of the file or device behind `fd`, which is borrowed and outlives it; of this
 * machine: asked after a file of another one the kernel might wait. -ENOMEM.
 * Costs nothing until somebody reports.
 */
int company_new(struct companies *companies, int fd, struct company **company);

/* The process a thread belongs to; the thread itself when that cannot be found out. */
pid_t company_process_of(pid_t thread);
