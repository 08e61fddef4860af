/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_volume.h"

#include <stdlib.h>

#include "base/bytes.h"

struct small_volume small_volume_new(uint32_t cluster_bytes)
{
	struct fat_image *fat = fat_image_new((struct fat_image_shape){
		.type = 12,
		.clusters = CLUSTERS_MAX,
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

const unsigned char *content_of(unsigned seed)
{
	static unsigned char *made[128];

	if (!made[seed]) {
		made[seed] = malloc(CONTENT_BYTES_MAX);
		for (uint32_t i = 0; i < CONTENT_BYTES_MAX; i++)
			made[seed][i] = (unsigned char)(((i / 512 * 128 + seed + 1) * 2654435761U >> 24) + i);
	}
	return made[seed];
}

bool content_is(const unsigned char *content, unsigned seed, uint64_t offset_bytes, size_t length_bytes)
{
	return memcmp(content, content_of(seed) + offset_bytes, length_bytes) == 0;
}

static void put_at(struct small_volume *volume, unsigned char *directory, const struct file *file)
{
	unsigned char *at = directory + (size_t)file->slot * 32;
	uint32_t chain[CLUSTERS_MAX];
	size_t count = 0;

	if (file->long_name)
		at = fat_image_long(at, file->long_name, file->short_name);
	fat_image_entry(at, file->short_name, 0x20, file->clusters[0], file->size_bytes);
	put_le16(at + 22, file->time);
	for (; count < CLUSTERS_MAX && file->clusters[count]; count++)
		chain[count] = file->clusters[count];
	fat_image_chain(volume->fat, chain, count);
	for (uint32_t from = 0, i = 0; from < file->size_bytes; from += volume->cluster_bytes, i++)
		memcpy(volume->bytes + small_volume_offset(volume, file->clusters[i]),
		       content_of(file->seed) + from,
		       min_u64(volume->cluster_bytes, file->size_bytes - from));
}

void small_volume_put(struct small_volume *volume, const struct file *file)
{
	put_at(volume, fat_image_root(volume->fat), file);
}

void small_volume_put_in(struct small_volume *volume, unsigned directory_cluster, const struct file *file)
{
	put_at(volume, fat_image_cluster(volume->fat, directory_cluster), file);
}

void small_volume_put_directory(struct small_volume *volume, unsigned slot, const char *short_name,
				unsigned cluster)
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
	for (size_t i = 0; i < CLUSTERS_MAX && file->clusters[i]; i++)
		fat_image_link(volume->fat, file->clusters[i], 0);
}
