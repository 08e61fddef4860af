/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* root: which partitions an image has, and the root directory of one of them. */
#pragma once

#include "cache/tree/types.h"

/*
 * The numbers of its FAT partitions, ascending, at most `capacity`; *total is
 * how many there are. 0 is an unpartitioned FAT. -ENODATA: neither table nor
 * FAT, so not an image. -EIO: a table that cannot be believed.
 */
int cache_image_partitions(struct cache_image *image, struct cache_op *op, unsigned *numbers, size_t capacity,
			   size_t *total);

#define CACHE_PARTITION_BOOT (~0U)

/*
 * The root directory of a partition, or of the boot partition. -ENOENT: there
 * is no partition of that number, or it holds no FAT. -EIO: the image cannot be
 * understood.
 */
int cache_image_root(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root);
