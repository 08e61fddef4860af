/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live_base.h"

#include <string.h>

#include "base/bytes.h"
#include "cache_volume.h"

/* In a subdirectory: a directory of its own. */
static void put_deep(struct small_volume *volume, unsigned slot, unsigned above, unsigned cluster)
{
	unsigned char *inside = fat_image_cluster(volume->fat, cluster);

	fat_image_entry(fat_image_cluster(volume->fat, above) + (size_t)slot * 32, "DEEP       ", 0x10, cluster, 0);
	fat_image_chain(volume->fat, &(uint32_t){ cluster }, 1);
	inside = fat_image_entry(inside, ".          ", 0x10, cluster, 0);
	fat_image_entry(inside, "..         ", 0x10, above, 0);
}

/* All files of path_words but file.new, in two thirds of its clusters; `seed` is of their contents. */
static struct small_volume make_volume(uint32_t cluster_bytes, unsigned seed, bool boots)
{
	struct small_volume volume = small_volume_new(cluster_bytes);
	const struct file file = { "FILE    BIN", "file-with-a-long-name.bin", 0,
				   { 2, 3, 5, 4, 6, 7, 8, 9, 10, 11, 12 }, 10 * cluster_bytes + 300, seed, 1 };
	const struct file still = { "STILL   TXT", NULL, 3, { 13 }, 700, seed + 1, 1 };
	const struct file inner = { "INNER   BIN", NULL, 2, { 16, 17 }, cluster_bytes + 5, seed + 2, 1 };
	const struct file leaf = { "LEAF    TXT", NULL, 2, { 18 }, 99, seed + 3, 1 };
	const struct file config = { "CONFIG  TXT", NULL, 6, { 19 }, 40, seed + 4, 1 };

	fat_image_root(volume.fat)[(size_t)4 * 32] = 0xE5;
	small_volume_put(&volume, &file);
	small_volume_put(&volume, &still);
	small_volume_put_directory(&volume, 5, "SUB        ", 14);
	small_volume_put_in(&volume, 14, &inner);
	put_deep(&volume, 3, 14, 15);
	small_volume_put_in(&volume, 15, &leaf);
	if (boots)
		small_volume_put(&volume, &config);
	return volume;
}

static void add_volume(struct live_base *base, uint64_t offset_bytes, uint32_t cluster_bytes, unsigned seed)
{
	struct small_volume volume = make_volume(cluster_bytes, seed, base->volume_count == 0);

	memcpy(base->bytes + offset_bytes, volume.bytes, volume.size_bytes);
	base->volumes[base->volume_count].offset_bytes = offset_bytes;
	base->volumes[base->volume_count++].cluster_bytes = cluster_bytes;
	base->size_bytes = offset_bytes + volume.size_bytes;
	small_volume_free(&volume);
}

static void add_partition(struct live_base *base, unsigned number, uint8_t type, uint64_t offset_bytes, uint64_t length_bytes)
{
	unsigned char *entry = base->bytes + 446 + (size_t)(number - 1) * 16;

	entry[4] = type;
	put_le32(entry + 8, (uint32_t)(offset_bytes / 512));
	put_le32(entry + 12, (uint32_t)(length_bytes / 512));
	put_le16(base->bytes + 510, 0xAA55);
}

#define FIRST_OFFSET 4096
#define SECOND_OFFSET 69632
#define SECOND_BYTES 61440

static void make_bases(struct live_base *bases)
{
	/* A FAT alone, whose file has two chunks. */
	add_volume(&bases[0], 0, 8192, 10);
	/* Two FATs, the first of which boots. */
	add_volume(&bases[1], FIRST_OFFSET, 2048, 20);
	add_partition(&bases[1], 1, 0x0C, FIRST_OFFSET, bases[1].size_bytes - FIRST_OFFSET);
	add_volume(&bases[1], SECOND_OFFSET, 2048, 30);
	add_partition(&bases[1], 2, 0x0C, SECOND_OFFSET, SECOND_BYTES);
	/* A FAT and a root file system, which is not tracked. */
	add_volume(&bases[2], FIRST_OFFSET, 2048, 40);
	add_partition(&bases[2], 1, 0x0C, FIRST_OFFSET, bases[2].size_bytes - FIRST_OFFSET);
	add_partition(&bases[2], 2, 0x83, SECOND_OFFSET, SECOND_BYTES);
	bases[2].size_bytes = SECOND_OFFSET + SECOND_BYTES;
	/* Nothing. */
	bases[3].size_bytes = SECOND_OFFSET;
	bases[3].volumes[0].cluster_bytes = 2048;
	bases[3].volume_count = 1;
}

const struct live_base *live_base(unsigned which)
{
	static struct live_base bases[LIVE_BASES];
	static bool made;

	if (!made)
		make_bases(bases);
	made = true;
	return &bases[which % LIVE_BASES];
}
