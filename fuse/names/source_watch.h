/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source_watch: has SOURCE, or a name in it, become something else since it was looked at?
 *
 * Known from what the kernel tells before the system call that changes a name returns
 * (cache/device/path_watch.h), and before one that mounts or unmounts does: the table of mounts
 * (/proc/self/mountinfo) becomes ready then. Both are looked at with the queue of the images
 * (watch.h), by one system call that costs a tenth of what it does to look a name up.
 *
 * Not told is what happens to a name that is not in SOURCE: what a link out of SOURCE leads
 * to, and what is in NAME.d. These are looked up each time (names/meanings.h).
 */
#pragma once

#include <stdint.h>

struct source_watch;
struct watch;

/* `watch` is borrowed. NULL: it cannot be had. Before the daemon is confined. */
struct source_watch *source_watch_new(struct watch *watch);

/*
 * What is looked up in SOURCE from now on is so for as long as later calls return the same number. 0: it has to be looked up each
 * time. Any thread; may ask the opener, which takes as long as SOURCE does, when the path leads elsewhere.
 */
uint64_t source_watch_look(struct source_watch *source); /* NULL is fine */
