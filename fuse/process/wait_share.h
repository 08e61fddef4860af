/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wait_share: how long requests have waited for one image that is being written,
 * and may wait still.
 *
 * A TFTP server with one thread serves all boards: while it waits for an image
 * that is being written, it serves nobody. So an image that is never at rest makes
 * one thread wait for half of any second at most (CONTRACT C6: WAIT_IMAGE_SHARE_NS
 * of any WAIT_IMAGE_SPAN_NS). A thread that asks for one image only keeps nobody
 * waiting: for it, what was waited for before the image was last at rest does not
 * count, so that it is answered after each of many short updates.
 *
 * Counted for each thread, so that nobody is refused because another was; threads
 * that have no number here (of a PID namespace that we do not see) count as one.
 * What was waited for in vain is counted for the image as well (WAIT_SHARE_ALL):
 * the kernel makes lookups of one name one after the other, so that those who stand
 * behind the first would each begin a wait of their own. Waits side by side count
 * once.
 *
 * Several that are never at rest would be half of a second each, and all of it together: so those that were waited for
 * in vain lately (WAIT_OFFENDER_NS) have one such half between them, of each thread that serves others too. An image
 * whose updates end is none of them, and is not refused for them.
 *
 * It is a sliding window: the time is kept by slots, and the slot in which the
 * window begins counts in whole, so that it is never more than half.
 *
 * Times are CLOCK_MONOTONIC, and are given, so that a test can make its own. All
 * functions may be called from any thread. Of those who waited in the last second
 * only so many are told apart: then who waited longest ago is forgotten.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/waits.h"

#define WAIT_SHARE_SLOT_NS (25 * WAIT_MS)
#define WAIT_SHARE_SLOTS (WAIT_IMAGE_SPAN_NS / WAIT_SHARE_SLOT_NS + 1)

#define WAIT_SHARE_SETS 64
#define WAIT_SHARE_WAYS 8
#define WAIT_SHARE_DEBT_WAYS 4
#define WAIT_SHARE_ASKERS 256

/* Zero is ready for use; all of it under the lock of wait_share.c. */
struct wait_shares {
	struct wait_share {
		uint64_t image; /* a number that stands for it */
		pid_t thread;
		int64_t counted_ns;		     /* the slots are right up to here */
		uint32_t waited_ns[WAIT_SHARE_SLOTS]; /* of the slot with that number, modulo */
	} shares[WAIT_SHARE_SETS][WAIT_SHARE_WAYS];
	/* How long images were waited for in vain; it is forgiven bit by bit from the last time on. */
	struct wait_debt {
		uint64_t image;
		int64_t debt_ns, at_ns; /* it was so much then */
	} debts[WAIT_SHARE_SETS][WAIT_SHARE_DEBT_WAYS];
	/* Not under the lock: who asked of what. Threads that fall together forget each other. */
	struct wait_asker {
		_Atomic pid_t thread;
		_Atomic uint64_t image;
		_Atomic int64_t other_ns; /* when it asked of another image than before; 0: never */
	} askers[WAIT_SHARE_ASKERS];
};

/* In place of a thread: all of them. */
#define WAIT_SHARE_ALL ((pid_t)-1)

/* In place of an image: all that were waited for in vain lately. */
#define WAIT_SHARE_OFFENDERS UINT64_MAX

/* A request of the thread is about the image. For every request: some loads, when it is the same one as before. */
void wait_share_asked(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t (*now_ns)(void));

/* Does the thread ask of other images too? Then nobody else is served while it waits. */
bool wait_share_serves_others(struct wait_shares *shares, pid_t thread, int64_t now_ns);

/* A request of the thread has waited for the image since `since_ns`, and does not wait any more. */
void wait_share_count(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t since_ns, int64_t now_ns);

/* The same, and it was in vain: before wait_share_count, and for all threads. */
void wait_share_count_in_vain(struct wait_shares *shares, uint64_t image, int64_t since_ns, int64_t now_ns);

/*
 * How long a request of the thread that came at `now_ns` may wait for the image: 0 to WAIT_REQUEST_NS. It was at rest at
 * `rest_ns`: what was waited for before that counts only when the thread asks of other images too.
 */
int64_t wait_share_left(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t rest_ns, int64_t now_ns);
