/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opener_perform: does what is asked of the opener (opener.h), in the process that has the privileges for it, or here and
 * now where there is none. Who asks is not to be trusted: each request is checked as if it came from whoever took over
 * the daemon. What it may be about stands in opener.h; source_dir.h, readable.h and opener_marks.h draw the lines.
 *
 * Any thread; waits as long as what is asked about does.
 */
#pragma once

#include "cache/device/opener_request.h"

/* *answer's descriptors are the caller's to close; there are none with an error. */
void opener_perform(const struct opener_request *request, struct opener_answer *answer);
