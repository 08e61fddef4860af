/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * extents: where one file's bytes are in its image, and how they are read.
 *
 * Made once from the chain of a file, constant from then on, counted: a version
 * and its copy-before-write guard share it. It knows nothing of FAT: a run is a
 * piece of the image that holds a piece of the file.
 *
 * All functions may be called from any thread, without a lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

/* A file is hashed, compared and preserved by this much. */
#define CHUNK_BYTES ((uint64_t)64 << 10)

struct extents;

struct extents_run {
	uint64_t image_bytes, length_bytes, file_bytes; /* offset in the image, length, offset in the file */
};

/*
 * Of a file of `size_bytes` whose `runs` follow each other in the file without a
 * gap, from its first byte to its last. Takes over `runs` (of malloc), also when
 * it fails. One reference, the caller's. -ENOMEM; -EIO: they do not cover the file, or
 * overlap in the image.
 */
int extents_new(struct extents_run *runs, size_t count, uint64_t size_bytes, struct extents **extents);
struct extents *extents_ref(struct extents *extents);
void extents_unref(struct extents *extents); /* NULL is fine */

uint64_t extents_size_bytes(const struct extents *extents);
uint64_t extents_chunk_count(const struct extents *extents);
size_t extents_chunk_bytes(const struct extents *extents, uint64_t chunk); /* CHUNK_BYTES, less at the end */
bool extents_equal(const struct extents *a, const struct extents *b);

/* The memory it takes. */
size_t extents_footprint_bytes(const struct extents *extents);

/* Does the range of the image hold bytes of the file? Takes the logarithm of the number of runs. */
bool extents_touch(const struct extents *extents, const struct cache_range *range);

/* Does it hold bytes of that chunk, which the file has? Takes as long as the chunk has runs. */
bool extents_chunk_touches(const struct extents *extents, uint64_t chunk, const struct cache_range *range);

/*
 * Calls `each` for the chunks of the file that the range of the image holds
 * bytes of, until it returns false. A chunk may come twice. Bounded by the runs
 * in the range, and the chunks in each.
 */
void extents_each_chunk(const struct extents *extents, const struct cache_range *range,
			bool (*each)(void *context, uint64_t chunk), void *context);

/*
 * Read a range of the file, which must be inside it. `buffer` is aligned and has
 * cache_device_buffer_bytes(length_bytes); *bytes points into it. Blocks. One run
 * is read where it is to be used; several are gathered. -EIO, -ENOMEM.
 */
int extents_read(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		 size_t length_bytes, void *buffer, unsigned char **bytes);

/* What extents_read reads, and where. */
struct extents_part {
	uint64_t offset_bytes;
	size_t length_bytes;
	void *buffer;
	unsigned char *bytes; /* out */
};

/* The same for several ranges of the file, side by side: those of one run each in one call of the device. All of them, or an error. */
int extents_read_parts(const struct extents *extents, struct cache_device *device, struct extents_part *parts, size_t count);

/* The same as extents_read into plain memory, without waiting for the device. -EAGAIN: the bytes are not at hand. */
int extents_read_now(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		     size_t length_bytes, unsigned char *buffer);

/* That range of the file is read soon: the device may begin (will_need). Of more than CACHE_PIECES_MAX runs it does not. */
void extents_will_need(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		       uint64_t length_bytes);
