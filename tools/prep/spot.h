/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spot: what a path of a FAT volume leads to, there or not, and what mtools calls it.
 *
 * mtools takes '[', '*' and '?' in names for patterns, of what it is to delete as well. So what is there is
 * called by its short name, which has none of these; only where that is not ASCII, by its long name with a
 * backslash before a '['. A name that is new is checked here, since mtools changes some without a word.
 */
#pragma once

#include "fat/fat.h"

struct spot {
	bool exists, is_directory;
	uint8_t attributes;
	uint32_t first_cluster; /* 0: none, or the root */
	uint32_t size_bytes;
	char *called; /* owned: for mtools, with "::"; of what is not there, the name that it shall have */
	char *parent; /* owned: for mtools, its directory's; the root's is "::" */
	char *name;   /* owned: as on the volume, else as given; "" for the root */
	const char *problem; /* constant: why -EINVAL */
};

/*
 * Find it. `path` is UTF-8 with '/'; empty components and "." are passed over. 0 also where only the last
 * name is missing. -ENOENT, -ENOTDIR: a directory before it is missing, or none. -EINVAL (problem): FAT, or
 * mtools, cannot have a file of that name, or "..". Errors of fat_dir_read. spot_free in any case.
 */
int spot_find(const struct fat_volume *volume, struct source *source, const char *path, struct spot *spot);
void spot_free(struct spot *spot);

/* FAT has no dots at the end of a name; Linux vfat drops them. */
void spot_cut_dots(char *name);

/* Why `name` cannot be a new name; constant. NULL: it can. */
const char *spot_name_problem(const char *name);
