/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clusters: which bytes of a FAT volume mean something: all before its data area and all of
 * clusters that the FAT does not call free.
 */
#pragma once

#include <stdbool.h>

#include "fat/fat.h"

struct clusters {
	struct fat_volume volume;
	unsigned char *used; /* owned: a bit each, by number */
	uint32_t free_count;
};

/* Reads the whole FAT. 0, -ENOMEM, or what the source's read returned. */
int clusters_read(const struct fat_volume *volume, struct source *source, struct clusters *clusters);
void clusters_free(struct clusters *clusters);

/*
 * Does the byte at that offset of the volume mean something? *end is where that may change first; so a
 * loop that goes on there ends. Beyond the last cluster nothing does.
 */
bool clusters_used_at(const struct clusters *clusters, uint64_t offset_bytes, uint64_t *end_bytes);
