/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image: one disk image, its partition table and the choice of its boot
 * partition, both kept as beliefs, so that a table rewritten under us (growpart
 * does it on a Pi's first boot) shows at the next lookup.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cache/tree/tree.h"

const struct cache_settings cache_settings_default = {
	.flux_ns = 200 * INT64_C(1000000),
	.memory_budget_bytes = UINT64_C(64) << 20,
	.keep_limit_bytes = UINT64_C(64) << 20,
	.partition = 0,
	.temporary_directory = "/var/tmp",
};

/* A file that is saved from counts whole, though only what is overwritten takes memory. */
#define RESCUE_BYTES ((uint64_t)256 << 20)

struct cache *cache_new(const struct cache_settings *settings)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->settings = *settings;
	cache->budget = kept_budget_new(settings->memory_budget_bytes, settings->temporary_directory);
	cache->rescue = kept_budget_new(RESCUE_BYTES, settings->temporary_directory);
	if (!cache->budget || !cache->rescue) {
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
	kept_budget_unref(cache->rescue);
	free(cache);
}

void cache_kept_bytes(struct cache *cache, uint64_t *memory_bytes, uint64_t *file_bytes)
{
	uint64_t rescued_bytes, rescued_file_bytes;

	kept_budget_used(cache->budget, memory_bytes, file_bytes);
	kept_budget_used(cache->rescue, &rescued_bytes, &rescued_file_bytes);
	*memory_bytes += rescued_bytes;
	*file_bytes += rescued_file_bytes;
}

/*
 * Seconds in the upper bits: a daemon that is started again continues above
 * anything it could have handed out before (2^20 a second for as long as it ran),
 * so a server that outlives a remount never meets an old number.
 */
static _Atomic uint64_t last_id;

uint64_t cache_next_id(void)
{
	uint64_t id = atomic_load(&last_id);

	if (id == 0) {
		uint64_t start = (uint64_t)time(NULL) << 20;

		if (start == 0)
			start = UINT64_C(1) << 20;
		/* Whoever comes second finds the first one's start. */
		atomic_compare_exchange_strong(&last_id, &id, start);
	}
	return atomic_fetch_add(&last_id, 1) + 1;
}

int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **out)
{
	struct cache_image *image = calloc(1, sizeof(*image));

	if (!image) {
		device->ops->close(device);
		return -ENOMEM;
	}
	image->cache = cache;
	image->device = device;
	image->sector_bytes_hint = sector_bytes_hint;
	atomic_store(&image->users, 1);
	pthread_mutex_init(&image->lock, NULL);
	*out = image;
	return 0;
}

void cache_image_report_to(struct cache_image *image, struct reports *reports)
{
	image->reports = reports;
}

struct reports *cache_image_reports(struct cache_image *image)
{
	return image->reports;
}

/* The last user is gone, so nobody else can reach the tree: no lock is needed. */
void cache_image_put(struct cache_image *image)
{
	if (!image || atomic_fetch_sub(&image->users, 1) != 1)
		return;
	image_look_at_nodes(image);
	for (struct cache_volume *volume = image->volumes, *next; volume; volume = next) {
		next = volume->next;
		volume_free(volume);
	}
	footprint_clear(&image->table_belief.footprint);
	footprint_clear(&image->boot_belief.footprint);
	/* Its feed is about the device's descriptor. */
	if (image->reports)
		write_log_close_feed(image->reports);
	reports_unref(image->reports);
	free(image->table);
	cache_device_unref(image->device);
	pthread_mutex_destroy(&image->lock);
	free(image);
}

/* ---- the table ----------------------------------------------------------- */

static int table_parse(void *owner, struct source *source, void **result)
{
	struct cache_image *image = owner;

	return part_table_read(source, image->sector_bytes_hint, (struct part_table **)result);
}

static bool table_commit(void *owner, void *result)
{
	struct cache_image *image = owner;
	struct part_table *table = result;
	bool changed = !image->table || !part_table_equal(image->table, table);

	free(image->table);
	image->table = table;
	if (changed) /* the choice of the boot partition rests on the table too */
		image->boot_belief.loaded = false;
	return changed;
}

static const struct belief_kind table_kind = { table_parse, table_commit, free };

/* ---- what no report of a write is to be remembered for -------------------- */

#define DULL_MAX ((size_t)2 * PART_ENTRIES_MAX)

