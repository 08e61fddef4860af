/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_listen: does the kernel announce writes to images to us (cache/changes/kernel.h)? Found out at the start.
 *
 * Listening wants privileges, and begins before they are given up. Images behind links may be on other filesystems than
 * SOURCE; those are listened to by a thread of their own, since what a link leads to may hang.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "fuse/names/source.h"
#include "fuse/process/options.h"

struct kernel_events;

/*
 * As the option changes= asks for. *kernel, which is NULL, stays so if it is not to be had; then *why_not is a constant
 * text. (Where SOURCE itself cannot be opened it stays as it was: who needs SOURCE says so.) False: changes=kernel, and it
 * is not to be had; that was said. Before there are threads.
 */
bool kernel_listen(const struct options *options, struct kernel_events **kernel, const char **why_not);

/* A thread that listens to what the links of SOURCE lead to. Zero: there is none. */
struct kernel_listener {
	pthread_t thread; /* valid once started */
	bool started;
};

/* `source` is borrowed for good. */
void kernel_listen_to_links(struct kernel_listener *listener, const struct view_source *source);

/* Wait until that is done, or LISTEN_SECONDS are over. At most once. */
void kernel_listen_wait(struct kernel_listener *listener);
