/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holder: does somebody have an image open for writing, and who?
 *
 * Whether is answered by the kernel where it can be: it grants a read lease (fcntl(2)) of a regular file
 * only if nobody has it open for writing, servers in the kernel, loop devices and other
 * containers included, and while the lease lasts, who opens it for writing waits. Who is answered by /proc
 * and /sys, which show what we may see. For block devices, and where a filesystem has no leases, the
 * latter answers both.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Ask the kernel, with a descriptor that was opened read-only; the lease lasts until holder_lease_end, or its
 * end. 0: nobody writes. -EBUSY: somebody does. -EACCES: the file is another user's, and we are not root.
 * -EOPNOTSUPP: no leases here.
 */
int holder_lease(int fd);
/* False: somebody wants to open it for writing, and waits. */
bool holder_lease_end(int fd);

/*
 * Those who have it open for writing, beside this process, as a list for people ("nbd-server (process 712),
 * /dev/loop3, mounted on /mnt"): for the caller to free. NULL: none is seen. `path` is the image's, without
 * links.
 */
char *holder_names(const struct stat *st, const char *path);
