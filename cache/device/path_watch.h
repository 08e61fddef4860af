/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path_watch: hear of it when a path may lead to another directory, or a name in that
 * directory to something else.
 *
 * An inotify queue. In it are the directory at the end of the path, and every directory
 * that the kernel looks a component of the path up in on the way there, those of links in
 * the path included. The kernel queues an event before the system call that created, removed,
 * renamed or replaced the name returns; so whoever finds the queue empty knows that all
 * names are as they were when it was made, but for changes that are not over yet. Which
 * file a name stands for is known so, not what is in the file.
 *
 * What is mounted somewhere changes no name and raises no event: /proc/self/mountinfo tells.
 *
 * Only where every name goes through this kernel: ext4, xfs, btrfs, f2fs, tmpfs, and for the
 * directories on the way overlay. On a network filesystem another machine renames, and nothing is told.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

struct path_watch {
	int fd;	       /* of the queue: does not block. -1: none */
	int directory; /* the watch of the directory at the end */
	size_t names_bytes;
	char names[PATH_MAX]; /* the components that were looked up on the way, each with its NUL */
};

/* -EOPNOTSUPP: not on that filesystem; -ENAMETOOLONG, -ELOOP, or as of open and inotify_add_watch; then fd is -1. */
int path_watch_new(const char *path, struct path_watch *watch);

enum path_change {
	PATH_SAME,
	PATH_NAMES,	/* a name in the directory */
	PATH_ELSEWHERE, /* the path may lead elsewhere: it is to be watched anew */
};

/* What has happened since the last call. Empties the queue. */
enum path_change path_watch_read(const struct path_watch *watch);
