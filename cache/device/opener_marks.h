/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opener_marks: which fanotify marks the opener sets for who asks: of a file that can be read from, or of SOURCE's
 * directory; of writes, never of opens, of reads that would wait, nor of whole filesystems.
 *
 * For opener_perform.c. Any thread.
 */
#pragma once

#include "cache/device/opener_request.h"

/* Of the request's fds[1], in its queue fds[0]: flags[0], and flags[1] behind that if it is not 0. -EACCES: not that. */
int opener_marks_set(const struct opener_request *request);
