/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pairing: what the kernel says of one image, in pairs: a thread is about to
 * write or to read (FAN_PRE_ACCESS), and it has (FAN_MODIFY, FAN_ACCESS).
 *
 * A thread that uses system calls has one request at a time, so what it has done
 * is what it announced last. A thread that announces again before it has told an
 * end has several requests in flight (libaio, io_uring), or one of its calls
 * failed: then no end can be told from another, and all that it announces is
 * uncertain (write_log.h), until it has been silent for the lag. A read looks
 * like a write until its FAN_ACCESS.
 *
 * A FAN_MODIFY of a thread that has announced nothing comes through a descriptor
 * that was opened before there was a mark: a stranger. But what was under way when
 * listening began was not announced either: each thread's first one, soon after,
 * only has all looked at again.
 *
 * Knows nothing of fanotify, so that the model check can play the kernel. Calls
 * for one image come one after the other (kernel.c's lock). Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/device/device.h"

struct saving;
struct write_log;

#define PAIRING_THREADS 64

struct pairing {
	struct write_log *log; /* borrowed */
	const void *teller;    /* the log's feed, as which its writes are announced */
	int64_t begun_ns;
	/* Threads whose ends cannot be told apart, and since listening began: who was heard of. By thread, later ones win. */
	struct {
		pid_t thread;
		int64_t heard_ns;
	} several[PAIRING_THREADS], met[PAIRING_THREADS];
};

/* Listening begins. Zero-initialised otherwise. */
void pairing_begin(struct pairing *pairing, struct write_log *log, const void *teller);

/*
 * The thread is about to write or read that range; a length of 0: it is about to
 * set the size to the offset. *saving as of write_log_begin.
 */
void pairing_announced(struct pairing *pairing, pid_t thread, const struct cache_range *range, struct saving **saving);

void pairing_modified(struct pairing *pairing, pid_t thread);
void pairing_accessed(struct pairing *pairing, pid_t thread);
