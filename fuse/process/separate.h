/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * separate: the small process that keeps the privileges (cache/device/opener.h says what
 * for), and how the daemon talks to it.
 *
 * It is forked first of all, before there are threads, rings or mounts. Each connection is
 * a pair of sockets with a thread of its own behind it, and is taken for one request at a
 * time; when all are taken another one is made, up to a share of the descriptors; past that
 * requests fail (-EAGAIN). So a request that hangs (a link to a
 * server that is gone) hangs alone, as it did when the daemon's thread did it itself.
 *
 * It ends when the daemon has ended, however that was, and leaves the mounts as they are
 * then, unless the daemon asked to take them away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fuse/process/separate_mounts.h" /* which mounts there are */

/*
 * Fork it. From now on opener_... are done there. SOURCE is `directory`, or `file` in it
 * (NULL: all of it). `title` has the room of the command line, where ps(1) is told what it is. -errno.
 */
int separate_start(const char *directory, const char *file, char *title, size_t title_bytes);

/* That process is no more (it was killed, or had no memory): nothing will be opened, nor unmounted. */
bool separate_has_ended(void);

/* That process, for the daemon. */
pid_t separate_pid(void);

/* Is it a thread of that process, at work for us? */
bool separate_is_thread(pid_t thread);

/*
 * Before anything hostile is looked at: where that mount is, for separate_detach; with
 * `remove` its directory goes too. Each at most once.
 */
void separate_tell_mount(enum separate_mount mount, const char *directory, bool remove);

/*
 * It is mounted, by this daemon. If the daemon is killed from now on, the other process breaks its
 * connection: a thread that waits for the kernel then, which waits for an answer of the daemon, would
 * otherwise never end, and hold the descriptor whose end would break it.
 */
void separate_mounted(enum separate_mount mount);

/* From now on nothing is told any more. */
void separate_seal(void);

/*
 * Take it away lazily, if it is mounted still: no new user finds it, those inside may
 * finish. And its directory, if that was to be removed. Nothing where no mount was told.
 *
 * A process that does not answer is continued, and killed if it then does not, in three times WAIT_OPENER_NS at
 * most. False: so it was, or it is no more, and what is mounted stays.
 */
bool separate_detach(enum separate_mount mount, bool mounted);
