/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree: the cache and its images come and go; what is known of one just now. */
#pragma once

#include "base/archive.h"
#include "base/share.h"
#include "cache/device/kept.h"
#include "cache/tree/types.h"

/* NULL: no memory. Settings are copied. */
struct cache *cache_new(const struct cache_settings *settings);
void cache_free(struct cache *cache); /* after all its images are put */

/* What is held of images' content, in all; who holds more for the same reason counts it there. Borrowed. */
struct share *cache_memory(struct cache *cache);

/* What is in use, and how much of it may be (CONTRACT S5). */
struct cache_use {
	struct kept_amount kept, kept_limit;	     /* bytes kept for versions that are open */
	uint64_t memory_bytes, memory_limit_bytes; /* what is held of images' content beside */
};

/* By all images together; by one. Never block. */
void cache_use(struct cache *cache, struct cache_use *use);
void cache_image_use(struct cache_image *image, struct cache_use *use);

/* It lets go of what is too much by now, for it or for all together. To be called every now and then; never blocks. */
void cache_image_relieve(struct cache_image *image);

/* If nobody looks at it: what that costs its writers is given up. To be called every now and then; may block. */
void cache_image_rest(struct cache_image *image);

/* Takes over `device`, also when it fails with -ENOMEM. The image has one user: the caller. */
int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **image);

#define CACHE_STATUS_FATS 16

struct cache_image_status {
	bool table_known;
	enum part_scheme scheme;
	unsigned fat_count;
	unsigned fat_numbers[CACHE_STATUS_FATS]; /* of the first so many */
	bool boot_known;
	unsigned boot_number;
	enum part_boot_reason boot_reason; /* unless it is the only FAT, or */
	bool boot_by_option;
	unsigned boot_autoboot, boot_tryboot; /* as in struct part_choice, when boot_reason was looked for; else 0 */
	uint64_t boot_offset_bytes, boot_length_bytes;
	const char *problem;	   /* constant text, or NULL */
	enum archive_kind archive; /* what it is instead of an image, if that is the problem */
	const char *change_source; /* constant text */
	unsigned open_files;	   /* files of its current directories that are open */
};

/* What is known of it just now, without a look at the device. -EAGAIN: it is busy; never blocks. */
int cache_image_status(struct cache_image *image, struct cache_image_status *status);
