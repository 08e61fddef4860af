/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report: one control file that is open for writing.
 *
 * It is attached to the reports of its image when it is opened. Where the image
 * does not answer in time the server is let go on all the same: what it writes is
 * kept, in order, until the image is there and is told all of it. When that gets
 * too much, nothing more is listened to; the process counts as one that writes
 * without a word, as it would without imagefs.
 *
 * A write is answered as soon as it was taken in; or, when bytes have to be kept
 * before they are overwritten, when that is done or the bound is over.
 */
#pragma once

#include "fuse/control/node.h"

struct report;

/* Answers an open with `file`, or undoes it when the caller is not there any more. */
typedef void (*report_answer)(fuse_req_t fuse, const struct fuse_file_info *file);

/* NULL: no memory. */
struct report *report_new(struct control_base *control, const struct control_node *node);

/* Find somebody who listens. Has `fuse` (the open, with `file`) answered when it did, or when it takes too long. */
void report_open(struct report *report, fuse_req_t fuse, const struct fuse_file_info *file, report_answer answer);

/* Take in what is written, and answer: always, in time, with all of it. */
void report_write(struct report *report, fuse_req_t fuse, const char *bytes, size_t length_bytes);

/* Its server is gone, whatever a job of it still waits for. */
void report_close(struct report *report);

/*
 * The image is to be closed, and no file of it is open: nobody needs to know what is written to
 * it. Its reports are attached again with a later write, if it is there then.
 */
void reports_let_go(struct control_base *control, struct view_image *image);
