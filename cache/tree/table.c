/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/table.h"

#include <errno.h>
#include <stdlib.h>

/* Bytes that were read for the table already. What cannot be read is no archive. */
static enum archive_kind archive_of(struct source *source)
{
	unsigned char bytes[ARCHIVE_BYTES];
	size_t length = source->size_bytes < sizeof(bytes) ? (size_t)source->size_bytes : sizeof(bytes);

	return source_read(source, 0, bytes, length) == 0 ? archive_of_bytes(bytes, length) : ARCHIVE_NONE;
}

static int table_parse(void *owner, struct source *source, void **result)
{
	struct cache_image *image = owner;
	int error = part_table_read(source, image->sector_bytes_hint, (struct part_table **)result);

	/* No result, but told with the error: by what was read last. */
	image->table->archive = error == -ENODATA || error == -EIO ? archive_of(source) : ARCHIVE_NONE;
	return error;
}

static bool table_commit(void *owner, void *result)
{
	struct cache_image *image = owner;
	struct part_table *table = result;
	bool changed = !image->table->parts || !part_table_equal(image->table->parts, table);

	free(image->table->parts);
	image->table->parts = table;
	image->table->changes += changed;
	return changed;
}

static const struct cached_kind table_kind = { table_parse, table_commit, free };

/* ---- what no report of a write is to be remembered for -------------------- */

#define UNTRACKED_MAX ((size_t)2 * PART_ENTRIES_MAX)

/* A partition without what the table itself rests on: in the first blocks of each it was looked for a FAT. */
static size_t untracked_pieces(const struct cache_image *image, const struct part_entry *entry, struct cache_range *out,
			  size_t room)
{
	const struct validation *set = &image->table->cached.validation;
	uint64_t at = entry->offset_bytes, end = entry->offset_bytes + entry->length_bytes;
	size_t count = 0;

	for (size_t i = 0; i < set->count && count < room; i++) {
		uint64_t start = set->blocks[i].block * CACHE_BLOCK_BYTES;

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

/* What is between the end of that entry and the next one, or the end of the image; of no length: another one is there. */
static struct part_entry gap_behind(const struct part_table *table, const struct part_entry *entry, uint64_t size_bytes)
{
	uint64_t at = entry->offset_bytes + entry->length_bytes, end = size_bytes;

	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *other = &table->entries[i];

		if (other->offset_bytes <= at && at < other->offset_bytes + other->length_bytes)
			return (struct part_entry){ 0 };
		if (other->offset_bytes > at)
			end = min_u64(end, other->offset_bytes);
	}
	return (struct part_entry){ .offset_bytes = at, .length_bytes = end > at ? end - at : 0 };
}

/* Writes to other file systems than FAT cost nothing, nor do those to what no partition has. */
static void tell_what_is_untracked(struct cache_image *image)
{
	uint64_t size_bytes = image->table->cached.validation.size_bytes;
	struct cache_range ranges[UNTRACKED_MAX];
	struct part_entry gap;
	size_t count = 0;

	if (!image->log || image->table->told == image->table->cached.adopted)
		return;
	image->table->told = image->table->cached.adopted;
	/* Where there is no table nothing is read but what would be one. */
	gap = (struct part_entry){ .length_bytes = size_bytes };
	if (image->table->cached.error != 0 && write_log_is_told_late(image->log))
		count = untracked_pieces(image, &gap, ranges, UNTRACKED_MAX);
	/* At most PART_ENTRIES_MAX entries, and room is watched. */
	for (size_t i = 0; image->table->cached.error == 0 && i < image->table->parts->count; i++) {
		const struct part_entry *entry = &image->table->parts->entries[i];

		if (!entry->is_fat && !overlaps_a_fat(image->table->parts, entry))
			count += untracked_pieces(image, entry, ranges + count, UNTRACKED_MAX - count);
		gap = gap_behind(image->table->parts, entry, size_bytes);
		if (gap.length_bytes > 0)
			count += untracked_pieces(image, &gap, ranges + count, UNTRACKED_MAX - count);
	}
	write_log_set_untracked(image->log, ranges, count);
}

int table_refresh(struct cache_image *image, struct cache_op *op)
{
	int error = cached_refresh(image, op, &image->table->cached, &table_kind, image, NULL);

	tell_what_is_untracked(image);

	if ((error == -ENODATA || error == -EIO) && image->table->archive != ARCHIVE_NONE)
		image->problem = archive_problem(image->table->archive);
	else if (error == -ENODATA)
		image->problem = image->seen.size_bytes == 0 ? "it is empty" :
							       "it holds neither a partition table nor a FAT";
	else if (error == -EIO)
		image->problem = "its partition table cannot be read or believed";
	else if (error == 0)
		image->problem = NULL;
	return error;
}

/* ---- which is the boot partition ------------------------------------------ */

static int boot_parse(void *owner, struct source *source, void **result)
{
	struct cache_image *image = owner;
	struct part_choice chosen;
	struct boot_choice *choice;
	int error = part_choose_boot(source, image->table->parts, &chosen);

	if (error != 0)
		return error;
	choice = malloc(sizeof(*choice));
	if (!choice)
		return -ENOMEM;
	*choice = (struct boot_choice){
		.number = chosen.entry->number,
		.reason = chosen.reason,
		.autoboot = chosen.autoboot,
		.tryboot = chosen.tryboot,
	};
	*result = choice;
	return 0;
}

static bool boot_commit(void *owner, void *result)
{
	struct cache_image *image = owner;
	struct boot_choice *choice = result;
	bool changed = image->table->boot.number != choice->number;

	image->table->boot = *choice;
	free(choice);
	return changed;
}

static const struct cached_kind boot_kind = { boot_parse, boot_commit, free };

unsigned table_only_fat(const struct part_table *parts)
{
	unsigned number = 0;

	for (size_t i = 0; i < parts->count; i++)
		if (parts->entries[i].is_fat)
			number = parts->entries[i].number;
	return number;
}

const char *table_boot_problem(const struct table *table)
{
	return table->boot_cached.loaded && table->boot_cached.error == -EIO ?
		       "its boot partition is not known: a FAT before it cannot be read, or autoboot.txt names one that is no "
		       "FAT" :
		       NULL;
}

int table_choose_boot(struct cache_image *image, struct cache_op *op, unsigned *number)
{
	const struct part_table *parts = image->table->parts;
	int error;

	*number = image->cache->settings.partition;
	if (*number != 0)
		return 0;
	if (part_table_fat_count(parts) == 1) {
		*number = table_only_fat(parts);
		return 0;
	}
	/* The choice rests on the table too. */
	if (image->table->boot_of != image->table->changes)
		image->table->boot_cached.loaded = false;
	image->table->boot_of = image->table->changes;
	error = cached_refresh(image, op, &image->table->boot_cached, &boot_kind, image, NULL);
	if (error == -EIO)
		image->problem = table_boot_problem(image->table);
	*number = image->table->boot.number;
	return error;
}

void table_clear(struct table *table)
{
	cached_forget(&table->cached);
	cached_forget(&table->boot_cached);
	free(table->parts);
	table->parts = NULL;
}
