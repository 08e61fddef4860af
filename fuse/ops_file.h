/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_file: open, read and release: the first two as request.h tries them.
 */
#pragma once

#include "fuse/request.h"

int try_open(struct request *request, struct cache_op *op);
int try_read(struct request *request, struct cache_op *op);
void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
