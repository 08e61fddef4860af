/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel and udev would call the partitions of an image.
 *
 * PARTUUID: MBR: the disk's signature and the number (kernel, block/partitions/
 * msdos.c); GPT: the entry's own GUID. UUID and LABEL: of FAT and of ext2-4,
 * which Pi roots are.
 */
#include "tools/ctl_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "fat/fat.h"
#include "tools/ctl_files.h"

#define MBR_SIGNATURE 440
#define GPT_ENTRIES_LBA 72
#define GPT_ENTRY_BYTES 84
#define GPT_ENTRY_GUID 16
#define EXT_SUPERBLOCK 1024
#define EXT_MAGIC 56
#define EXT_MAGIC_VALUE 0xEF53
#define EXT_UUID 104
#define EXT_LABEL 120
#define EXT_LABEL_BYTES 16

/* `mixed`: the first three fields are little-endian, as in a GPT. */
static void format_uuid(const unsigned char *id, bool mixed, char text[37])
{
	static const unsigned char order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (size_t i = 0, at = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		at += (size_t)snprintf(text + at, 37 - at, "%02x", id[mixed ? order[i] : i]);
	}
}

static bool is_gpt_id(struct source *source, const struct part_table *table, const struct part_entry *entry, const char *id)
{
	unsigned char header[512], guid[16];
	uint64_t offset;
	char text[37];

	if (source_read(source, table->sector_bytes, header, sizeof(header)) != 0 ||
	    !mul_u64(get_le64(header + GPT_ENTRIES_LBA), table->sector_bytes, &offset) ||
	    !add_u64(offset, (uint64_t)(entry->number - 1) * get_le32(header + GPT_ENTRY_BYTES) + GPT_ENTRY_GUID, &offset) ||
	    source_read(source, offset, guid, sizeof(guid)) != 0)
		return false;
	format_uuid(guid, true, text);
	return strcasecmp(text, id) == 0;
}

static bool is_partition_id(struct source *source, const struct part_table *table, const struct part_entry *entry,
			    const char *id)
{
	unsigned char signature[4];
	char text[32];

	if (table->scheme == PART_SCHEME_GPT)
		return is_gpt_id(source, table, entry, id);
	if (table->scheme != PART_SCHEME_MBR || source_read(source, MBR_SIGNATURE, signature, sizeof(signature)) != 0)
		return false;
	snprintf(text, sizeof(text), "%08x-%02x", (unsigned)get_le32(signature), entry->number);
	return strcasecmp(text, id) == 0;
}

/* *known: its filesystem is one whose names we can read. */
static bool is_filesystem(struct source *source, const struct part_entry *entry, enum pi_root root, const char *id,
			  bool *known)
{
	struct source_slice slice = source_slice_of(source, entry->offset_bytes, entry->length_bytes);
	unsigned char super[256];
	struct volume_files files;
	struct fat_volume fat;
	char text[40] = "";

	*known = true;
	if (fat_volume_read(&slice.source, &fat) == 0) {
		if (root == PI_ROOT_UUID) {
			snprintf(text, sizeof(text), "%04X-%04X", (unsigned)(fat.volume_id >> 16),
				 (unsigned)(fat.volume_id & 0xffff));
			return fat.volume_id != 0 && strcasecmp(text, id) == 0;
		}
		/* As udev has it: the root directory's, not the boot sector's. */
		if (volume_files_open(&files, &fat, &slice.source, &(const struct own){ 0 }) == 0)
			snprintf(text, sizeof(text), "%s", fat_dir_label(files.root));
		volume_files_close(&files);
		return *text && strcmp(text, id) == 0;
	}
	*known = source_read(&slice.source, EXT_SUPERBLOCK, super, sizeof(super)) == 0 &&
		 get_le16(super + EXT_MAGIC) == EXT_MAGIC_VALUE;
	if (!*known)
		return false;
	if (root == PI_ROOT_UUID) {
		format_uuid(super + EXT_UUID, false, text);
		return strcasecmp(text, id) == 0;
	}
	snprintf(text, sizeof(text), "%.*s", EXT_LABEL_BYTES, (const char *)super + EXT_LABEL);
	return strcmp(text, id) == 0;
}

enum identity identity_of(struct source *source, const struct part_table *table, enum pi_root root, const char *id,
			  unsigned *number)
{
	bool all_known = true;

	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *entry = &table->entries[i];
		bool known = true;
		bool is = root == PI_ROOT_PARTUUID ? is_partition_id(source, table, entry, id) :
						     is_filesystem(source, entry, root, id, &known);

		if (is) {
			*number = entry->number;
			return IDENTITY_OURS;
		}
		all_known = all_known && known;
	}
	return all_known ? IDENTITY_OTHER : IDENTITY_UNKNOWN;
}
