/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_open: an image of images.h, opened: the device that it is, and what is known of its writes.
 *
 * A file or device is opened where it was last found, by the process of opener.h, and only if it is still the one that
 * was found there. To an image behind a block server nothing is connected before it is looked at.
 *
 * Each open image has descriptors. When there are too many, the least recently used are closed; when the system
 * has none left, half of what is open, and so on (view_images_make_room).
 */
#pragma once

#include "fuse/names/images.h"

/*
 * The image itself, opened if it is not yet: a lookup of its name alone opens
 * nothing. -EAGAIN: op does not block; -ESTALE: another file has its place, look
 * the name up again; -EINPROGRESS: too few descriptors; -EIO, -ENOMEM. Borrowed; lives
 * as long as the user.
 */
int view_image_open(struct view_image *image, struct cache_op *op, struct cache_image **cache);

/* Descriptors have run out for a moment: to be waited for. Any other error stays. */
int view_shortage(struct cache_op *op, int error);
