/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grow: an image becomes larger, with what its partition table says of its size.
 *
 * libfdisk writes the tables: a GPT's backup header moves to the new end, its first header and the protective
 * MBR follow. Nothing is ever made smaller. Not for an image that somebody else uses.
 */
#pragma once

#include <stdint.h>

#include "tools/prep/problem.h"

/*
 * `size_bytes` (0: it stays) is the new size of the file `path`; of a device it must not be more than it has,
 * and a GPT takes all of that. `root` (0: none) is the partition whose entry is extended to the end of the
 * disk. `sector_bytes`: the unit of the table. -EINVAL: something stands behind the root, or the table is
 * damaged; -errno. After an error the image is to be thrown away.
 */
int grow(const char *path, uint64_t size_bytes, unsigned root, uint32_t sector_bytes,
	 struct problem *problem);
