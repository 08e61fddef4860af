/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small unpartitioned FAT12 with files, for the units of cache/. Boot sector,
 * FAT, root directory and each cluster are in blocks of their own, so that a
 * writer can come between any two of them.
 */
#pragma once

#include "fat_image.h"

#define VOLUME_FAT_OFFSET 4096U
#define VOLUME_ROOT_OFFSET 8192U
#define VOLUME_DATA_OFFSET 12288U

struct small_volume {
	struct fat_image *fat;
	unsigned char *bytes;
	uint64_t size_bytes;
	uint32_t cluster_bytes;
};

#define CLUSTERS_MAX 24

/* A file to be put on a volume. */
struct file {
	const char *short_name;		 /* 11 bytes, padded */
	const char *long_name;		 /* or NULL */
	unsigned slot;			 /* of its first entry in the directory */
	unsigned clusters[CLUSTERS_MAX]; /* its chain, up to the first 0 */
	uint32_t size_bytes;
	unsigned seed; /* of its content */
	uint16_t time; /* as in the entry */
};

struct small_volume small_volume_new(uint32_t cluster_bytes);
struct small_volume small_volume_copy(const struct small_volume *volume);
void small_volume_free(struct small_volume *volume);

void small_volume_put(struct small_volume *volume, const struct file *file);
void small_volume_put_in(struct small_volume *volume, unsigned directory_cluster, const struct file *file);
void small_volume_put_directory(struct small_volume *volume, unsigned slot, const char *short_name,
				unsigned cluster);
void small_volume_remove(struct small_volume *volume,
			 const struct file *file); /* its entries and chain; not its bytes */
uint64_t small_volume_offset(const struct small_volume *volume, unsigned cluster);

/* What files of a seed (0 to 127) hold: bytes that differ from seed to seed and from sector to sector. */
#define CONTENT_BYTES_MAX (2U << 20)
const unsigned char *content_of(unsigned seed);
bool content_is(const unsigned char *content, unsigned seed, uint64_t offset_bytes, size_t length_bytes);
