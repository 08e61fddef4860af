/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_dir: lookup, getattr, readlink, statfs, and directories, as request.h tries them.
 *
 * A directory is read whole when it is opened, so that a listing is of one
 * moment, and readdir deals out of memory.
 */
#pragma once

#include "fuse/request.h"

int try_lookup(struct request *request, struct cache_op *op);
int try_getattr(struct request *request, struct cache_op *op);
int try_readlink(struct request *request, struct cache_op *op);
int try_opendir(struct request *request, struct cache_op *op);
int try_statfs(struct request *request, struct cache_op *op);
void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file);
void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
