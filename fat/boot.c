/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The boot sector: is this a FAT, and where is what on it.
 *
 * The judge is Linux fs/fat/inode.c (fat_read_bpb, fat_fill_super): what a Pi's
 * kernel mounts is what its owner expects to see here, so nothing is asked for
 * that Linux does not ask for (no 55AA, no jump, no type string), and nothing
 * is accepted that it refuses. Two things are refused that Linux lets pass by
 * unsigned wrap-around: a data area that starts beyond the volume's end, and a
 * FAT32 whose root is no cluster of it (Linux fails a little later, with EIO).
 *
 * FSInfo and the backup boot sector are not read: on a live volume they lag.
 */
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "fat/fat.h"
#include "fat/name.h"
#include "fat/ondisk.h"

/* The numbers of the BIOS parameter block that decide the layout. */
struct bpb {
	uint32_t sector_bytes;
	uint32_t sectors_per_cluster;
	uint32_t reserved_sectors;
	uint32_t fat_copies;
	uint32_t root_entries;
	uint32_t total_sectors;
	uint32_t fat_sectors;
	uint8_t media;
	bool is_fat32;
};

static struct bpb bpb_decode(const unsigned char *boot)
{
	struct bpb bpb = {
		.sector_bytes = get_le16(boot + BPB_BYTS_PER_SEC),
		.sectors_per_cluster = boot[BPB_SEC_PER_CLUS],
		.reserved_sectors = get_le16(boot + BPB_RSVD_SEC_CNT),
		.fat_copies = boot[BPB_NUM_FATS],
		.root_entries = get_le16(boot + BPB_ROOT_ENT_CNT),
		.total_sectors = get_le16(boot + BPB_TOT_SEC_16),
		.fat_sectors = get_le16(boot + BPB_FAT_SZ_16),
		.media = boot[BPB_MEDIA],
	};

	if (bpb.total_sectors == 0)
		bpb.total_sectors = get_le32(boot + BPB_TOT_SEC_32);
	/* fat_fill_super: FAT32 by this alone, whatever the cluster count. */
	if (bpb.fat_sectors == 0) {
		bpb.fat_sectors = get_le32(boot + BPB32_FAT_SZ_32);
		bpb.is_fat32 = true;
	}
	return bpb;
}

static bool bpb_is_valid(const struct bpb *bpb)
{
	if (bpb->reserved_sectors == 0 || bpb->fat_copies == 0 || bpb->fat_sectors == 0)
		return false;
	if (bpb->media != BPB_MEDIA_REMOVABLE && bpb->media < BPB_MEDIA_FIXED_MIN)
		return false;
	if (!is_power_of_two(bpb->sector_bytes) || bpb->sector_bytes < 512 || bpb->sector_bytes > 4096)
		return false;
	if (!is_power_of_two(bpb->sectors_per_cluster))
		return false;
	return bpb->root_entries * FAT_ENTRY_BYTES % bpb->sector_bytes == 0;
}

/*
 * The type, and how many clusters there are. Linux decides the type by the
 * clusters the volume has room for, and only then cuts them to those the FAT
 * has entries for.
 */
static bool volume_count_clusters(struct fat_volume *volume, const struct bpb *bpb, uint64_t room_clusters)
{
	uint64_t limit;

	if (bpb->is_fat32) {
		volume->type = FAT_TYPE_32;
		limit = FAT32_CLUSTERS_MAX;
	} else if (room_clusters > FAT12_CLUSTERS_MAX) {
		volume->type = FAT_TYPE_16;
		limit = FAT16_CLUSTERS_MAX;
	} else {
		volume->type = FAT_TYPE_12;
		limit = FAT12_CLUSTERS_MAX;
	}

	/* fat_length_bytes is below 2^44 and at least 512: no overflow, never below 2 entries. */
	uint64_t fat_entries = volume->fat_length_bytes * 8 / (unsigned)volume->type;
	uint64_t count = min_u64(room_clusters, fat_entries - FAT_FIRST_CLUSTER);

	if (count > limit)
		return false;
	volume->cluster_count = (uint32_t)count;
	return true;
}

/*
 * Lay the regions out: reserved sectors, FATs, fixed root, data. As in Linux
 * the fixed root's room is kept on FAT32 too, where fatgen103 wants it to be 0.
 *
 * The numbers are 32 bits wide at most and multiplied in 64: 2^8 FATs of 2^32
 * sectors of 2^12 bytes, and much smaller terms beside, stay below 2^53.
 */
