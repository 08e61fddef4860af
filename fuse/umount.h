/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount: the helper of umount(8) for this type of filesystem (/sbin/umount.fuse.imagefs).
 *
 * The kernel takes a FUSE mount away without a word to its daemon, which has files of SOURCE open for
 * some moments more: who unmounts their storage next would find it busy. So who unmounts by this waits for
 * the daemon to end: systemd does, whose umount(8) is told not to guess the type (-c), and so does root's plain one,
 * for which mount_name_helper leaves word. A lazy umount does not wait: who is in there may stay.
 */
#pragma once

#include <stdbool.h>

/* Is that its name? */
bool umount_is_asked(const char *program);

/* The exit status is one of umount(8)'s; if it is not 0, a line went to stderr. */
int umount_run(int argc, char **argv);
