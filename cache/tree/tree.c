/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/waits.h"
#include "cache/tree/dir.h"
#include "cache/tree/table.h"
#include "cache/tree/volume.h"

const struct cache_settings cache_settings_default = {
	.settle_ns = WAIT_SETTLE_NS,
	.keep_bytes = UINT64_C(64) << 20,
	.keep_limit_bytes = UINT64_C(64) << 20,
	.keep_files = 1024,
	.image_memory_bytes = UINT64_C(32) << 20,
	.all_memory_bytes = UINT64_C(256) << 20,
	.partition = 0,
	.temporary_directory = "/var/tmp",
};

/* A file that is preserved from counts whole, though only what is overwritten takes memory. */
#define PRESERVE_BYTES ((uint64_t)256 << 20)

/* One image's share of them: past it its readers get -ESTALE, and its copies are not made. */
#define PRESERVE_SHARE_BYTES (PRESERVE_BYTES / 4)

/* Temporary files, as multiples of the memory for copies: what all have of each kind, and one image. */
#define COPIES_IN_FILES 8
#define COPIES_IN_FILES_SHARE 2
#define PRESERVED_IN_FILES 16
#define PRESERVED_IN_FILES_SHARE 4

/* Half of them is for each kind, and of that so much for one image. */
#define FILES_SHARE(files) ((files) / 2 / 4 + 1)

struct cache *cache_new(const struct cache_settings *settings)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	uint64_t keep_bytes = settings->keep_bytes;

	if (!cache)
		return NULL;
	cache->settings = *settings;
	cache->memory.limit_bytes = settings->all_memory_bytes;
	cache->copies = kept_budget_new(&(struct kept_amount){ keep_bytes, COPIES_IN_FILES * keep_bytes,
								settings->keep_files / 2 },
					settings->temporary_directory);
	cache->preserved = kept_budget_new(&(struct kept_amount){ PRESERVE_BYTES, PRESERVED_IN_FILES * keep_bytes,
								   settings->keep_files / 2 },
					   settings->temporary_directory);
	if (!cache->copies || !cache->preserved) {
		cache_free(cache);
		return NULL;
	}
	return cache;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	kept_budget_unref(cache->copies);
	kept_budget_unref(cache->preserved);
	free(cache);
}

struct share *cache_memory(struct cache *cache)
{
	return &cache->memory;
}

static void take_use(const struct share *memory, const struct kept_budget *copies, const struct kept_budget *preserved,
		     struct cache_use *use)
{
	*use = (struct cache_use){ .memory_bytes = share_used(memory), .memory_limit_bytes = memory->limit_bytes };
	kept_budget_add(copies, &use->kept, &use->kept_limit);
	kept_budget_add(preserved, &use->kept, &use->kept_limit);
}

void cache_use(struct cache *cache, struct cache_use *use)
{
	take_use(&cache->memory, cache->copies, cache->preserved, use);
}

void cache_image_use(struct cache_image *image, struct cache_use *use)
{
	take_use(&image->memory, image->copies, image->preserved, use);
}

/* ---- nodes that lost their users ----------------------------------------- */

/* An image keeps this many nodes that nobody uses, for the next lookup: an unchanged file then has its number again. */
#define IDLE_NODES_MAX 1024

/* A file in more pieces is not kept for the next lookup: a hostile image has many of them. */
#define IDLE_EXTENTS_BYTES ((size_t)128 << 10)

/* The nodes below that nobody uses. */
static size_t idle_below(struct cache_dir *dir)
{
	size_t idle = 0;

	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++) {
			const struct slot *slot = &at->slots[i];

			if (slot->kind == SLOT_FILE)
				idle += node_idle(&slot->version->node);
			else if (slot->kind == SLOT_DIR)
				idle += node_idle(&slot->dir->node);
		}
	}
	return idle;
}

/*
 * A node became idle; keep it for the next lookup unless there are too many. The
 * same few go and come back all the time: so it counts how many are idle now, not
 * how often one became so. Until it is counted again there are twice as many at most.
 */
static void count_idle(struct cache_image *image)
{
	size_t idle = 0;

	if (++image->idle_events <= IDLE_NODES_MAX)
		return;
	image->idle_events = 0;
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		idle += volume->root ? idle_below(volume->root) : 0;
	if (idle <= IDLE_NODES_MAX)
		return;
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			dir_trim(volume->root);
}

/* A root is never freed for being idle. */
static void look_at_dir(struct cache_dir *dir)
{
	if (dir->detached)
		dir_free_if_gone(dir);
	else if (dir->parent)
		count_idle(dir->image);
}

/* Openers or users went: what was kept for them goes, and the version if nothing holds it. */
static void look_at_version(struct cache_version *version)
{
	bool closed = atomic_load(&version->opens) == 0 && !version->copying;

	if (closed) {
		version_drop_content(version);
		version->image->relieved_bytes = 0; /* what was in use may go now */
	}
	if (closed && version->retired)
		dir_supersede(version);
	if (version->detached)
		version_detach(version);
	else if (!node_idle(&version->node))
		return;
	else if (version->extents && extents_footprint_bytes(version->extents) > IDLE_EXTENTS_BYTES)
		dir_supersede(version);
	else
		count_idle(version->image);
}

/*
 * Look at all nodes whose users went; under the image's lock, or alone. A node that
 * stands in a slot is kept for the next lookup: a version that is freed costs an
 * unchanged file its inode number. Kept are so many for each image, and what takes
 * so much of its share of memory.
 */
