/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the bytes of an image to its table of partitions: what to look for in
 * which order, and what of the answer is kept.
 *
 * Sector 0 can be a FAT's boot sector and an MBR at the same time, and both
 * happen: `mkfs.fat --mbr` adds an entry that covers the whole disk to an
 * unpartitioned FAT, and partitioning a disk that was one FAT leaves the old
 * boot sector's first 440 bytes around the new table. libblkid calls both a
 * FAT. Linux (block/partitions/msdos.c) calls both a table, whose only
 * partition is the whole disk in the first case. Here, in this order:
 *
 *   1. An entry of type 0xEE at sector 1, and a GPT that libblkid accepts: that
 *      GPT, also of a hybrid MBR, as in Linux. Without such an entry a GPT is the
 *      left over of an older life of the disk (sfdisk and mkfs don't clear its end).
 *      The backup is used when the primary is broken; Linux does so only when
 *      told to (`gpt` on its command line), libblkid always.
 *   2. A valid MBR with an entry that begins inside the image, but not at its
 *      first sector: the MBR, as in Linux; libblkid is not shown the boot code.
 *   3. A FAT in sector 0: no table. But where an entry covers all of it, that
 *      entry, so that its number is the kernel's.
 *   4. A boot sector without entries that begins with a jump: an unpartitioned
 *      volume that is no FAT (NTFS, exFAT, BitLocker), and no table.
 *   5. What is left: an MBR without partitions, or nonsense.
 *
 * An MBR doesn't say how large its sectors are. The hint's size comes first, 512
 * without one; the other size is taken only if it alone leads to a FAT.
 *
 * The kernel's rules hold for what a table says (block/partitions/core.c): a
 * partition that begins beyond the end is not there, one that ends beyond is
 * cut, and both keep their numbers.
 */
#include "part/part.h"
#include "part/skeleton.h"

#include <string.h>

#include "fat/fat.h"

static const uint32_t sector_sizes[] = { 512, 4096 };
#define SECTOR_SIZE_COUNT 2

/* ---- the source, its first 4 KiB read once ------------------------------- */

/*
 * Sector 0 is looked at from many sides. Reading it once is cheaper, and all of
 * them see the same moment. It also remembers the source's own failure, which
 * ends everything, while -EIO from fat/ may just mean: not a FAT.
 */
struct head {
	struct source source; /* first, so that a head is a source */
	struct source *whole;
	int failure; /* what whole's read returned last, if not 0 */
	size_t length_bytes;
	unsigned char bytes[4096];
};

static int head_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct head *head = (struct head *)self;

	if (range_within(offset_bytes, length_bytes, head->length_bytes)) {
		memcpy(buffer, head->bytes + offset_bytes, length_bytes);
		return 0;
	}
	int result = source_read(head->whole, offset_bytes, buffer, length_bytes);
	if (result < 0)
		head->failure = result;
	return result;
}

static int head_open(struct head *head, struct source *whole)
{
	head->source = (struct source){ .read = head_read, .size_bytes = whole->size_bytes };
	head->whole = whole;
	head->failure = 0;
	head->length_bytes = (size_t)min_u64(whole->size_bytes, sizeof(head->bytes));
	if (head->length_bytes < MBR_BYTES)
		return -ENODATA;
	return source_read(whole, 0, head->bytes, head->length_bytes);
}

/* ---- entries -------------------------------------------------------------- */

/* Is there a FAT in this range? Only a failure of the source is an error. */
static int range_is_fat(struct head *head, uint64_t offset_bytes, uint64_t length_bytes, bool *is_fat)
{
	struct source_slice slice = source_slice_of(&head->source, offset_bytes, length_bytes);
	struct fat_volume volume;
	int result = fat_volume_read(&slice.source, &volume);

	*is_fat = result == 0;
	if (head->failure)
		return head->failure;
	return result == 0 || result == -EINVAL || result == -EIO ? 0 : result;
}

