/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_run: a request from its beginning to its answer (request.h).
 *
 * It is tried at once, on the stack of libfuse's thread. If it has to wait it moves to the queue, is tried there as often
 * as it takes and as it may wait (request_wait.h), and is answered by the clock if none of that was in time.
 */
#pragma once

#include "fuse/request.h"

/* Begin the request on inode `id` and see it through. The rest of `request` is set by the caller. */
void request_start(struct request *request, fuse_req_t fuse, uint64_t id, const struct request_call *call);

/* Do something for the inode of `request` that nobody waits for. */
void request_in_background(const struct request *request, const struct request_call *call);
