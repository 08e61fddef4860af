/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * privileges: who has which of root's.
 *
 * Bytes of images are hostile. Whoever finds a way to make the daemon run code through them
 * should not find root there. So there are three processes (fuse/process/separate.h):
 *
 *   the daemon   has no capability at all once it has mounted, and is another user than
 *                root where there is one for it (-o run_as=, or a user named imagefs)
 *   the opener   keeps DAC_READ_SEARCH, for images of any owner and readable by nobody else,
 *                and SYS_ADMIN, for umount(2) at the end. It parses nothing
 *   imagefs-tls  is the daemon's user, and keeps DAC_READ_SEARCH, for the files that URIs name; its
 *                children have none once they have read them (fuse/process/relays.h)
 *
 * fanotify needs SYS_ADMIN too, but only where its queue is made, which is earlier.
 *
 * Without root there is nothing to give up but the right to become it through a program
 * (no_new_privs), which the opener needs for fusermount3, and the daemon does not.
 */
#pragma once

#include <sys/types.h>

/* Who the daemon is to be; constant. 0: who it is. Before any thread is started. */
void privileges_run_as(uid_t user, gid_t group);

/*
 * Of this thread, of those that it starts, and (the user) of all. For good. 0 or -errno: it may have
 * more than it should then.
 */
int privileges_drop(void);

/*
 * Call `start` in a thread that has dropped them: the threads that it starts have none, although
 * this one still needs its own. Only the user is changed later, with that of all. What `start` returns, or -errno.
 */
int privileges_start_without(int (*start)(void *context), void *context);

/* For the opener. Does as much as it may. */
void privileges_keep(void);

/* For the process that starts relays, which is the daemon's user from now on, and for a relay. -errno: it has more than it should. */
int privileges_keep_for_relays(void);
int privileges_drop_last(void);
