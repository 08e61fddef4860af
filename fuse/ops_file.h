/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_file: open and read, as request.h tries them.
 */
#pragma once

#include "fuse/request.h"

int try_open(struct request *request, struct cache_op *op);
int try_read(struct request *request, struct cache_op *op);
