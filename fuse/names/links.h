/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * links: names of SOURCE as names of the mount. Inside of the view only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/tree/cache.h"

/* The suffixes that make a file an image by its name, and that the mount leaves out. */
#define VIEW_SUFFIX_COUNT 2
extern const char *const view_suffixes[VIEW_SUFFIX_COUNT];

/* Links of SOURCE that lead to links of SOURCE: no further than this. */
#define VIEW_LINKS_MAX 8

/* Length of a file's name in the mount: without .img or .raw, if something is left. */
size_t view_shown_length(const char *name);
bool view_has_suffix(const char *name);

/* Dot files are not shown. */
bool view_can_be_shown(const char *name);

/* Where the `:N` of NAME:N begins, or the end of the name. */
const char *view_partition_suffix(const char *name);

/*
 * A number for an image by a name of it, in SOURCE or in the mount: the same for all of its partitions. Names
 * that fall together share what is counted under it.
 */
uint64_t view_share_of(const char *name);

/*
 * What the link `file` of SOURCE (`dir_fd`) is in the mount: its text there, in
 * `text` (PATH_MAX bytes). *maybe_image when it leads out of SOURCE to a file or block device,
 * described by *st: then it is for the caller to say whether that is an image. One whose text is a URI leads
 * to an image, and that text is it (view_is_remote). *gone when
 * it leads out of SOURCE, and as it is read there nothing stands at its end. *outside when
 * that follows from what is outside of SOURCE, too. Opens nothing.
 * -ENAMETOOLONG, or the errno of readlinkat.
 */
int view_classify_link(struct cache_op *op, int dir_fd, const char *file, char *text, bool *maybe_image, bool *gone,
		       bool *outside, struct stat *st);

/* The text of the link `file` of SOURCE as it is, in `target` (PATH_MAX bytes). -ENAMETOOLONG, -errno; op: source.h. */
int view_read_target(const struct cache_op *op, int dir_fd, const char *file, char *target);