static bool volume_lay_out(struct fat_volume *volume, const struct bpb *bpb)
{
	uint64_t root_bytes = (uint64_t)bpb->root_entries * FAT_ENTRY_BYTES;
	uint64_t root_sector = bpb->reserved_sectors + (uint64_t)bpb->fat_copies * bpb->fat_sectors;
	uint64_t data_sector = root_sector + root_bytes / bpb->sector_bytes;
	uint64_t data_sectors;

	if (!sub_u64(bpb->total_sectors, data_sector, &data_sectors))
		return false;

	volume->sector_bytes = bpb->sector_bytes;
	volume->cluster_bytes = bpb->sector_bytes * bpb->sectors_per_cluster;
	volume->fat_offset_bytes = (uint64_t)bpb->reserved_sectors * bpb->sector_bytes;
	volume->fat_length_bytes = (uint64_t)bpb->fat_sectors * bpb->sector_bytes;
	volume->data_offset_bytes = data_sector * bpb->sector_bytes;
	if (!bpb->is_fat32) {
		volume->root_offset_bytes = root_sector * bpb->sector_bytes;
		volume->root_entry_count = bpb->root_entries;
	}
	return volume_count_clusters(volume, bpb, data_sectors / bpb->sectors_per_cluster);
}

/* What mkfs called it: "" is written so (fatgen103). */
static void label_identify(struct fat_volume *volume, const unsigned char *label)
{
	if (memcmp(label, "NO NAME    ", BS_VOL_LAB_BYTES) != 0)
		fat_label_decode(label, volume->label);
}

static void volume_identify(struct fat_volume *volume, const unsigned char *boot)
{
	bool is_fat32 = volume->type == FAT_TYPE_32;
	uint8_t signature = boot[is_fat32 ? BS32_BOOT_SIG : BS16_BOOT_SIG];

	/* As libblkid (vfat.c) and so udev: a FAT32 has its identifier always. */
	if (is_fat32 || signature == BS_BOOT_SIG_ID || signature == BS_BOOT_SIG_ID_LABEL)
		volume->volume_id = get_le32(boot + (is_fat32 ? BS32_VOL_ID : BS16_VOL_ID));
	if (signature == BS_BOOT_SIG_ID_LABEL)
		label_identify(volume, boot + (is_fat32 ? BS32_VOL_LAB : BS16_VOL_LAB));
	volume->dirty = boot[is_fat32 ? BS32_RESERVED_1 : BS16_RESERVED_1] & BS_STATE_DIRTY;
}

/* Can everything but the data area be read, and the root be found? */
static bool volume_is_complete(const struct fat_volume *volume, const struct source *source)
{
	uint64_t root_bytes = (uint64_t)volume->root_entry_count * FAT_ENTRY_BYTES;

	if (!range_within(volume->fat_offset_bytes, volume->fat_length_bytes, source->size_bytes))
		return false;
	if (volume->type != FAT_TYPE_32)
		return range_within(volume->root_offset_bytes, root_bytes, source->size_bytes);
	/* cluster_count is below 2^28. */
	return volume->root_cluster >= FAT_FIRST_CLUSTER &&
	       volume->root_cluster < volume->cluster_count + FAT_FIRST_CLUSTER;
}

int fat_volume_read(struct source *source, struct fat_volume *volume)
{
	unsigned char boot[FAT_BOOT_BYTES];
	int error = source_read(source, 0, boot, sizeof(boot));

	if (error)
		return error;

	struct bpb bpb = bpb_decode(boot);

	memset(volume, 0, sizeof(*volume));
	if (!bpb_is_valid(&bpb) || !volume_lay_out(volume, &bpb))
		return -EINVAL;
	if (volume->type == FAT_TYPE_32)
		volume->root_cluster = get_le32(boot + BPB32_ROOT_CLUS);
	volume_identify(volume, boot);
	return volume_is_complete(volume, source) ? 0 : -EIO;
}

bool fat_volume_equal(const struct fat_volume *a, const struct fat_volume *b)
{
	return a->type == b->type && a->sector_bytes == b->sector_bytes &&
	       a->cluster_bytes == b->cluster_bytes && a->cluster_count == b->cluster_count &&
	       a->fat_offset_bytes == b->fat_offset_bytes && a->fat_length_bytes == b->fat_length_bytes &&
	       a->root_offset_bytes == b->root_offset_bytes && a->root_entry_count == b->root_entry_count &&
	       a->root_cluster == b->root_cluster && a->data_offset_bytes == b->data_offset_bytes &&
	       a->volume_id == b->volume_id && strcmp(a->label, b->label) == 0;
}
