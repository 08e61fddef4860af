/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list: all names of a directory at one moment. */
#pragma once

#include "cache/tree/types.h"

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
