/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table: an image's partition table, kept as cached metadata, so that a table
 * rewritten under us (growpart does it on a Pi's first boot) shows at the next
 * lookup. It also tells the write log which ranges nobody ever reads for.
 *
 * Under the image's lock.
 */
#pragma once

#include "cache/tree/cached.h"

struct table {
	struct cached cached;
	struct part_table *parts; /* NULL until it was read */
	unsigned changes;	  /* how often it became another */
	unsigned told;		  /* which reading the log was last told of */
};

/* -ENODATA: neither a table nor a FAT; -EIO; or waiting. Also sets what is wrong with the image. */
int table_refresh(struct cache_image *image, struct cache_op *op);

void table_clear(struct table *table);
