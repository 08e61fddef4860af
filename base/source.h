/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source: where bytes come from.
 *
 * part/ and fat/ read everything through this one call and know nothing of
 * files, descriptors or threads. In the daemon a source is an image that
 * records what was read (so that it can be asked later whether it is still
 * true); in units and fuzzers it is a piece of memory.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/checked.h"

struct source {
	/*
	 * Fill `buffer` with `length_bytes` bytes from `offset_bytes`.
	 * 0: all of them are there. -EIO: they cannot be had (device error, or
	 * the range reaches beyond the end, which may have moved since
	 * size_bytes was taken). -EAGAIN: this source does not want to wait for
	 * a device now; the whole operation is to be repeated with one that
	 * does. Callers pass any negative value on.
	 */
	int (*read)(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes);
	uint64_t size_bytes;
};

static inline int source_read(struct source *source, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	if (!range_within(offset_bytes, length_bytes, source->size_bytes))
		return -EIO;
	if (length_bytes == 0)
		return 0;
	return source->read(source, offset_bytes, buffer, length_bytes);
}

/* A window [offset, offset + size) of another source: a partition of an image. */
struct source_slice {
	struct source source; /* first, so that a slice is a source */
	struct source *whole; /* borrowed; must outlive the slice */
	uint64_t offset_bytes;
};

static inline int source_slice_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	const struct source_slice *slice = (const struct source_slice *)self;
	uint64_t absolute;

	if (!add_u64(slice->offset_bytes, offset_bytes, &absolute))
		return -EIO;
	return source_read(slice->whole, absolute, buffer, length_bytes);
}

static inline struct source_slice source_slice_of(struct source *whole, uint64_t offset_bytes, uint64_t size_bytes)
{
	return (struct source_slice){
		.source = { .read = source_slice_read, .size_bytes = size_bytes },
		.whole = whole,
		.offset_bytes = offset_bytes,
	};
}

/* A source over memory, for units and fuzzers. */
struct source_memory {
	struct source source;
	const unsigned char *bytes; /* borrowed */
};

static inline int source_memory_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	const struct source_memory *memory = (const struct source_memory *)self;

	memcpy(buffer, memory->bytes + offset_bytes, length_bytes);
	return 0;
}

static inline struct source_memory source_memory_of(const void *bytes, size_t size_bytes)
{
	return (struct source_memory){
		.source = { .read = source_memory_read, .size_bytes = size_bytes },
		.bytes = bytes,
	};
}
