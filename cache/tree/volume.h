/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * volume: one FAT partition of an image.
 *
 * When its place or its geometry changes (growpart, mkfs), everything below it
 * is another file system: the old tree is detached as a whole.
 *
 * Under the image's lock.
 */
#pragma once

#include "cache/tree/cached.h"

struct cache_volume {
	struct cache_image *image;
	unsigned number;
	struct part_entry entry;
	struct cached cached;
	struct fat_volume fat;
	struct cache_dir *root; /* NULL until the volume was read */
	struct cache_volume *next;
};

/* The volume of that number, refreshed. -ENOENT: the table, as of the generation seen, has no such FAT. */
int volume_get(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_volume **volume);

/* Table and boot sector, as of the generation seen. */
int volume_refresh(struct cache_volume *volume, struct cache_op *op);

/* Its bytes in the image. */
struct cache_range volume_range(const struct cache_volume *volume);

void volume_free(struct cache_volume *volume);