/* A partition without what the table itself rests on: in the first blocks of each it was looked for a FAT. */
static size_t dull_pieces(const struct cache_image *image, const struct part_entry *entry, struct cache_range *out,
			  size_t room)
{
	const struct footprint *footprint = &image->table_belief.footprint;
	uint64_t at = entry->offset_bytes, end = entry->offset_bytes + entry->length_bytes;
	size_t count = 0;

	for (size_t i = 0; i < footprint->count && count < room; i++) {
		uint64_t start = footprint->blocks[i].block * CACHE_BLOCK_BYTES;

		if (start + CACHE_BLOCK_BYTES <= at || start >= end)
			continue;
		if (start > at)
			out[count++] = (struct cache_range){ at, start - at };
		at = start + CACHE_BLOCK_BYTES;
	}
	if (at < end && count < room)
		out[count++] = (struct cache_range){ at, end - at };
	return count;
}

/* Tables are hostile: partitions may overlap. */
static bool overlaps_a_fat(const struct part_table *table, const struct part_entry *entry)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *fat = &table->entries[i];

		if (fat->is_fat && fat->offset_bytes < entry->offset_bytes + entry->length_bytes &&
		    entry->offset_bytes < fat->offset_bytes + fat->length_bytes)
			return true;
	}
	return false;
}

/* Writes to other file systems than FAT cost nothing. */
static void tell_what_is_dull(struct cache_image *image, int error)
{
	struct cache_range ranges[DULL_MAX];
	size_t count = 0;

	if (!image->reports || image->dull_of == image->table_belief.adopted)
		return;
	image->dull_of = image->table_belief.adopted;
	/* At most PART_ENTRIES_MAX entries, and room is watched. */
	for (size_t i = 0; error == 0 && i < image->table->count; i++) {
		const struct part_entry *entry = &image->table->entries[i];

		if (!entry->is_fat && !overlaps_a_fat(image->table, entry))
			count += dull_pieces(image, entry, ranges + count, DULL_MAX - count);
	}
	reports_set_dull(image->reports, ranges, count);
}

int image_refresh_table(struct cache_image *image, struct cache_op *op)
{
	int error = belief_refresh(image, op, &image->table_belief, &table_kind, image, NULL);

	tell_what_is_dull(image, error);

	if (error == -ENODATA)
		image->problem = image->seen.size_bytes == 0 ? "it is empty" :
							       "it holds neither a partition table nor a FAT";
	else if (error == -EIO)
		image->problem = "its partition table cannot be read or believed";
	else if (error == 0)
		image->problem = NULL;
	return error;
}

int cache_image_partitions(struct cache_image *image, struct cache_op *op, unsigned *numbers, size_t capacity,
			   size_t *total)
{
	int error = image_enter(image, op);

	if (error != 0)
		return error;
	error = image_refresh_table(image, op);
	if (error == 0 && !image_settled(image, op, image->table_belief.since_ns, NULL))
		error = -EINPROGRESS;
	*total = 0;
	/* A table has at most PART_ENTRIES_MAX entries. */
	for (size_t i = 0; error == 0 && i < image->table->count; i++) {
		if (!image->table->entries[i].is_fat)
			continue;
		if (*total < capacity)
			numbers[*total] = image->table->entries[i].number;
		++*total;
	}
	image_leave(image);
	return error;
}

/* ---- the choice of the boot partition ------------------------------------ */

struct choice {
	unsigned number;
	enum part_boot_reason reason;
};

static int boot_parse(void *owner, struct source *source, void **result)
{
	struct cache_image *image = owner;
	const struct part_entry *chosen;
	enum part_boot_reason reason;
	struct choice *choice;
	int error = part_choose_boot(source, image->table, &chosen, &reason);

	if (error != 0)
		return error;
	choice = malloc(sizeof(*choice));
	if (!choice)
		return -ENOMEM;
	choice->number = chosen->number;
	choice->reason = reason;
	*result = choice;
	return 0;
}

static bool boot_commit(void *owner, void *result)
{
	struct cache_image *image = owner;
	struct choice *choice = result;
	bool changed = image->boot_number != choice->number;

	image->boot_number = choice->number;
	image->boot_reason = choice->reason;
	free(choice);
	return changed;
}

static const struct belief_kind boot_kind = { boot_parse, boot_commit, free };

/* The number of the boot partition. */
static int image_choose_boot(struct cache_image *image, struct cache_op *op, unsigned *number)
{
	int error;

	*number = image->cache->settings.partition;
	if (*number != 0)
		return 0;
	if (part_table_fat_count(image->table) == 1) {
		for (size_t i = 0; i < image->table->count; i++)
			if (image->table->entries[i].is_fat)
				*number = image->table->entries[i].number;
		return 0;
	}
	error = belief_refresh(image, op, &image->boot_belief, &boot_kind, image, NULL);
	*number = image->boot_number;
	return error;
}

/* What cannot be understood is an I/O error to the reader, never "not there". */
static int as_io_error(int error)
{
	return error == -ENODATA || error == -EINVAL ? -EIO : error;
}