static void reap(struct cache_image *image)
{
	struct node *node = node_take_list(image);

	while (node) {
		struct node *next = node->next;
		unsigned users = node_take(node);

		if (node->is_version)
			look_at_version((struct cache_version *)node);
		else if (users == 0)
			look_at_dir((struct cache_dir *)node);
		node = next;
	}
	if (!image_is_crowded(image))
		return;
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			dir_relieve(volume->root);
	image->relieved_bytes = share_used(&image->memory);
}

/* ---- images -------------------------------------------------------------- */

/* An image with the place for its table. */
struct whole_image {
	struct cache_image image; /* first */
	struct table table;
};

static void free_tree(struct cache_image *image)
{
	for (struct cache_volume *volume = image->volumes, *next; volume; volume = next) {
		next = volume->next;
		volume_free(volume);
	}
	table_clear(image->table);
}

static int make_shares(struct cache *cache, struct cache_image *image)
{
	uint64_t keep_bytes = cache->settings.keep_bytes, files = FILES_SHARE(cache->settings.keep_files);

	image->memory.limit_bytes = cache->settings.image_memory_bytes;
	image->memory.whole = &cache->memory;
	image->copies = kept_budget_share(cache->copies,
					  &(struct kept_amount){ keep_bytes / 2, COPIES_IN_FILES_SHARE * keep_bytes, files });
	image->preserved = kept_budget_share(
		cache->preserved, &(struct kept_amount){ PRESERVE_SHARE_BYTES, PRESERVED_IN_FILES_SHARE * keep_bytes, files });
	if (image->copies && image->preserved)
		return 0;
	kept_budget_unref(image->copies);
	kept_budget_unref(image->preserved);
	return -ENOMEM;
}

void cache_image_relieve(struct cache_image *image)
{
	/* Whoever holds it looks when leaving. */
	if (pthread_mutex_trylock(&image->lock) == 0)
		image_leave(image);
}

void cache_image_rest(struct cache_image *image)
{
	if (image->device->ops->rest)
		image->device->ops->rest(image->device);
}

int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **out)
{
	static const struct image_ops ops = { reap, free_tree };
	struct whole_image *whole = calloc(1, sizeof(*whole));

	if (!whole || make_shares(cache, &whole->image) != 0) {
		free(whole);
		cache_device_unref(device);
		return -ENOMEM;
	}
	whole->image.cache = cache;
	whole->image.ops = &ops;
	whole->image.device = device;
	whole->image.sector_bytes_hint = sector_bytes_hint;
	whole->image.table = &whole->table;
	atomic_store(&whole->image.users, 1);
	pthread_mutex_init(&whole->image.lock, NULL);
	*out = &whole->image;
	return 0;
}

/* ---- status -------------------------------------------------------------- */

static unsigned open_files_below(struct cache_dir *dir)
{
	unsigned open = 0;

	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++)
			if (at->slots[i].kind == SLOT_FILE && atomic_load(&at->slots[i].version->opens) > 0)
				open++;
	}
	return open;
}

static void status_of_boot(const struct cache_image *image, struct cache_image_status *status)
{
	const struct part_entry *entry;

	status->boot_by_option = image->cache->settings.partition != 0;
	if (status->boot_by_option) {
		status->boot_number = image->cache->settings.partition;
	} else if (status->fat_count == 1) {
		status->boot_number = table_only_fat(image->table->parts);
		status->boot_reason = PART_BOOT_FIRST_FAT;
	} else if (table_boot_problem(image->table)) {
		/* A look at another partition by its number does not mend it. */
		status->problem = table_boot_problem(image->table);
		return;
	} else if (image->table->boot_cached.loaded) {
		status->boot_number = image->table->boot.number;
		status->boot_reason = image->table->boot.reason;
		status->boot_autoboot = image->table->boot.autoboot;
		status->boot_tryboot = image->table->boot.tryboot;
	} else {
		return;
	}
	entry = part_table_find(image->table->parts, status->boot_number);
	if (!entry)
		return;
	status->boot_known = true;
	status->boot_offset_bytes = entry->offset_bytes;
	status->boot_length_bytes = entry->length_bytes;
}

static void status_of_table(const struct part_table *parts, struct cache_image_status *status)
{
	status->scheme = parts->scheme;
	/* A table has at most PART_ENTRIES_MAX entries. */
	for (size_t i = 0; i < parts->count; i++) {
		if (!parts->entries[i].is_fat)
			continue;
		if (status->fat_count < CACHE_STATUS_FATS)
			status->fat_numbers[status->fat_count] = parts->entries[i].number;
		status->fat_count++;
	}
}

int cache_image_status(struct cache_image *image, struct cache_image_status *status)
{
	*status = (struct cache_image_status){ 0 };
	if (pthread_mutex_trylock(&image->lock) != 0)
		return -EAGAIN;
	status->problem = atomic_load(&image->problem);
	status->archive = image->table->cached.error != 0 ? image->table->archive : ARCHIVE_NONE;
	status->change_source = cache_image_change_source(image);
	status->table_known = image->table->parts && image->table->cached.error == 0;
	if (status->table_known) {
		status_of_table(image->table->parts, status);
		status_of_boot(image, status);
	}
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			status->open_files += open_files_below(volume->root);
	image_leave(image);
	return 0;
}
