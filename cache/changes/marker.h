/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marker: what the thread that answers the kernel has done later, by another thread.
 *
 * Marks are set and taken away by the process that has the privileges for it (cache/device/opener.h). That one
 * may be stopped, and every writer waits for the thread that answers the kernel: so that one sets no marks.
 * It hands over files that nobody looks at (marker_ignore) and goes on. Until they are ignored, each write to
 * them raises an event: that costs time, and is no error.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

struct marker;

/* What is done, on its thread, with the context given at the start. Both may block. */
struct marker_work {
	/* Have the file behind `fd` ignored, if nobody looks at it by now. `fd` is borrowed. */
	void (*ignore)(void *context, int fd, const struct stat *st);
	void (*sweep)(void *context); /* about once in `sweep_ns` */
	int64_t sweep_ns;
};

/* Starts the thread, which lasts as long as the process, as `context` does. -errno. */
int marker_new(const struct marker_work *work, void *context, struct marker **marker);

/*
 * Have work->ignore called for the file soon. Takes over `fd`, and closes it. Never blocks: what waits already, and what there
 * is no room for, is dropped. The next event of such a file tries again.
 */
void marker_ignore(struct marker *marker, int fd, const struct stat *st);
