/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table: an image's partition table, kept as cached metadata, so that a table
 * rewritten under us (growpart does it on a Pi's first boot) shows at the next
 * lookup; and beside it, which of its partitions is the boot partition (CONTRACT
 * N4). It also tells the write log which ranges nobody ever reads for.
 *
 * Under the image's lock.
 */
#pragma once

#include "base/archive.h"
#include "cache/tree/cached.h"

struct boot_choice {
	unsigned number;
	enum part_boot_reason reason;
	unsigned autoboot; /* whose autoboot.txt counts, and what it names for the tryboot flag; 0: none */
	unsigned tryboot;
};

struct table {
	struct cached cached;
	enum archive_kind archive; /* what it is instead, when it was last found to be none */
	struct part_table *parts; /* NULL until it was read */
	unsigned changes;	  /* how often it became another */
	unsigned told;		  /* which reading the log was last told of */

	struct cached boot_cached;
	struct boot_choice boot;
	unsigned boot_of; /* `changes` of the table that it was chosen from */
};

/* -ENODATA: neither a table nor a FAT; -EIO; or waiting. Also sets what is wrong with the image. */
int table_refresh(struct cache_image *image, struct cache_op *op);

/* The table is as of the generation seen. -ENODATA: there is none; -EIO; or waiting. */
int table_choose_boot(struct cache_image *image, struct cache_op *op, unsigned *number);

/* Why there is none that is known, a constant text; NULL: it is, or was not looked for. */
const char *table_boot_problem(const struct table *table);

/* The number of the last FAT, 0 if there is none: which one it is, where there is only one. */
unsigned table_only_fat(const struct part_table *parts);

void table_clear(struct table *table);