/* A range of the table as bytes of the image. False when nothing of it is inside. */
static bool entry_within(const struct part_range *range, uint64_t size_bytes, struct part_entry *entry)
{
	uint64_t length_bytes;

	if (!mul_u64(range->start, UNIT_BYTES, &entry->offset_bytes) || entry->offset_bytes >= size_bytes)
		return false;
	if (!mul_u64(range->length, UNIT_BYTES, &length_bytes))
		length_bytes = UINT64_MAX;
	entry->number = range->number;
	entry->length_bytes = min_u64(length_bytes, size_bytes - entry->offset_bytes);
	return entry->length_bytes > 0;
}

static struct part_table *table_new(enum part_scheme scheme, uint32_t sector_bytes, size_t capacity)
{
	/* Zeroed, padding included, and small enough for no sum to overflow. */
	struct part_table *table = calloc(1, sizeof(*table) + capacity * sizeof(table->entries[0]));

	if (table) {
		table->scheme = scheme;
		table->sector_bytes = sector_bytes;
	}
	return table;
}

/* Bounded by PART_ENTRIES_MAX. -EIO when the table has entries, and all of them lie outside the image. */
static int table_of_verdict(struct head *head, enum part_scheme scheme, uint32_t sector_bytes,
			    const struct verdict *verdict, struct part_table **out)
{
	CLEANUP_FREE struct part_table *table = table_new(scheme, sector_bytes, verdict->count);

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < verdict->count; i++) {
		struct part_entry entry = { 0 };

		if (!entry_within(&verdict->ranges[i], head->source.size_bytes, &entry))
			continue;
		int result = range_is_fat(head, entry.offset_bytes, entry.length_bytes, &entry.is_fat);
		if (result < 0)
			return result;
		table->entries[table->count++] = entry;
	}
	if (verdict->count > 0 && table->count == 0)
		return -EIO;
	*out = STEAL_POINTER(table);
	return 0;
}

/* ---- the schemes: 0, -ENODATA when it is another one, or an error ---------- */

static int read_gpt_copy(struct head *head, uint32_t sector_bytes, enum gpt_copy copy,
			 struct part_table **table)
{
	SKELETON_SCOPE(skeleton);
	struct verdict verdict;
	int result = skeleton_of_gpt(&head->source, sector_bytes, copy, &skeleton);

	if (result == 0)
		result = skeleton_judge(&skeleton, PART_SCHEME_GPT, &verdict);
	if (result == 0)
		result = table_of_verdict(head, PART_SCHEME_GPT, sector_bytes, &verdict, table);
	return result;
}

/*
 * Primaries first, at every sector size, then backups. That a header with a
 * good check sum is found at its place proves the sector size.
 */
static int read_gpt(struct head *head, struct part_table **table)
{
	for (enum gpt_copy copy = GPT_COPY_PRIMARY; copy <= GPT_COPY_NAMED; copy++) {
		for (size_t i = 0; i < SECTOR_SIZE_COUNT; i++) {
			int result = read_gpt_copy(head, sector_sizes[i], copy, table);

			if (result != -ENODATA)
				return result;
		}
	}
	return -ENODATA;
}

static int read_mbr_of(struct head *head, uint32_t sector_bytes, bool hide_boot_code,
		       struct part_table **table)
{
	SKELETON_SCOPE(skeleton);
	struct verdict verdict;
	int result = skeleton_of_mbr(&head->source, sector_bytes, hide_boot_code, &skeleton);

	if (result == 0)
		result = skeleton_judge(&skeleton, PART_SCHEME_MBR, &verdict);
	if (result == 0)
		result = table_of_verdict(head, PART_SCHEME_MBR, sector_bytes, &verdict, table);
	return result;
}

/* The first sector size that leads to a FAT; else the first that leads to anything. */
static int read_mbr(struct head *head, uint32_t first_sector_bytes, bool hide_boot_code,
		    struct part_table **out)
{
	uint32_t second_sector_bytes = first_sector_bytes == 512 ? 4096 : 512;
	CLEANUP_FREE struct part_table *first = NULL;
	CLEANUP_FREE struct part_table *second = NULL;
	int first_result = read_mbr_of(head, first_sector_bytes, hide_boot_code, &first);

	if (head->failure)
		return head->failure;
	if (!first || part_table_fat_count(first) == 0) {
		int second_result = read_mbr_of(head, second_sector_bytes, hide_boot_code, &second);

		if (head->failure)
			return head->failure;
		if (second_result == -ENOMEM)
			return second_result;
	}
	if (second && (!first || part_table_fat_count(second) > 0))
		*out = STEAL_POINTER(second);
	else if (first)
		*out = STEAL_POINTER(first);
	else
		return first_result;
	return 0;
}

