/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * windows: the times in which something was written to one image, as far as it was announced. A
 * ctime outside of all of them is the work of somebody who does not tell.
 *
 * A part of the write log (log_state.h), under its lock: nothing here locks or blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct flights;

/* So many are remembered. */
#define WINDOWS 8

struct window {
	int64_t begin_ns, end_ns; /* of the log's clock; an end of 0: none */
};

struct windows {
	struct window last[WINDOWS]; /* [0] is the last one */
};

/* A write that was begun at the one time was executed by the other. Windows that lie close together become one. */
void windows_note(struct windows *windows, int64_t begin_ns, int64_t end_ns);

/* Was an announced write executed at that time, or may one have been? */
bool windows_explain(const struct windows *windows, const struct flights *flights, int64_t at_ns);
