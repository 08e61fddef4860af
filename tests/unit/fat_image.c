/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fat_image.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

static void *must(void *pointer)
{
	if (!pointer) {
		perror("fat_image");
		abort();
	}
	return pointer;
}

static int image_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct fat_image *image = (struct fat_image *)self;

	image->reads++;
	image->last_offset = offset_bytes;
	image->last_length = length_bytes;
	if (length_bytes > image->longest)
		image->longest = length_bytes;
	if (offset_bytes < image->lowest_offset)
		image->lowest_offset = offset_bytes;
	if (offset_bytes + length_bytes > image->highest_end)
		image->highest_end = offset_bytes + length_bytes;
	if (image->fail_with)
		return image->fail_with;
	memcpy(buffer, image->bytes + offset_bytes, length_bytes);
	return 0;
}

void fat_image_reset_reads(struct fat_image *image)
{
	image->reads = 0;
	image->lowest_offset = UINT64_MAX;
	image->highest_end = 0;
	image->longest = 0;
}

static void fill_in(struct fat_image_shape *shape)
{
	uint64_t fat_bytes;

	if (!shape->clusters)
		shape->clusters = 100;
	if (!shape->sector_bytes)
		shape->sector_bytes = 512;
	if (!shape->sectors_per_cluster)
		shape->sectors_per_cluster = 1;
	if (!shape->reserved_sectors)
		shape->reserved_sectors = shape->type == 32 ? 32 : 1;
	if (!shape->fat_copies)
		shape->fat_copies = 2;
	if (!shape->root_entries && shape->type != 32)
		shape->root_entries = 128;
	if (!shape->present_clusters)
		shape->present_clusters = shape->clusters;
	fat_bytes = ((uint64_t)shape->clusters + 2) * (unsigned)shape->type / 8 + 1;
	if (!shape->fat_sectors)
		shape->fat_sectors = (uint32_t)((fat_bytes + shape->sector_bytes - 1) / shape->sector_bytes);
}

static void write_boot_sector(unsigned char *boot, const struct fat_image_shape *shape,
			      uint32_t total_sectors)
{
	put_le16(boot + 11, (uint16_t)shape->sector_bytes);
	boot[13] = (unsigned char)shape->sectors_per_cluster;
	put_le16(boot + 14, (uint16_t)shape->reserved_sectors);
	boot[16] = (unsigned char)shape->fat_copies;
	put_le16(boot + 17, (uint16_t)shape->root_entries);
	boot[21] = 0xF8;
	if (total_sectors < 65536 && shape->type != 32)
		put_le16(boot + 19, (uint16_t)total_sectors);
	else
		put_le32(boot + 32, total_sectors);
	if (shape->type == 32) {
		put_le32(boot + 36, shape->fat_sectors);
		put_le32(boot + 44, 2);
	} else {
		put_le16(boot + 22, (uint16_t)shape->fat_sectors);
	}
}

struct fat_image *fat_image_new(struct fat_image_shape shape)
{
	struct fat_image *image = must(calloc(1, sizeof(*image)));

	fill_in(&shape);

	uint64_t sector = shape.sector_bytes;
	uint64_t root_sector = shape.reserved_sectors + (uint64_t)shape.fat_copies * shape.fat_sectors;
	uint64_t data_sector = root_sector + shape.root_entries * 32 / sector;
	uint64_t total = data_sector + (uint64_t)shape.clusters * shape.sectors_per_cluster;
	uint64_t present = data_sector + (uint64_t)shape.present_clusters * shape.sectors_per_cluster;

	image->shape = shape;
	image->source = (struct source){ .read = image_read, .size_bytes = present * sector };
	image->bytes = must(calloc(1, present * sector));
	image->fat_offset = shape.reserved_sectors * sector;
	image->root_offset = root_sector * sector;
	image->data_offset = data_sector * sector;
	write_boot_sector(image->bytes, &shape, (uint32_t)total);
	if (fat_volume_read(&image->source, &image->volume) != 0)
		memset(&image->volume, 0, sizeof(image->volume));
	else if (shape.type == 32)
		fat_image_link(image, 2, fat_image_end_mark(image));
	fat_image_reset_reads(image);
	return image;
}

