/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lookup: names in a directory, and what stat shows of one. */
#pragma once

#include "cache/tree/types.h"

/* -ENOENT, -EIO, -ESTALE (the directory is gone), or waiting. */
int cache_dir_lookup(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node);

/* What stat shows of a directory now. -ESTALE, -EIO, or waiting. */
int cache_dir_stat(struct cache_dir *dir, struct cache_op *op, struct cache_attributes *attributes);
