/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remount: `mount -o remount`, and `systemctl reload` of a mount's unit.
 *
 * What the kernel knows of a mount (noexec) is changed there. imagefs's own options are the daemon's,
 * constant while it runs: those that are named have to be what they are already. So the one who
 * remounts asks the daemon what they are, by an ioctl(2) on a directory of the mount; and so does who unmounts
 * (umount.h), which process it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fuse/process/api.h"
#include "fuse/process/options.h"

/* Remount options->mountpoint. The exit status; if it is not 0, a line went to stderr. Waits for the daemon. */
int remount(const struct options *options);

/*
 * The daemon's answer to an ioctl: its processes, options and source (absolute) to that of a remount, ENOTTY to any
 * other. From any thread.
 */
void remount_answer(fuse_req_t fuse, const struct options *options, const char *source, unsigned command, size_t room_bytes);

/*
 * The two processes that serve what is mounted there, the daemon first, by their numbers in its own PID namespace, and
 * the filesystem's st_dev. False: it does not say. Waits for it.
 */
bool remount_ask_server(const char *mountpoint, pid_t pids[2], dev_t *device);

/* Where rw was asked for: it is not. A line in the log. */
void remount_say_read_only(const struct options *options);
