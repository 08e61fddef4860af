/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: all names of the mount's root, for readdir.
 */
#pragma once

#include "fuse/names/view.h"
#include "fuse/process/queue.h"

/*
 * All names of the root, sorted; what is no directory is a link. Wants op->may_block. An image
 * that does not answer within WAIT_NAME_NS is listed without its partitions. -EIO, -ENOMEM.
 */
int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct cache_listing *listing);

/* Does a look at SOURCE's names alone tell that there is something to list? Opens no image. */
bool view_has_names(const struct view *view);
