/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view_images: the images that are open, by identity; and the parts of view.c
 * that view_list.c needs. Inside of the view only.
 */
#pragma once

#include "fuse/names/view.h"

struct view_images;

/* Settings are copied. -ENOMEM. */
int view_images_new(struct view *view, const struct view_settings *settings, struct view_images **images);

/*
 * The image that `st` (followed) says stands at `file` of `dir_fd`; it is not
 * opened. `dir_fd` is -1 for SOURCE, else it must stay open as long as the view.
 * *image gets a user. -ENOMEM.
 */
int view_images_get(struct view_images *images, int dir_fd, const char *file, const struct stat *st,
		    struct view_image **image);

/* A user of the image that `st` (followed) describes, if it was met before and not forgotten; else NULL. */
struct view_image *view_images_known(struct view_images *images, const struct stat *st);

/* A user of each that is remembered; *all is for the caller to free, also after -ENOMEM. */
int view_images_all(struct view_images *images, struct view_image ***all, size_t *count);

/* Where it was last found, relative to SOURCE. For the caller to free; NULL: no memory. */
char *view_image_file(struct view_image *image);

/* How many use it; the caller is one of them. */
unsigned view_image_users(struct view_image *image);

/* For view_survey.c. */
struct view_images *view_images(const struct view *view);
const char *view_single_name(const struct view *view);

int view_source_open(const struct view *view);
int view_lookup_at(struct view *view, struct cache_op *op, int dir_fd, const char *name, struct view_target *target);
