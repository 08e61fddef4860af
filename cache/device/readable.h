/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * readable: what the opener does with a descriptor that can be read from. Who has one of a file or block device learns
 * nothing new by another one, nor by hearing of changes; one that is a name only (O_PATH), or for writing, is not enough.
 *
 * For opener_perform.c and its parts. Any thread. 0 or a descriptor for the caller to close, or -errno; -EACCES: it is no
 * such descriptor.
 */
#pragma once

#include <stdbool.h>

struct statx;

/* What the descriptor is of, whatever it is, without a question to a file server: it may not answer. */
int readable_look(int fd, struct statx *st);

/* Is it one? *st is filled in also with -EACCES. */
int readable_check(int fd, struct statx *st);

/* For what can be reached by a path only. */
const char *readable_path(int fd, char path[32]);

/* What opener_reopen, opener_counters and opener_watch ask for. Of `flags` O_DIRECT counts. */
int readable_reopen(int fd, unsigned flags);
int readable_counters(int fd, int fds[2]);
int readable_watch(int inotify_fd, int fd, bool once);
