/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount: the mountpoint before, during and after.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Make `mountpoint` ready: a dead mount that a crash left there is detached.
 * `source` is what will be shown, in `source_directory`; neither may be in the other. Returns false
 * after one line on stderr: missing, not a directory, already mounted.
 */
bool mount_prepare(const char *mountpoint, const char *source_directory, const struct stat *source);

/*
 * If a mount of ours is seen at `directory` that does not answer (WAIT_TAKE_OVER_NS), break its
 * connection. A daemon that was killed while one of its threads waited for an answer of its own
 * is not gone: the thread waits for ever, and holds the descriptor whose end would break it. It is
 * the same with a daemon that is stopped: who starts another one there wants it so. Needs root.
 */
void mount_break_silent(const char *directory);

/*
 * Detach dead mounts from `directory`, and see that nothing of FUSE's is mounted
 * there that lives. NULL: it is a directory, described by *st; else why not.
 */
const char *mount_take_over(const char *directory, struct stat *st);

/* Is what is mounted on `directory`, and seen there, imagefs's (its control files among them)? */
bool mount_is_ours(const char *directory);

/* Where a mount of ours, of that type and source (the first column of /proc/mounts), is seen. To be freed; NULL: nowhere. */
char *mount_of_source(const char *type, const char *source);

/* Is `inner` (which is there) the directory of `outer`, or below it? */
bool mount_is_below(const char *inner, const struct stat *outer);

/*
 * Warn if init has no sight of what is mounted there: it is in a mount namespace of somebody's own, as a service with
 * PrivateMounts= has, and nothing that propagates. Nobody at the mountpoint is asked; says nothing when in doubt.
 */
void mount_say_if_private(const char *mountpoint);

/* Does a request for its root (O_PATH) go through the kernel and come back? Waits for it. */
bool mount_is_answered(int fd);

/*
 * The mount's readahead is the one knob that decides how fast a cold file is read: the
 * descriptor that sets it, or -1 where that is not allowed.
 */
int mount_open_readahead(const char *mountpoint);

/* Raise it; the kernel takes it after it was answered for the first time only. */
void mount_set_readahead(int fd);

/*
 * Have root's plain umount(8) run the helper (fuse/umount.h), where that is installed: it asks the kernel for the
 * type, which is "fuse" for all of FUSE, unless libmount has a line of the mount in /run/mount/utab. mount(8) writes
 * it, as it does for libfuse; nobody is asked at the mountpoint. A line that outlives its mount does no harm. Before
 * privileges are given up. Whether it worked is not told: else umount returns before the daemon ends.
 */
void mount_name_helper(const char *source, const char *mountpoint);

/* Without root: fusermount3 unmounts what its caller has mounted. False: it has said why, unless `lazily`. */
bool mount_run_fusermount(const char *mountpoint, bool lazily);

/*
 * Take the mount away lazily: no new user finds it, those inside may finish.
 * As root by umount2, else by fusermount3.
 */
void mount_detach(const char *mountpoint);
