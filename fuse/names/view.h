/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view: what the names in the mount's root mean (CONTRACT N1-N5, N7).
 *
 * SOURCE is read anew for every answer: a handful of fstatat calls; unless the kernel
 * says that no name in it has changed since (meanings.h). Else what is remembered is only
 * the images themselves, by device and inode number while they are open, so that their caches live on.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "cache/tree/cache.h"
#include "fuse/names/look.h"
#include "fuse/names/source.h"

struct view;

/* Look at SOURCE, which is the view's from now on. -ENOMEM. Settings are copied. */
int view_new(struct view_source *source, const struct view_settings *settings, struct view **view);

/* Is SOURCE one image (N5), and not a directory? */
bool view_is_single(const struct view *view);

const struct view_source *view_source(const struct view *view);
struct view_images *view_images(const struct view *view);
struct tables *view_tables(const struct view *view); /* what the last listing of SOURCE found */

/*
 * What `name` is. -ENOENT, -EIO, or as cache.h: -EAGAIN, -EINPROGRESS. May open
 * files, so it wants op->may_block for anything it has not met yet.
 */
int view_lookup(struct view *view, struct cache_op *op, const char *name, struct view_target *target);

/* As view_lookup; of an image target->st says which file it is, and not what has become of it since. */
int view_lookup_which(struct view *view, struct cache_op *op, const char *name, struct view_target *target);

/*
 * The image that `name` leads to, for those who name it in another way than the
 * mount does: also by the name of its file, and by that of a link of SOURCE to
 * it, or to a partition of it. As view_lookup.
 */
int view_find_image(struct view *view, struct cache_op *op, const char *name, struct view_target *target);

/*
 * The text of the link `name` in the mount, in PATH_MAX bytes. -ENOENT, -ESTALE when it is none any
 * more; -EAGAIN: op does not block.
 */
int view_read_link(struct view *view, struct cache_op *op, const char *name, char *text);

/* The only image, when SOURCE is one. -ENOENT: it is not there now; -EIO: nor is its directory; -ENOMEM. */
int view_single(struct view *view, const struct cache_op *op, struct view_target *target);