void fat_image_free(struct fat_image *image)
{
	free(image->bytes);
	free(image);
}

void fat_image_link(struct fat_image *image, uint32_t cluster, uint32_t value)
{
	unsigned char *fat = image->bytes + image->fat_offset;

	if (image->shape.type == 32) {
		put_le32(fat + 4 * (uint64_t)cluster, value);
	} else if (image->shape.type == 16) {
		put_le16(fat + 2 * (uint64_t)cluster, (uint16_t)value);
	} else if (cluster % 2 == 0) {
		fat += cluster + cluster / 2;
		fat[0] = (unsigned char)value;
		fat[1] = (unsigned char)((fat[1] & 0xF0) | (value >> 8 & 0x0F));
	} else {
		fat += cluster + cluster / 2;
		fat[0] = (unsigned char)((fat[0] & 0x0F) | (value & 0x0F) << 4);
		fat[1] = (unsigned char)(value >> 4);
	}
}

uint32_t fat_image_end_mark(const struct fat_image *image)
{
	return image->shape.type == 32 ? 0x0FFFFFFF : image->shape.type == 16 ? 0xFFFF : 0xFFF;
}

void fat_image_chain(struct fat_image *image, const uint32_t *clusters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fat_image_link(image, clusters[i],
			       i + 1 < count ? clusters[i + 1] : fat_image_end_mark(image));
}

unsigned char *fat_image_cluster(struct fat_image *image, uint32_t cluster)
{
	uint64_t cluster_bytes = (uint64_t)image->shape.sector_bytes * image->shape.sectors_per_cluster;

	return image->bytes + image->data_offset + (cluster - 2) * cluster_bytes;
}

unsigned char *fat_image_root(struct fat_image *image)
{
	return image->shape.type == 32 ? fat_image_cluster(image, 2) : image->bytes + image->root_offset;
}

unsigned char *fat_image_entry(unsigned char *at, const char *name, uint8_t attributes, uint32_t cluster,
			       uint32_t size)
{
	memset(at, 0, 32);
	memcpy(at, name, 11);
	at[11] = attributes;
	put_le16(at + 20, (uint16_t)(cluster >> 16));
	put_le16(at + 26, (uint16_t)cluster);
	put_le32(at + 28, size);
	return at + 32;
}

unsigned char *fat_image_dots(struct fat_image *image, uint32_t cluster)
{
	unsigned char *at = fat_image_entry(fat_image_cluster(image, cluster), ".          ", 0x10, cluster, 0);

	return fat_image_entry(at, "..         ", 0x10, 0, 0);
}

unsigned char *fat_image_slot(unsigned char *at, uint8_t ordinal, uint8_t checksum, const uint16_t *units)
{
	static const int place[13] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };

	memset(at, 0, 32);
	at[0] = ordinal;
	at[11] = 0x0F;
	at[13] = checksum;
	for (int i = 0; i < 13; i++)
		put_le16(at + place[i], units[i]);
	return at + 32;
}

/* fatgen103's own words in C, apart from the implementation under test. */
static uint8_t checksum_of(const char *short_name)
{
	unsigned sum = 0;

	for (int i = 0; i < 11; i++)
		sum = ((sum & 1 ? 0x80 : 0) + (sum >> 1) + (unsigned char)short_name[i]) & 0xFF;
	return (uint8_t)sum;
}

unsigned char *fat_image_long_units(unsigned char *at, const uint16_t *units, size_t count,
				    const char *short_name)
{
	size_t slots = (count + 12) / 13;
	uint16_t padded[32 * 13];

	for (size_t i = 0; i < slots * 13; i++)
		padded[i] = i < count ? units[i] : i == count ? 0 : 0xFFFF;
	for (size_t slot = slots; slot > 0; slot--)
		at = fat_image_slot(at, (uint8_t)(slot | (slot == slots ? 0x40 : 0)), checksum_of(short_name),
				    padded + (slot - 1) * 13);
	return at;
}

unsigned char *fat_image_long(unsigned char *at, const char *name, const char *short_name)
{
	uint16_t units[300];
	size_t count = strlen(name);

	for (size_t i = 0; i < count; i++)
		units[i] = (unsigned char)name[i];
	return fat_image_long_units(at, units, count, short_name);
}
