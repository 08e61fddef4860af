/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file allocation table, seen through a small window. Internal to fat/.
 */
#pragma once

#include <stdint.h>

#include "base/source.h"
#include "fat/fat.h"

/* What the FAT says about one cluster. */
enum fat_link_kind {
	FAT_LINK_CLUSTER, /* another cluster of the volume follows */
	FAT_LINK_END,	  /* it is the last of its chain */
	FAT_LINK_FREE,	  /* it belongs to nobody */
	FAT_LINK_BAD,	  /* it is marked as unusable */
	FAT_LINK_INVALID, /* 1, reserved, or beyond the last cluster */
};

struct fat_link {
	enum fat_link_kind kind;
	uint32_t cluster; /* the next one, for FAT_LINK_CLUSTER; else 0 */
};

/* A page: the unit in which a daemon's cache and direct I/O work. */
#define FAT_TABLE_WINDOW_BYTES 4096

struct fat_table {
	const struct fat_volume *volume; /* borrowed */
	struct source *source;		 /* borrowed */
	uint64_t window_offset_bytes;	 /* on the volume */
	size_t window_bytes;		 /* 0: nothing read yet */
	unsigned char window[FAT_TABLE_WINDOW_BYTES];
};

void fat_table_init(struct fat_table *table, const struct fat_volume *volume, struct source *source);

/* Is it a data cluster of the volume? Only those may be given to fat_table_read. */
bool fat_cluster_is_valid(const struct fat_volume *volume, uint32_t cluster);

/*
 * What FAT[1] says: `dirty`, not unmounted by who last wrote to it (Windows and others; Linux
 * has a bit of its own, fat_volume.dirty); `errors`, that he met with errors of the disk. A FAT12 says
 * neither. 0, or what the source's read returned.
 */
int fat_table_state(struct fat_table *table, bool *dirty, bool *errors);

/* 0, or what the source's read returned. */
int fat_table_read(struct fat_table *table, uint32_t cluster, struct fat_link *link);
