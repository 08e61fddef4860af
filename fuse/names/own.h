/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * own: files of one name's own, which stand before the image's.
 *
 *   SOURCE                        mount
 *   jammy.img                     jammy/
 *   89025d75 -> jammy.img         89025d75/     a directory of its own, since there is
 *   89025d75.d/cmdline.txt        89025d75/cmdline.txt, and all else that jammy/ has
 *
 * NAME.d is a real directory of SOURCE, NAME the name in the mount of an image or of a link that
 * leads to one. Its regular files are in the root of MOUNTPOINT/NAME, before those of the image that
 * are spelled alike (N6); what else is in it, and dot files, is not shown. It is read anew for every answer.
 *
 * Here is which names there are. What is in the files: own_file.h.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "cache/tree/types.h"
#include "fat/names.h"

/* More files than these, in the order of their names, answer EIO. */
#define OWN_FILES_MAX 64

/* The directory of the name in SOURCE, "NAME.d", in NAME_MAX + 1 bytes. False: it would be too long. */
bool own_directory(char *directory, const char *name);

/* Is there one, by a look that opens nothing? `dir_fd` is SOURCE. 1, and *st is its; 0; -EIO. */
int own_is_there(const struct cache_op *op, int dir_fd, const char *name, struct stat *st);

/*
 * The names in the directory, which is empty when it is not there (any more). Opens it: waits as long as SOURCE does,
 * and is -EAGAIN when op may not block. -EINPROGRESS: too few descriptors; -ENOMEM; or for own_why_not. At one moment, and
 * folded; empty after an error.
 */
int own_names_read(const char *directory, struct cache_op *op, struct fat_names *names);

/* Is it one of those that are served, of what fat_names_find has found? */
bool own_names_is_served(const struct fat_names *names, const char *found);

/*
 * Errors of own files, of which the reader sees EIO: for people, or NULL for any other. A constant string.
 */
#define OWN_UNREADABLE (-EPERM)
#define OWN_TOO_LARGE (-EFBIG)
#define OWN_TOO_MANY (-EMLINK)
#define OWN_TOO_MUCH (-ENOBUFS)
const char *own_why_not(int error);
