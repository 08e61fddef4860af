/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * separate_mounts: what the process of separate.h knows of the daemon's mounts, to take them away at the end.
 *
 * By then the daemon may be no more, or be somebody else's: it said where its mounts are before anything hostile was
 * looked at, and nothing is taken from it after that (sealed). What is seen at that place later may be another
 * daemon's mount, and is left alone.
 *
 * All of it is for that process alone, but for what is told (struct separate_told), which the daemon fills in.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

enum separate_mount { SEPARATE_MAIN, SEPARATE_CONTROL, SEPARATE_MOUNTS };

/* A message of the daemon: where a mount is to be; or that it is there. Of SEPARATE_MOUNTS: nothing more will be told. */
struct separate_told {
	enum separate_mount mount;
	bool remove;  /* its directory goes with it */
	bool mounted; /* nothing but that */
	char directory[PATH_MAX];
};

/* Of each mount the first place counts. On one thread. */
void separate_mounts_take(const struct separate_told *told);

/*
 * Take mount `which` away lazily, if it is `mounted` and still the one that was told, and its directory, if that
 * goes with it. Once and for all. -ENOENT: none was told, or it was done. Any thread.
 */
int separate_mounts_detach(unsigned which, bool mounted);

/* The daemon was killed: break the connection of those that were told to be mounted. They stay. Any thread. */
void separate_mounts_break(void);
