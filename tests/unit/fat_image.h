/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FAT volumes made in memory, byte by byte, for the units of fat/.
 *
 * Written from fatgen103 and not from fat/ondisk.h, so that an offset that is
 * wrong there does not agree with itself here. What goes wrong aborts the test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/source.h"
#include "fat/fat.h"

/* What to make; fields that are 0 get the value in brackets. */
struct fat_image_shape {
	int type;		      /* 12, 16, 32 */
	uint32_t clusters;	      /* [100] that the volume has room for */
	uint32_t sector_bytes;	      /* [512] */
	uint32_t sectors_per_cluster; /* [1] */
	uint32_t reserved_sectors;    /* [1; FAT32: 32] */
	uint32_t fat_copies;	      /* [2] */
	uint32_t fat_sectors;	      /* [as many as the clusters need] */
	uint32_t root_entries;	      /* [128; FAT32: 0] */
	uint32_t present_clusters;    /* [all] the bytes end after as many, for large volumes */
};

struct fat_image {
	struct source source; /* first: a pointer to it is a pointer to the image */
	struct fat_image_shape shape;
	unsigned char *bytes;
	uint64_t root_offset, data_offset, fat_offset;
	struct fat_volume volume; /* as fat_volume_read sees it */

	/* What was read through the source, and what it shall answer. */
	unsigned reads;
	uint64_t last_offset, lowest_offset, highest_end;
	size_t last_length, longest;
	int fail_with; /* not 0: what every read returns */
};

/* An empty volume; its FAT32 root is cluster 2. */
struct fat_image *fat_image_new(struct fat_image_shape shape);
void fat_image_free(struct fat_image *image);

/* Forget what was read so far. */
void fat_image_reset_reads(struct fat_image *image);

/* Write an entry of FAT 0. */
void fat_image_link(struct fat_image *image, uint32_t cluster, uint32_t value);
uint32_t fat_image_end_mark(const struct fat_image *image);

/* Link `count` clusters in the order given, the last to an end mark. */
void fat_image_chain(struct fat_image *image, const uint32_t *clusters, size_t count);

unsigned char *fat_image_root(struct fat_image *image);
unsigned char *fat_image_cluster(struct fat_image *image, uint32_t cluster);

/* Write a short entry (11 bytes of name, padded) at `at`; returns what is behind it. */
unsigned char *fat_image_entry(unsigned char *at, const char *name, uint8_t attributes, uint32_t cluster,
			       uint32_t size);

/* Write the "." and ".." of the directory at `cluster`, which is one of the root's; returns what is behind them. */
unsigned char *fat_image_dots(struct fat_image *image, uint32_t cluster);

/* Write one slot of a long name. `units` are its 13. */
unsigned char *fat_image_slot(unsigned char *at, uint8_t ordinal, uint8_t checksum, const uint16_t *units);

/* Write all slots of a long name for the short name, padded as they should be. */
unsigned char *fat_image_long_units(unsigned char *at, const uint16_t *units, size_t count,
				    const char *short_name);

/* The same for ASCII. */
unsigned char *fat_image_long(unsigned char *at, const char *name, const char *short_name);
