/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * privileges: what the daemon keeps of root's once it is mounted.
 *
 * Bytes of images are hostile. Whoever finds a way to make the daemon run code through them
 * should not find root there. So when both mounts are made and before there are threads, it
 * gives up every capability but these:
 *
 *   DAC_READ_SEARCH  images may belong to anybody, and be readable by nobody else; they
 *                    come, are replaced and are watched (inotify, fanotify) at any time
 *   SYS_ADMIN        umount(2) at the end. In no thread's effective set until then
 *
 * fanotify needs SYS_ADMIN too, but only where its queue is made, which is earlier.
 *
 * What it costs: where kernel.io_uring_disabled is 1, pread(2) is used; and a control
 * directory in a directory of somebody else's is not removed at the end.
 *
 * Without root there is nothing to give up, and no_new_privs would keep fusermount3 from
 * unmounting: all of this does nothing then.
 */
#pragma once

#include <stdbool.h>

/* Of this thread, and of those that it starts. For good. 0 or -errno; on an error nothing is worse than before. */
int privileges_drop(void);

/*
 * Call `start` in a thread that has dropped them: the threads that it starts have none, although
 * this one still needs its own. What `start` returns, or -errno.
 */
int privileges_start_without(int (*start)(void *context), void *context);

/* May this thread unmount? Only for the time of doing so. */
void privileges_to_unmount(bool wanted);
