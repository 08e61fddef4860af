/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_wait: how long a request may wait, and for whom its wait is counted.
 *
 * For an image in flux, or our own reading of it, at most
 * WAIT_REQUEST_NS, and no longer than the image may make one thread wait
 * (wait_share.h); a request that may not wait is tried once all the same. For a
 * device that does not answer, WAIT_HUNG_NS more; that counts as a wait when the
 * clock had to answer. Until then the device may only be slow, and to refuse would
 * not make it faster; but who was late within the span gets what is left of it. A READ is given more on storage
 * that is slow but answers (WAIT_SLOW_READ_NS).
 *
 * A thread that asks of other images too (a TFTP server that has only one) keeps them all
 * waiting: of it, the time that a device takes counts as well, and no READ is given more.
 * When its share is used up it is given WAIT_BRIEF_NS, and nothing once that was too short
 * or while the image is being written.
 */
#pragma once

#include "fuse/request.h"

/* May it wait for its image until op->retry_ns from now? If it is the writer that it waits for, that is noted. */
bool request_may_wait(struct request *request, const struct cache_op *op);

/* The wait is over, and was in vain, or not. */
void request_count_wait(const struct request *request, bool in_vain);

/* Is the time that it took to be counted though it waited for no writer? */
bool request_kept_others_waiting(const struct request *request);

/* When the device of its image last answered anybody; 0: never. */
int64_t request_device_answered_ns(const struct request *request);

/* When the clock answers it, from now on; 0: it is refused at once. */
int64_t request_left_for_device(const struct request *request, int64_t now_ns);
