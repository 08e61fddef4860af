/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listing: an open directory, and readdir.
 *
 * A listing is of one moment, and readdir deals out of memory: offsets of telldir
 * hold within it. It is made when the directory is opened, and anew whenever it is
 * read from its beginning later: after rewinddir, or through a descriptor that was
 * opened long ago, it lists what the name means then (N8). The names are the
 * handle's (handles.h): who opens a directory many times has them once, and who has too many
 * of them gets EIO where one that was dropped has changed since.
 *
 * SOURCE takes longer (names/list.h): it is listed when it is read, and its names are dealt while they come; when all are there, sorted
 * or as they were dealt, they are the handle's.
 *
 * Counted: a request that was answered by the clock may outlive the open directory.
 */
#pragma once

#include "fuse/request.h"

struct open_dir;

int try_opendir(struct request *request, struct cache_op *op);

/* request->held is the open directory; a user of it. */
int try_readdir(struct request *request, struct cache_op *op);

/* One user more of what is open as `file`, until open_dir_put. */
struct open_dir *open_dir_of(const struct fuse_file_info *file);
void open_dir_put(void *dir);
