/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_asked: requests as asked.h wants to hear of them, and the log's lines.
 *
 * At -v a line for each name that is not there, with --debug=files one for each file
 * that is opened; only so many of a board in a while. `caller` is the thread.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "fuse/inode.h"
#include "fuse/names/asked.h"

/*
 * The path in its partition of `name` in directory `inode`, or of the inode itself (NULL); NULL
 * when it has none. In `buffer`, and no more than the end of it when it is longer.
 */
const char *request_path(const struct inode *inode, const char *name, char *buffer, size_t size_bytes);

/* A file was opened; a name was not found; what was asked for could not be had. `image`: where; NULL: in SOURCE. */
void request_opened(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode);
void request_absent(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *parent,
		    const char *name);
void request_failed(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode,
		    const char *name);
