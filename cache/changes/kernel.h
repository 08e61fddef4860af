/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel: the kernel's own account of every write to the images (Linux 6.14 and
 * later, ext4, xfs, btrfs), as a feed of their write logs.
 *
 * fanotify's FAN_PRE_ACCESS comes with thread and range before a write is
 * executed, and the writer waits for our answer. That costs each request of a
 * listened-to file up to 40 us; so an image raises events only while somebody looks at it, and other files do not (marks.h).
 *
 *   SOURCE's directory  one mark for all files in it: a descriptor can raise events
 *                       only if a mark covered its file when it was opened.
 *   an image            a mark of its own, which covers all its names and lasts
 *                       when it is moved; at rest while nobody looks.
 *   other files         none; before Linux 6.17 they raise one event each, and are ignored from then on, by a
 *                       mark that does not keep the inode in memory.
 *
 * One thread answers, and does nothing that can block: marks are set by others
 * (marker.h), for which the opener is asked, and that may be stopped; bytes that must be
 * preserved and are not in the page cache are read by a thread of their own, and
 * the writer goes on without them after WAIT_PRESERVE_NS. Whoever looks at an
 * image takes in what is queued, under the same lock, so that order is kept.
 * When the daemon dies, the kernel lets all writers go on; while it is stopped
 * they wait, killable.
 *
 * The descriptor that comes with an event raises no events: what the daemon reads
 * of an image it reads through such ones (kernel_silent_fd).
 *
 * CAP_SYS_ADMIN is needed for kernel_events_new only.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

struct kernel_events;
struct write_feed;
struct write_log;

/* -EPERM, -ENOSYS, ...: the kernel has none for us. Starts no thread yet. */
int kernel_events_new(struct kernel_events **events);

/* Can files in the directory or of the filesystem behind `fd` be listened to? 0, or why not: -EOPNOTSUPP (the filesystem), -EINVAL (the kernel). */
int kernel_events_test(struct kernel_events *events, int fd);

/* Use no more than Linux 6.16 has, and does that (marks.h)? For tests; the first one before the start. */
void kernel_events_as_before(struct kernel_events *events);
bool kernel_events_arm_apart(const struct kernel_events *events);

/* Start to answer; after the daemon forked. -errno: then nothing may be marked. */
int kernel_events_start(struct kernel_events *events);

/* SOURCE's directory (`fd` may be O_PATH): what is opened in it from now on raises events. Again for the same one: nothing. -errno. */
int kernel_events_directory(struct kernel_events *events, int fd);

/* Does that ask nobody, since it is marked, or never will be? Does not wait for the opener. */
bool kernel_events_has_directory(struct kernel_events *events, int fd);

/* The same of one file elsewhere, for whoever opens it before we look at it. -errno. */
int kernel_events_file(struct kernel_events *events, int fd);

/*
 * Feed the log of the image behind `fd`, which is borrowed, and must be open as
 * long as the feed. 0, and the feed is the log's; else -errno as of
 * kernel_events_test, and nothing has changed.
 */
int kernel_feed_new(struct kernel_events *events, int fd, struct write_log *log);

/* Another descriptor of the file behind `fd`, read-only, that raises no events. The caller's. Blocks. -errno. */
int kernel_silent_fd(struct kernel_events *events, int fd);

/*
 * Do `act`, which reads a little of the file that `st` describes, through a descriptor that was opened for that and
 * is closed then. What it raises is let through, and the file is not ignored because of it: that would take
 * longer than the reading.
 */
void kernel_events_while(struct kernel_events *events, const struct stat *st, void (*act)(void *context), void *context);

/* Constant text for one of the errors above. */
const char *kernel_why_not(int error);