/*
 * While directories and tables are being rewritten the boot files of one
 * partition can be out of sight for a moment: a choice that is new must last
 * before anyone is sent there. Asked when everything has been looked at once,
 * so that the waits run side by side.
 */
static bool path_settled(struct cache_image *image, struct cache_op *op, const struct cache_volume *volume, bool boot)
{
	struct cache_range where = volume_range(volume);

	return image_settled(image, op, image->table_belief.since_ns, NULL) &&
	       (!boot || !image->boot_belief.loaded || image_settled(image, op, image->boot_belief.since_ns, NULL)) &&
	       belief_settled(image, op, &volume->belief, volume->belief.since_ns, &where);
}

static int root_once(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root)
{
	bool boot = number == CACHE_PARTITION_BOOT;
	struct cache_volume *volume;
	int error = image_refresh_table(image, op);

	if (error == 0 && boot)
		error = image_choose_boot(image, op, &number);
	if (error != 0) {
		if (error == -ENODATA && !image->problem)
			image->problem = "none of its partitions is a FAT";
		return as_io_error(error);
	}
	error = volume_get(image, op, number, &volume);
	if (error == -ENOENT && !image_settled(image, op, image->table_belief.since_ns, NULL))
		return -EINPROGRESS;
	if (error == -ENOENT && boot) {
		image->problem = "it has no FAT partition of the number asked for";
		return -EIO;
	}
	if (error == 0)
		error = dir_refresh(volume->root, op);
	if (error == -ESTALE || (error == 0 && !volume->root)) { /* made anew meanwhile: look again */
		op->retry_ns = 0;
		error = -EINPROGRESS;
	}
	if (error == 0 && !path_settled(image, op, volume, boot))
		error = -EINPROGRESS;
	if (error != 0)
		return as_io_error(error);
	*root = volume->root;
	return 0;
}

/* Until all that the answer rests on was looked at under one generation. */
static int image_root_locked(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root)
{
	for (int try = 0; try < REFRESH_TRIES; try++) {
		uint64_t generation = image->seen.generation;
		int error = root_once(image, op, number, root);

		if (error == 0 && image->seen.generation != generation)
			continue;
		if (error == 0)
			node_use(image, &(*root)->node);
		return error;
	}
	op->retry_ns = RETRY_SOON_NS;
	return -EINPROGRESS;
}

int cache_image_root(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root)
{
	int error = image_enter(image, op);

	if (error != 0)
		return error;
	error = image_root_locked(image, op, number, root);
	image_leave(image);
	return error;
}

const char *cache_image_problem(struct cache_image *image)
{
	return atomic_load(&image->problem);
}

const char *cache_image_change_source(struct cache_image *image)
{
	return image->device->ops->describe(image->device);
}

/* ---- status -------------------------------------------------------------- */

static unsigned open_files_below(const struct cache_dir *dir)
{
	size_t count = dir->content && dir->slots ? fat_dir_count(dir->content) : 0;
	unsigned open = 0;

	for (size_t i = 0; i < count; i++) {
		const struct slot *slot = &dir->slots[i];

		if (slot->kind == SLOT_FILE && atomic_load(&slot->version->opens) > 0)
			open++;
		else if (slot->kind == SLOT_DIR)
			open += open_files_below(slot->dir);
	}
	return open;
}

static void status_of_boot(const struct cache_image *image, struct cache_image_status *status)
{
	const struct part_entry *entry;

	status->boot_by_option = image->cache->settings.partition != 0;
	status->boot_number = status->boot_by_option ? image->cache->settings.partition : image->boot_number;
	status->boot_reason = image->boot_reason;
	if (!status->boot_by_option && !image->boot_belief.loaded) {
		if (status->fat_count != 1)
			return;
		for (size_t i = 0; i < image->table->count; i++)
			if (image->table->entries[i].is_fat)
				status->boot_number = image->table->entries[i].number;
		status->boot_reason = PART_BOOT_FIRST_FAT;
	}
	entry = part_table_find(image->table, status->boot_number);
	if (!entry)
		return;
	status->boot_known = true;
	status->boot_offset_bytes = entry->offset_bytes;
	status->boot_length_bytes = entry->length_bytes;
}

int cache_image_status(struct cache_image *image, struct cache_image_status *status)
{
	*status = (struct cache_image_status){ 0 };
	if (pthread_mutex_trylock(&image->lock) != 0)
		return -EAGAIN;
	status->problem = atomic_load(&image->problem);
	status->change_source = cache_image_change_source(image);
	status->table_known = image->table && image->table_belief.error == 0;
	if (status->table_known) {
		status->scheme = image->table->scheme;
		status->fat_count = (unsigned)part_table_fat_count(image->table);
		status_of_boot(image, status);
	}
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			status->open_files += open_files_below(volume->root);
	image_leave(image);
	return 0;
}