/* Is there an entry that begins with the image and has all of this FAT in it that is there? */
static bool table_covers(const struct part_table *table, const struct fat_volume *volume, uint64_t size_bytes)
{
	uint64_t end = volume->data_offset_bytes + (uint64_t)volume->cluster_count * volume->cluster_bytes;

	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].offset_bytes == 0 && table->entries[i].is_fat)
			return table->entries[i].length_bytes >= min_u64(end, size_bytes);
	return false;
}

/* The table that a FAT carries in its own boot sector (`mkfs.fat --mbr`); -ENODATA: it is none. */
static int read_own_table(struct head *head, const struct fat_volume *volume, uint32_t sector_bytes,
			  struct part_table **out)
{
	CLEANUP_FREE struct part_table *table = NULL;
	int result = read_mbr(head, sector_bytes, true, &table);

	if (head->failure || result == -ENOMEM)
		return result;
	if (result < 0 || !table_covers(table, volume, head->source.size_bytes))
		return -ENODATA;
	*out = STEAL_POINTER(table);
	return 0;
}

static int read_bare_fat(struct head *head, bool has_own_table, struct part_table **out)
{
	struct fat_volume volume;
	int result = fat_volume_read(&head->source, &volume);
	uint32_t sector_bytes = result == 0 && volume.sector_bytes == 4096 ? 4096 : 512;

	if (head->failure)
		return head->failure;
	if (result < 0)
		return result == -EINVAL ? -ENODATA : result;
	if (has_own_table) {
		result = read_own_table(head, &volume, sector_bytes, out);
		if (result != -ENODATA)
			return result;
	}

	struct part_table *table = table_new(PART_SCHEME_NONE, sector_bytes, 1);
	if (!table)
		return -ENOMEM;
	table->entries[0].length_bytes = head->source.size_bytes;
	table->entries[0].is_fat = true;
	table->count = 1;
	*out = table;
	return 0;
}

int part_table_read(struct source *source, uint32_t sector_bytes_hint, struct part_table **table)
{
	uint32_t sector_bytes = sector_bytes_hint == 4096 ? 4096 : 512;
	struct head head;
	int result = head_open(&head, source);

	*table = NULL;
	if (result < 0)
		return result;
	enum mbr_gpt gpt = mbr_speaks_of_gpt(head.bytes);
	if (gpt == MBR_PROTECTS_GPT) {
		result = read_gpt(&head, table);
		if (result != -ENODATA)
			return result;
	} else if (gpt == MBR_NO_GPT && mbr_has_partitions(head.bytes, source->size_bytes)) {
		return read_mbr(&head, sector_bytes, true, table);
	}
	result = read_bare_fat(&head, gpt == MBR_NO_GPT && mbr_has_whole_disk(head.bytes), table);
	if (result != -ENODATA)
		return result;
	/* An MBR that announces a GPT, and no GPT: Linux shows no partition either. */
	if (gpt != MBR_NO_GPT)
		return -EIO;
	return mbr_is_table(head.bytes) && !boot_is_of_volume(head.bytes) ? read_mbr(&head, sector_bytes, false, table) :
									    -ENODATA;
}

/* ---- looking at a table ----------------------------------------------------- */

static bool entry_equal(const struct part_entry *a, const struct part_entry *b)
{
	return a->number == b->number && a->offset_bytes == b->offset_bytes &&
	       a->length_bytes == b->length_bytes && a->is_fat == b->is_fat;
}

bool part_table_equal(const struct part_table *a, const struct part_table *b)
{
	if (a->scheme != b->scheme || a->sector_bytes != b->sector_bytes || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!entry_equal(&a->entries[i], &b->entries[i]))
			return false;
	return true;
}

const struct part_entry *part_table_find(const struct part_table *table, unsigned number)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].number == number)
			return &table->entries[i];
	return NULL;
}

size_t part_table_fat_count(const struct part_table *table)
{
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++)
		count += table->entries[i].is_fat;
	return count;
}
