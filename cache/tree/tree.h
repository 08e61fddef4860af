/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree: the cache and its images come and go. */
#pragma once

#include "cache/tree/types.h"

/* NULL: no memory. Settings are copied. */
struct cache *cache_new(const struct cache_settings *settings);
void cache_free(struct cache *cache); /* after all its images are put */

/* Bytes kept for versions in use, in memory and in temporary files. */
void cache_kept_bytes(struct cache *cache, uint64_t *memory_bytes, uint64_t *file_bytes);

/* Takes over `device`, also when it fails with -ENOMEM. The image has one user: the caller. */
int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **image);
