/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd_message: one message on a socket of AF_UNIX, and the descriptors that go with it (unix(7), SCM_RIGHTS).
 *
 * The daemon and the process that opens for it (separate.h) speak so with each other. A message has at most
 * OPENER_FDS descriptors, those that there are first; -1 is none. Thread-safe.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "cache/device/opener.h"

/* `flags` as of sendmsg(2), MSG_NOSIGNAL among them always. The descriptors stay the caller's. 0 or -errno. */
int fd_message_send(int fd, int flags, const void *data, size_t bytes, const int *fds, size_t fd_count);

/*
 * Wait for one. The bytes, or 0 at the end, or -errno. What there is no descriptor for is -1 (-EMFILE: they did not fit);
 * those that there are become the caller's.
 */
ssize_t fd_message_receive(int fd, void *data, size_t bytes, int fds[OPENER_FDS]);

/* How many there are. */
size_t fd_message_count(const int fds[OPENER_FDS]);
