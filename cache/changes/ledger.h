/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger: reports in memory that a reporter and imagefs share.
 *
 * A report must be known before its write is executed to whoever looks at the image
 * from then on. A write(2) to the control file sees to that, at the price of a round
 * trip through FUSE for each block. But nobody has to know at once when nobody looks:
 * so a reporter posts into the ledger, and imagefs takes from it what was posted
 * before it concludes anything. The write(2) is left for two cases:
 *   - what is about to be overwritten is watched: an open file needs the old bytes;
 *   - the ledger is full, or has not been taken from for some milliseconds.
 * An empty line will do for it: imagefs takes all that was posted before it answers.
 *
 * Why no write slips through: the reporter posts and looks at the watch, imagefs sets
 * the watch and looks at what was posted, each with a full fence between. At least one
 * of them sees the other. In the same way whoever has read the new bytes of a write
 * finds it posted.
 *
 * The reporter makes it: a memfd of sizeof(struct ledger), zero but for the magic and
 * the time, sealed against any change of its size, so that reading it never faults. It
 * says `ledger FD` in its stream, before all else; imagefs_serves is set when write(2)
 * returns, or the reporter goes on without. Numbers are in the byte order of the machine;
 * times are of CLOCK_MONOTONIC, in nanoseconds.
 *
 * Shared by imagefs and reporters; needs nothing but C11. imagefs-control(7) is the
 * contract for others.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LEDGER_MAGIC UINT64_C(0x3172656764656c69) /* "iledger1" where bytes are little-endian */
#define LEDGER_RECORDS 512

struct ledger_record {
	_Atomic uint64_t id;
	_Atomic uint64_t offset_bytes;
	_Atomic uint64_t length_bytes; /* 0: the writes of that id have ended */
	_Atomic uint64_t time_ns;
};

struct ledger {
	_Atomic uint64_t magic, made_ns; /* when it was offered: do both sides' clocks agree? */
	/* Written by imagefs. */
	_Atomic uint64_t imagefs_serves;
	_Atomic uint64_t watch_start_bytes, watch_end_bytes; /* of the image; empty: nothing is watched */
	_Atomic uint64_t taken;				     /* so many records, in all */
	/* Written by the reporter. The nth record is at n % LEDGER_RECORDS, and stays until it is taken. */
	_Alignas(64) _Atomic uint64_t posted;
	_Alignas(64) struct ledger_record records[LEDGER_RECORDS];
};

/* ---- for the reporter; one thread at a time --------------------------------- */

/* Records that are not taken yet. More than LEDGER_RECORDS: what is on the other side does not know what it does. */
static inline uint64_t ledger_untaken(struct ledger *ledger)
{
	return atomic_load_explicit(&ledger->posted, memory_order_relaxed) -
	       atomic_load_explicit(&ledger->taken, memory_order_acquire);
}

/* There is room: fewer than LEDGER_RECORDS are untaken. */
static inline void ledger_post(struct ledger *ledger, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes,
			       int64_t time_ns)
{
	uint64_t at = atomic_load_explicit(&ledger->posted, memory_order_relaxed);
	struct ledger_record *record = &ledger->records[at % LEDGER_RECORDS];

	atomic_store_explicit(&record->id, id, memory_order_relaxed);
	atomic_store_explicit(&record->offset_bytes, offset_bytes, memory_order_relaxed);
	atomic_store_explicit(&record->length_bytes, length_bytes, memory_order_relaxed);
	atomic_store_explicit(&record->time_ns, (uint64_t)time_ns, memory_order_relaxed);
	atomic_store_explicit(&ledger->posted, at + 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Of what was posted just now: must imagefs take it before the write? */
static inline bool ledger_is_watched(struct ledger *ledger, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t start = atomic_load_explicit(&ledger->watch_start_bytes, memory_order_relaxed);
	uint64_t end = atomic_load_explicit(&ledger->watch_end_bytes, memory_order_relaxed);

	return offset_bytes < end && start < offset_bytes + length_bytes;
}

/* ---- for imagefs; under the lock of the image's reports ----------------------- */

/*
 * Share the ledger that is descriptor `fd` of `process`. Never blocks. *ledger is to be
 * given to ledger_unshare. -EPROTO: it is none, or of another clock than `now_ns`; other
 * -errno: that process may not be looked at.
 */
int ledger_share(pid_t process, uint64_t fd, int64_t now_ns, struct ledger **ledger);
void ledger_unshare(struct ledger *ledger); /* NULL is fine */

/* From now on the reporter waits with each write to that; before ledger_posted is called next. */
static inline void ledger_watch(struct ledger *ledger, uint64_t start_bytes, uint64_t end_bytes)
{
	atomic_store_explicit(&ledger->watch_start_bytes, start_bytes, memory_order_relaxed);
	atomic_store_explicit(&ledger->watch_end_bytes, end_bytes, memory_order_relaxed);
}

/* How many were posted, in all: a claim of the reporter's. */
static inline uint64_t ledger_posted(struct ledger *ledger)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&ledger->posted, memory_order_acquire);
}
