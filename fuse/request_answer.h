/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_answer: an error, as the reader, the log and status hear of it.
 *
 * The reader sees one of the errors of CONTRACT E. Of EIO status has a line for its image, and the log too, at a rate that an
 * image cannot fill it with. --debug=changes has what had to wait or was refused, and each open.
 */
#pragma once

#include "fuse/request.h"

/* -errno of a try, or of a wait that is over; unless somebody else has answered. `op` is of the last try. */
void request_answer_error(struct request *request, const struct cache_op *op, int error);

/* The clock has claimed it: its device does not answer. */
void request_answer_late(const struct request *request);

/* It was answered as it was asked: for --debug=changes. `waited`: not at its first try. */
void request_trace_answered(const struct request *request, const struct cache_op *op, bool waited);
