/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lookup: one name in a directory, all of them, and what stat shows of it. */
#pragma once

#include "cache/tree/types.h"

/* -ENOENT, -EIO, -ESTALE (the directory is gone), or waiting. */
int cache_dir_lookup(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node);

/* What stat shows of a directory now. -ESTALE, -EIO, or waiting. */
int cache_dir_stat(struct cache_dir *dir, struct cache_op *op, struct cache_attributes *attributes);

struct cache_listing_entry {
	const char *name; /* belongs to the listing */
	bool is_directory;
};

struct cache_listing {
	size_t count;
	struct cache_listing_entry *entries;
	char *names;
};

/* All names at one moment. Free with cache_listing_free. -EIO, -ESTALE, -ENOMEM, or waiting. */
int cache_dir_list(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing);
void cache_listing_free(struct cache_listing *listing);
