/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: all names of the mount's root, for readdir.
 */
#pragma once

#include "fuse/names/view.h"
#include "fuse/process/queue.h"

struct view_name {
	char *name;
	bool is_link;
};

struct view_list {
	struct view_name *names; /* sorted */
	size_t count, capacity;
};

/*
 * All names of the root. Wants op->may_block. An image that does not answer
 * within a fraction of a second is listed without its partitions.
 */
int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct view_list *list);
void view_list_free(struct view_list *list);

/* Does a look at SOURCE's names alone tell that there is something to list? Opens no image. */
bool view_has_names(const struct view *view);
