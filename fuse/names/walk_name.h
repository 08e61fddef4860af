/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * walk_name: what one entry of SOURCE is, for a walk over all of them (walk.h): the image or link, and what a listing or
 * status says of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/archive.h"
#include "fuse/names/tables.h"
#include "fuse/names/view.h"

/* What was found out about one entry of SOURCE. Constant once `result` is known. */
struct walk_name {
	char *file;
	char *name; /* in the mount; others may have the same */
	bool named; /* as an image, by its suffix */
	int result; /* 0: an image or link; -EINPROGRESS: not known in time; else not shown, or -EIO, -ESTALE
		     */
	bool is_directory; /* by readdir, which does not know everywhere */
	bool is_link;
	char *text;		  /* of a link, in the mount; if `met_only` also of one that would lead to itself, and is not shown */
	bool gone;		  /* as view_target's link_gone */
	struct view_image *image; /* of what is met only: a user; NULL: it was not */
	bool own;		  /* it has files of its own (own.h), and of what is met only: */
	size_t own_count;	  /* so many */
	enum archive_kind
		archive; /* what it is, or leads to by its whole path, that is not shown; if `met_only` */
	struct tables_of table; /* of an image, by a look into it */
};

/* How a walk looks. Constant for all of its names. */
struct walk_look {
	struct view *view;
	struct tables_found *last; /* what the last walk that looked into images found; NULL: nothing */
	int dir_fd;		   /* SOURCE */
	bool met_only;		   /* no image is opened (walk.h: with lanes) */
};

/*
 * Look the name up: `found` has its `file`, `name`, `named` and `is_directory`, and nobody else reads it yet. The result,
 * and what belongs to it in `found`; -EAGAIN: it has to wait, and may not.
 */
int walk_name_look(const struct walk_look *look, struct walk_name *found, bool may_block);

/* What it has; a user of the image, too. */
void walk_name_let_go(struct walk_name *found);
