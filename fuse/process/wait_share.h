/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wait_share: how long the requests of one image have waited, and may wait still.
 *
 * A TFTP server with one thread serves all boards: while it waits for an image
 * that is being written, it serves nobody. So one image makes its requests wait
 * for half of any second at most (CONTRACT C6: WAIT_IMAGE_SHARE_NS of any
 * WAIT_IMAGE_SPAN_NS). Counted is the time in which at least one request of the
 * image waits: requests that wait side by side cost a server no more than one.
 * It is a sliding window: the time is kept by slots, and the slot in which the
 * window begins counts in whole, so that it is never more than half.
 *
 * A request waits when it found the image in flux (-EINPROGRESS), or our own
 * reading of the device under way; a wait that lasts counts up to now. A request
 * that waits for the device alone counts when the clock had to answer it. Until
 * then the device may only be slow, and to refuse would not make it faster.
 *
 * One for each image, in its lane; never asked on behalf of another image. Zero is
 * ready for use. Times are CLOCK_MONOTONIC, and are given, so that a test can make
 * its own. All functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/waits.h"

#define WAIT_SHARE_SLOT_NS (25 * WAIT_MS)
#define WAIT_SHARE_SLOTS (WAIT_IMAGE_SPAN_NS / WAIT_SHARE_SLOT_NS + 1)

struct wait_share {
	/* The lock of wait_share.c. */
	unsigned waiting;		     /* requests that wait now */
	int64_t counted_ns;		     /* the slots are right up to here */
	uint32_t waited_ns[WAIT_SHARE_SLOTS]; /* of the slot with that number, modulo */
	/* No lock. 0: never. */
	_Atomic int64_t late_ns;  /* the clock had to answer a request that waited for the device */
	_Atomic int64_t stale_ns; /* a request was answered ESTALE */
};

/* One request waits, and has since `since_ns`; and does not wait any more. */
void wait_share_begin(struct wait_share *share, int64_t since_ns, int64_t now_ns);
void wait_share_end(struct wait_share *share, int64_t now_ns);

/* How long a request that has to wait for the image may do so from now on: 0 to WAIT_REQUEST_NS. */
int64_t wait_share_left(struct wait_share *share, int64_t now_ns);

/* The clock has answered a request that waited for the device. */
void wait_share_late(struct wait_share *share, int64_t since_ns, int64_t now_ns);

/* As wait_share_left, of a request that has to wait for the device: all, unless the device was late within the span. */
int64_t wait_share_left_for_device(struct wait_share *share, int64_t now_ns);

/* A request was answered ESTALE: is one that comes now likely to be the kernel's last try of the same path? */
void wait_share_stale(struct wait_share *share, int64_t now_ns);
bool wait_share_is_final_retry(struct wait_share *share, int64_t now_ns);
