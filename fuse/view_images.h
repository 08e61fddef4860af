/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view_images: the images that are open, by identity; and the parts of view.c
 * that view_list.c needs. Inside of the view only.
 */
#pragma once

#include "fuse/view.h"

struct view_images;

/* Settings are copied. -ENOMEM. */
int view_images_new(struct view *view, const struct view_settings *settings, struct view_images **images);

/*
 * The image that `st` (followed) says stands at `file`; opens it when it is not
 * open yet. *image gets a user. -EAGAIN: it would have to be opened and op does
 * not block; -ESTALE: it is another file by now, look again; -EIO, -ENOMEM.
 */
int view_images_get(struct view_images *images, struct cache_op *op, int dir_fd, const char *file,
		    const struct stat *st, struct view_image **image);

int view_source_open(const struct view *view);
size_t view_shown_length(const char *name); /* 0: never shown */
int view_lookup_at(struct view *view, struct cache_op *op, int dir_fd, const char *name, struct view_target *target);
