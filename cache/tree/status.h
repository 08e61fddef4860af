/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status: what is known of an image just now. */
#pragma once

#include "cache/tree/types.h"

struct cache_image_status {
	bool table_known;
	enum part_scheme scheme;
	unsigned fat_count;
	bool boot_known;
	unsigned boot_number;
	enum part_boot_reason boot_reason; /* unless it is the only FAT, or */
	bool boot_by_option;
	uint64_t boot_offset_bytes, boot_length_bytes;
	const char *problem;	   /* constant text, or NULL */
	const char *change_source; /* constant text */
	unsigned open_files;	   /* files of its current directories that are open */
};

/* What is known of it just now, without a look at the device. -EAGAIN: it is busy; never blocks. */
int cache_image_status(struct cache_image *image, struct cache_image_status *status);
