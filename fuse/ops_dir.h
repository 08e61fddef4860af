/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_dir: what names mean: lookup, getattr, readlink and statfs, as request.h tries them.
 */
#pragma once

#include "fuse/request.h"

int try_lookup(struct request *request, struct cache_op *op);
int try_getattr(struct request *request, struct cache_op *op);
int try_readlink(struct request *request, struct cache_op *op);
int try_statfs(struct request *request, struct cache_op *op);
