/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_volume.h"

#include <stdlib.h>

#include "base/bytes.h"

struct small_volume small_volume_new(uint32_t cluster_bytes)
{
	struct fat_image *fat = fat_image_new((struct fat_image_shape){
		.type = 12,
		.clusters = 24,
		.sectors_per_cluster = cluster_bytes / 512,
		.reserved_sectors = 8,
		.fat_copies = 1,
		.fat_sectors = 8,
		.root_entries = 128,
	});

	return (struct small_volume){ fat, fat->bytes, fat->source.size_bytes, cluster_bytes };
}

struct small_volume small_volume_copy(const struct small_volume *volume)
{
	struct small_volume copy = small_volume_new(volume->cluster_bytes);

	memcpy(copy.bytes, volume->bytes, volume->size_bytes);
	return copy;
}

void small_volume_free(struct small_volume *volume)
{
	fat_image_free(volume->fat);
}

uint64_t small_volume_offset(const struct small_volume *volume, unsigned cluster)
{
	return VOLUME_DATA_OFFSET + (uint64_t)(cluster - 2) * volume->cluster_bytes;
}

/* Any function whose values differ from seed to seed and from place to place. */
unsigned char content_byte(unsigned seed, uint64_t at)
{
	uint32_t mixed = (uint32_t)(at / 512 + 1) * 2654435761U ^ (seed + 1) * 40503U;

	return (unsigned char)((mixed >> 16) + at);
}

bool content_is(const unsigned char *content, unsigned seed, uint64_t offset_bytes, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes; i++)
		if (content[i] != content_byte(seed, offset_bytes + i))
			return false;
	return true;
}

static void put_at(struct small_volume *volume, unsigned char *directory, const struct file *file)
{
	unsigned char *at = directory + (size_t)file->slot * 32;
	uint32_t chain[8];
	size_t count = 0;

	if (file->long_name)
		at = fat_image_long(at, file->long_name, file->short_name);
	fat_image_entry(at, file->short_name, 0x20, file->clusters[0], file->size_bytes);
	put_le16(at + 22, file->time);
	for (; count < 8 && file->clusters[count]; count++)
		chain[count] = file->clusters[count];
	fat_image_chain(volume->fat, chain, count);
	for (uint64_t i = 0; i < file->size_bytes; i++) {
		unsigned cluster = file->clusters[i / volume->cluster_bytes];

		volume->bytes[small_volume_offset(volume, cluster) + i % volume->cluster_bytes] =
			content_byte(file->seed, i);
	}
}

void small_volume_put(struct small_volume *volume, const struct file *file)
{
	put_at(volume, fat_image_root(volume->fat), file);
}

void small_volume_put_in(struct small_volume *volume, unsigned directory_cluster, const struct file *file)
{
	put_at(volume, fat_image_cluster(volume->fat, directory_cluster), file);
}

void small_volume_put_directory(struct small_volume *volume, unsigned slot, const char *short_name, unsigned cluster)
{
	unsigned char *inside = fat_image_cluster(volume->fat, cluster);

	fat_image_entry(fat_image_root(volume->fat) + (size_t)slot * 32, short_name, 0x10, cluster, 0);
	fat_image_chain(volume->fat, &(uint32_t){ cluster }, 1);
	memset(inside, 0, volume->cluster_bytes);
	inside = fat_image_entry(inside, ".          ", 0x10, cluster, 0);
	fat_image_entry(inside, "..         ", 0x10, 0, 0);
}

void small_volume_remove(struct small_volume *volume, const struct file *file)
{
	unsigned char *at = fat_image_root(volume->fat) + (size_t)file->slot * 32;
	size_t entries = 1 + (file->long_name ? (strlen(file->long_name) + 12) / 13 : 0);

	for (size_t i = 0; i < entries; i++)
		at[i * 32] = 0xE5;
	for (size_t i = 0; i < 8 && file->clusters[i]; i++)
		fat_image_link(volume->fat, file->clusters[i], 0);
}
