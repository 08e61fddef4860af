/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/waits.h"
#include "cache/tree/boot.h"
#include "cache/tree/idle.h"
#include "cache/tree/table.h"
#include "cache/tree/volume.h"

const struct cache_settings cache_settings_default = {
	.settle_ns = WAIT_SETTLE_NS,
	.memory_budget_bytes = UINT64_C(64) << 20,
	.keep_limit_bytes = UINT64_C(64) << 20,
	.partition = 0,
	.temporary_directory = "/var/tmp",
};

/* A file that is preserved from counts whole, though only what is overwritten takes memory. */
#define PRESERVE_BYTES ((uint64_t)256 << 20)

struct cache *cache_new(const struct cache_settings *settings)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->settings = *settings;
	cache->budget = kept_budget_new(settings->memory_budget_bytes, settings->temporary_directory);
	cache->preserve = kept_budget_new(PRESERVE_BYTES, settings->temporary_directory);
	if (!cache->budget || !cache->preserve) {
		cache_free(cache);
		return NULL;
	}
	return cache;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	kept_budget_unref(cache->budget);
	kept_budget_unref(cache->preserve);
	free(cache);
}

void cache_kept_bytes(struct cache *cache, uint64_t *memory_bytes, uint64_t *file_bytes)
{
	uint64_t preserved_bytes, preserved_file_bytes;

	kept_budget_used(cache->budget, memory_bytes, file_bytes);
	kept_budget_used(cache->preserve, &preserved_bytes, &preserved_file_bytes);
	*memory_bytes += preserved_bytes;
	*file_bytes += preserved_file_bytes;
}

/* An image with the places for what hangs on it. */
struct whole_image {
	struct cache_image image; /* first */
	struct table table;
	struct boot boot;
};

static void free_tree(struct cache_image *image)
{
	for (struct cache_volume *volume = image->volumes, *next; volume; volume = next) {
		next = volume->next;
		volume_free(volume);
	}
	table_clear(image->table);
	cached_forget(&image->boot->cached);
}

int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **out)
{
	static const struct image_ops ops = { idle_reap, free_tree };
	struct whole_image *whole = calloc(1, sizeof(*whole));

	if (!whole) {
		cache_device_unref(device);
		return -ENOMEM;
	}
	whole->image.cache = cache;
	whole->image.ops = &ops;
	whole->image.device = device;
	whole->image.sector_bytes_hint = sector_bytes_hint;
	whole->image.table = &whole->table;
	whole->image.boot = &whole->boot;
	atomic_store(&whole->image.users, 1);
	pthread_mutex_init(&whole->image.lock, NULL);
	*out = &whole->image;
	return 0;
}
