/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/volume.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/tree/dir.h"
#include "cache/tree/table.h"

static int volume_parse(void *owner, struct source *source, void **result)
{
	struct cache_volume *volume = owner;
	struct source_slice slice =
		source_slice_of(source, volume->entry.offset_bytes, volume->entry.length_bytes);
	struct fat_volume *reading = malloc(sizeof(*reading));
	int error;

	if (!reading)
		return -ENOMEM;
	error = fat_volume_read(&slice.source, reading);
	if (error != 0) {
		free(reading);
		return error;
	}
	*result = reading;
	return 0;
}

static bool volume_commit(void *owner, void *result)
{
	struct cache_volume *volume = owner;
	struct fat_volume *reading = result;
	bool changed = !volume->root || !fat_volume_equal(&volume->fat, reading);

	volume->fat = *reading;
	free(reading);
	if (changed && volume->root) {
		dir_detach(volume->root);
		volume->root = NULL;
	}
	return changed;
}

struct cache_range volume_range(const struct cache_volume *volume)
{
	return (struct cache_range){ volume->entry.offset_bytes, volume->entry.length_bytes };
}

static const struct cached_kind volume_kind = { volume_parse, volume_commit, free };

/* Does the file system reach beyond so many bytes? */
static bool is_cut(const struct cache_volume *volume, uint64_t length_bytes)
{
	return volume->fat.data_offset_bytes + (uint64_t)volume->fat.cluster_count * volume->fat.cluster_bytes > length_bytes;
}

/*
 * Did the partition's end move within the file system? What is below the volume holds where
 * it was. But for one that is cut by the end of the image: what is behind that cannot be read
 * in any case, and the image may be whole again the next time.
 */
static bool end_moved(const struct cache_volume *volume, const struct part_entry *entry)
{
	uint64_t held_bytes = volume->root->place.range.length_bytes;

	if (entry->length_bytes > held_bytes)
		return is_cut(volume, held_bytes);
	return entry->length_bytes < held_bytes && is_cut(volume, entry->length_bytes) &&
	       entry->offset_bytes + entry->length_bytes < volume->image->seen.size_bytes;
}

/* Its entry in the table as it is now; a partition that moved is another one. */
static int volume_follow_table(struct cache_volume *volume)
{
	const struct part_entry *entry = part_table_find(volume->image->table->parts, volume->number);

	if (volume->root && (!entry || entry->offset_bytes != volume->entry.offset_bytes || end_moved(volume, entry))) {
		dir_detach(volume->root);
		volume->root = NULL;
	}
	if (entry && entry->offset_bytes == volume->entry.offset_bytes &&
	    entry->length_bytes == volume->entry.length_bytes)
		return 0;
	if (!entry)
		return -ENOENT;
	volume->entry = *entry;
	cached_forget(&volume->cached);
	return 0;
}

int volume_refresh(struct cache_volume *volume, struct cache_op *op)
{
	struct cache_image *image = volume->image;
	struct cache_range where;
	int error = table_refresh(image, op);

	if (error == 0)
		error = volume_follow_table(volume);
	where = volume_range(volume);
	if (error == 0)
		error = cached_refresh(image, op, &volume->cached, &volume_kind, volume, &where);
	if (error == 0 && !volume->root)
		error = dir_new(image, volume, &(struct location){ volume->fat, where }, NULL, NULL, &volume->root);
	if (error == -EINVAL || error == -ENODATA) {
		image->problem = "its boot partition is no FAT";
		error = -EIO;
	}
	return error;
}

static int volume_new(struct cache_image *image, unsigned number, struct cache_volume **out)
{
	struct cache_volume *volume = calloc(1, sizeof(*volume));

	if (!volume)
		return -ENOMEM;
	volume->image = image;
	volume->number = number;
	volume->next = image->volumes;
	image->volumes = volume;
	*out = volume;
	return 0;
}

int volume_get(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_volume **out)
{
	const struct part_entry *entry = part_table_find(image->table->parts, number);
	struct cache_volume *volume;
	int error;

	if (!entry || !entry->is_fat)
		return -ENOENT;
	/* At most one for each number that ever was in the table, PART_ENTRIES_MAX at a time. */
	for (volume = image->volumes; volume; volume = volume->next)
		if (volume->number == number)
			break;
	if (!volume) {
		error = volume_new(image, number, &volume);
		if (error != 0)
			return error;
	}
	error = volume_refresh(volume, op);
	*out = volume;
	return error;
}

void volume_free(struct cache_volume *volume)
{
	if (volume->root)
		dir_detach(volume->root);
	cached_forget(&volume->cached);
	free(volume);
}
