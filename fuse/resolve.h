/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resolve: what a directory of the mount means now (CONTRACT N8).
 *
 * The name of its image is looked up in SOURCE, each time. If it leads to the image
 * and the partition that it led to before, the place that the inode had is good
 * (cache/ says so otherwise, with -ESTALE); else the path is walked anew.
 *
 * All calls return 0, -ENOENT or -ESTALE when the name leads nowhere, -ENOTDIR, -EIO,
 * -ENOMEM, or -EAGAIN and -EINPROGRESS as in cache/tree/cache.h.
 */
#pragma once

#include "fuse/inode.h"
#include "fuse/names/view.h"

/* The image (and its file) that the inode is in by its name; target->image is a user. */
int resolve_image(struct view *view, struct cache_op *op, const struct inode *inode,
		  struct view_target *target);

/*
 * Look the directory up, and do `act` in it, whose result this is. When that finds that
 * the directory does not stand there any more, both are done once more. `own`: it is the root
 * of a name that has files of its own, which stand before what is in the place (names/own.h).
 */
typedef int (*resolve_act)(void *context, struct cache_op *op, const struct place *place, bool own);

int resolve_directory(struct view *view, struct inodes *inodes, struct cache_op *op, struct inode *inode,
		      resolve_act act, void *context);
