/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout: which partitions an image has, and which of them is the root.
 *
 * The root is the first partition that is no FAT and holds a file system or volume that libblkid knows; if
 * none does, the first that is no FAT. Swap is none.
 */
#pragma once

#include <stdbool.h>

#include "part/part.h"
#include "tools/prep/problem.h"

#define LAYOUT_WORD_BYTES 64

struct layout {
	struct part_table *table; /* owned */
	unsigned root;		  /* its number; 0: there is none */
	unsigned others[4];	  /* that might be it as well, with a Linux file system; 0 ends them */
	char root_type[LAYOUT_WORD_BYTES]; /* "ext4"; "" if nobody knows it */
	char root_uuid[LAYOUT_WORD_BYTES]; /* of the file system, "" if it has none */
};

/* `root` is a number that was asked for, or 0: -ENOENT if there is no such partition. Else as part_table_read
 * says. */
int layout_read(int fd, unsigned root, struct layout *layout, struct problem *problem);
void layout_free(struct layout *layout);
