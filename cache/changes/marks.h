/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marks: what the kernel is asked to raise events of, as marks of one fanotify queue.
 *
 * Two things are asked for. A file is armed: whoever opens it from then on has a descriptor that can raise events. The
 * kernel decides that when a file is opened, by the marks that there are, and never again. And a file is
 * heeded: such descriptors do raise them, and each writer waits for our answer; that is for images
 * that somebody looks at. All others are at rest.
 *
 *   apart   Linux 6.17 and later: a descriptor can raise all events if a mark on its file or on the directory of that has
 *           FAN_ACCESS_PERM, even only to ignore it. So that is what a file or directory is armed with. Of a write
 *           to a file at rest the kernel looks at no mark, and no file raises events that was never heeded.
 *   before  The mask has the events, and of a file at rest they are ignored. To find that out the kernel
 *           takes the directory and the file's name, and walks the marks, twice for each write: nbdkit's writes of
 *           4 KiB, eight at once, keep 0.88 of their rate, and 0.97 and more the other way (tools/bench writers). Files
 *           that were never heeded raise one event each.
 *
 * Which it is, is tried (marks_try): a descriptor that raises no events where one was expected would make
 * its writer a stranger (pairing.h).
 *
 * Marks are set by the opener, whom each of these functions asks and waits for. They keep no state but that; the order of
 * heeding and resting is the caller's. -errno.
 */
#pragma once

#include <stdbool.h>

/* linux/fanotify.h since 6.14; not in the headers of Debian 12. */
#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS 0x00100000
#endif

struct marks {
	int fd; /* fanotify's; borrowed */
	bool apart;
};

/* Can the file or directory be armed and heeded? Leaves it as it was, if it was not marked. */
int marks_test(const struct marks *marks, int fd);

/* A file that nobody else has: armed apart, opened again, and heeded then. The descriptor that was opened, which raises events if there is `apart`. */
int marks_try(const struct marks *marks, int fd);

/* SOURCE's directory, for all files in it. */
int marks_arm_directory(const struct marks *marks, int fd);

/* A file by a mark of its own: which covers all its names, lasts when it is moved, and keeps its inode in memory. */
int marks_arm(const struct marks *marks, int fd);

int marks_heed(const struct marks *marks, int fd);

/* The same, armed or not, and another descriptor of the file, which raises events. */
int marks_heed_and_reopen(const struct marks *marks, int fd);

/* A file with a mark of its own. */
void marks_rest(const struct marks *marks, int fd);

/* Any other that raised an event. No mark is left that keeps it in memory. */
void marks_rest_other(const struct marks *marks, int fd);

/* The mark of its own becomes one that does not keep the inode, nor a deleted image's blocks. */
void marks_leave(const struct marks *marks, int fd);
