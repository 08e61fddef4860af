/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of the file allocation table.
 *
 * Chains mostly run forward, so entries are read through one window of 4 KiB
 * (1024 entries of a FAT32) that moves when it must: following a contiguous
 * file of 64 MiB takes 16 reads, not 16384. The window lies on the source's
 * 4 KiB grid, so that a page cache or direct I/O below it never reads a page
 * twice, but is cut to FAT 0: a source that records what an answer rests on
 * should not be told of the boot sector or a directory that happens to share
 * the page.
 *
 * Only FAT 0 is read. The copies differ for a moment whenever a live volume is
 * written, so comparing them proves nothing.
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "fat/ondisk.h"
#include "fat/table.h"

void fat_table_init(struct fat_table *table, const struct fat_volume *volume, struct source *source)
{
	table->volume = volume;
	table->source = source;
	table->window_offset_bytes = 0;
	table->window_bytes = 0;
}

bool fat_cluster_is_valid(const struct fat_volume *volume, uint32_t cluster)
{
	return cluster >= FAT_FIRST_CLUSTER && cluster - FAT_FIRST_CLUSTER < volume->cluster_count;
}

/* Move the window so that it covers the volume's byte `offset_bytes`, which is in FAT 0. */
static int table_cover(struct fat_table *table, uint64_t offset_bytes)
{
	const struct fat_volume *volume = table->volume;

	/* Before the window this wraps around to a large number. */
	if (offset_bytes - table->window_offset_bytes < table->window_bytes)
		return 0;

	/* The end of FAT 0 is within the source (fat_volume_read): these sums are small. */
	uint64_t page = round_down_u64(offset_bytes, FAT_TABLE_WINDOW_BYTES);
	uint64_t start = max_u64(page, volume->fat_offset_bytes);
	uint64_t end =
		min_u64(page + FAT_TABLE_WINDOW_BYTES, volume->fat_offset_bytes + volume->fat_length_bytes);
	int error = source_read(table->source, start, table->window, end - start);

	table->window_offset_bytes = start;
	table->window_bytes = error ? 0 : end - start;
	return error;
}

/*
 * Copy 2 or 4 bytes at `fat_offset_bytes` of FAT 0. Byte by byte, because a
 * FAT12 entry may begin in one page and end in the next.
 */
static int table_bytes(struct fat_table *table, uint64_t fat_offset_bytes, size_t length_bytes,
		       unsigned char *out)
{
	for (size_t i = 0; i < length_bytes; i++) {
		uint64_t offset_bytes = table->volume->fat_offset_bytes + fat_offset_bytes + i;
		int error = table_cover(table, offset_bytes);

		if (error)
			return error;
		out[i] = table->window[offset_bytes - table->window_offset_bytes];
	}
	return 0;
}

/*
 * The raw number in a cluster's entry. It lies in FAT 0, because cluster_count
 * is at most the number of its entries - 2; with L bytes of FAT12 the last
 * entry n has n + 1 <= 2L/3, and so its second byte n + n/2 + 1 < L.
 */
static int table_number(struct fat_table *table, uint32_t cluster, uint32_t *number)
{
	unsigned char bytes[4];
	int error;

	switch (table->volume->type) {
	case FAT_TYPE_12:
		/* fatgen103: 12 bits each, the odd ones in the upper part of their two bytes. */
		error = table_bytes(table, (uint64_t)cluster + cluster / 2, 2, bytes);
		if (!error)
			*number = get_le16(bytes) >> (cluster & 1 ? 4 : 0) & FAT12_ENTRY_MASK;
		return error;
	case FAT_TYPE_16:
		error = table_bytes(table, (uint64_t)cluster * 2, 2, bytes);
		if (!error)
			*number = get_le16(bytes) & FAT16_ENTRY_MASK;
		return error;
	case FAT_TYPE_32:
		error = table_bytes(table, (uint64_t)cluster * 4, 4, bytes);
		if (!error)
			*number = get_le32(bytes) & FAT32_ENTRY_MASK;
		return error;
	}
	return -EIO;
}

int fat_table_state(struct fat_table *table, bool *dirty, bool *errors)
{
	bool is_fat32 = table->volume->type == FAT_TYPE_32;
	uint32_t state = 0;
	int error = table->volume->type == FAT_TYPE_12 ? 0 : table_number(table, 1, &state);

	*dirty = *errors = false;
	if (error || table->volume->type == FAT_TYPE_12)
		return error;
	*dirty = !(state & (is_fat32 ? FAT32_CLEAN : FAT16_CLEAN));
	*errors = !(state & (is_fat32 ? FAT32_NO_ERRORS : FAT16_NO_ERRORS));
	return 0;
}

static uint32_t table_bad_number(enum fat_type type)
{
	return type == FAT_TYPE_12 ? FAT12_BAD : type == FAT_TYPE_16 ? FAT16_BAD : FAT32_BAD;
}

int fat_table_read(struct fat_table *table, uint32_t cluster, struct fat_link *link)
{
	uint32_t bad = table_bad_number(table->volume->type);
	uint32_t number = 0;
	int error = table_number(table, cluster, &number);

	if (error)
		return error;
	*link = (struct fat_link){ .kind = FAT_LINK_INVALID };
	/* BAD before the range check, as in Linux: the largest FAT32 has a cluster of that number. */
	if (number > bad)
		link->kind = FAT_LINK_END;
	else if (number == bad)
		link->kind = FAT_LINK_BAD;
	else if (number == 0)
		link->kind = FAT_LINK_FREE;
	else if (fat_cluster_is_valid(table->volume, number))
		*link = (struct fat_link){ .kind = FAT_LINK_CLUSTER, .cluster = number };
	return 0;
}
