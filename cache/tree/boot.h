/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot: which partition of an image is its boot partition (CONTRACT N4), kept as
 * cached metadata beside the table it rests on. Under the image's lock.
 */
#pragma once

#include "cache/tree/cached.h"

struct boot {
	struct cached cached;
	enum part_boot_reason reason;
	unsigned number;
	unsigned of_table; /* which reading of the table it was chosen from */
};

/* The table is as of the generation seen. -ENODATA: there is none; -EIO; or waiting. */
int boot_choose(struct cache_image *image, struct cache_op *op, unsigned *number);
