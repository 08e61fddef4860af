/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device: the bytes of one image, and what can be known of their changes.
 *
 * Everything above (images, directories, versions) is written against this
 * interface; cache/device/disk.c implements it for files and block devices, and the
 * model check in tests/unit implements it in memory, where it decides between
 * which two steps the writer gets a turn.
 *
 * What an observation means
 *   `generation` grows whenever something may have changed. Whoever reads bytes
 *   between two observations of the same generation has read one moment.
 *   A device that cannot know (a network filesystem), or cannot know yet (the
 *   last change is too young: timestamps move before data does), answers every
 *   observation with a new generation: nothing is believed, all is read again.
 *   `quiet_ns` is how long ago the last known change was, as far as the device
 *   can tell; it says how likely an update is still on its way, and is used to
 *   wait, never to believe.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"

/* Reads of metadata start and end on this grid, or end at the end of the device. */
#define CACHE_BLOCK_BYTES 4096U

struct cache_range {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/* From the first byte of the one to the last of the other. */
static inline struct cache_range cache_range_span(const struct cache_range *a, const struct cache_range *b)
{
	uint64_t start = min_u64(a->offset_bytes, b->offset_bytes);
	uint64_t end = max_u64(a->offset_bytes + a->length_bytes, b->offset_bytes + b->length_bytes);

	return (struct cache_range){ start, end - start };
}

static inline bool cache_ranges_overlap(const struct cache_range *a, const struct cache_range *b)
{
	return a->offset_bytes < b->offset_bytes + b->length_bytes && b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static inline bool cache_range_is_inside(const struct cache_range *inner, const struct cache_range *outer)
{
	return inner->offset_bytes >= outer->offset_bytes &&
	       inner->offset_bytes + inner->length_bytes <= outer->offset_bytes + outer->length_bytes;
}

static inline bool cache_ranges_equal(const struct cache_range *a, const struct cache_range *b)
{
	return a->offset_bytes == b->offset_bytes && a->length_bytes == b->length_bytes;
}

struct cache_observation {
	uint64_t generation;
	uint64_t size_bytes;
	int64_t quiet_ns;
	int64_t now_ns; /* of a clock that never steps back; the device's, so that a model can own time */
	/* CLOCK_MONOTONIC, before all that this rests on and that is read from now on: before the call, where that was prepared; 0: not known. */
	int64_t looked_ns;
	bool steady; /* the generation stays until something changes */
	bool blind;  /* writers on other machines cannot be seen, or nothing is to be believed */
	bool signless; /* blind, and without any sign at all: quiet_ns says nothing of what nobody has looked at */
	int64_t stamp_ns;   /* of the last change, by the real-time clock of the filesystem; 0: unknown */
	bool exact;	    /* from here on reports.h's: all writes are reported, */
	unsigned in_flight; /* and so many of them are being executed */
};

struct cache_device {
	const struct cache_device_ops *ops;
	_Atomic unsigned references; /* beside that of its owner: 0 at the start */
	_Atomic int64_t answered_ns; /* CLOCK_MONOTONIC: when a read that had to wait last came back */
	atomic_bool slow; /* nothing is believed of it, and to read that again takes about as long as a request has */
};

/* So many pieces at most are read in one call. */
#define CACHE_PIECES_MAX 64

/*
 * File data to be read, from any offset. `buffer` is aligned to CACHE_BLOCK_BYTES and has
 * cache_device_buffer_bytes(length_bytes) bytes; of whole blocks, `length_bytes` are enough.
 */
struct cache_piece {
	uint64_t offset_bytes;
	size_t length_bytes;
	void *buffer;
	unsigned char *bytes; /* out: points into `buffer`; to its begin, if the offset is that of a block */
};

#define CACHE_LOOK_ANEW INT64_MAX

/*
 * All calls may come from several threads at once, and return 0 or -errno:
 * -EAGAIN when `may_block` is false and the answer is not at hand, -EIO for
 * everything a reader of the mount shall see as an I/O error.
 */
struct cache_device_ops {
	/*
	 * `since_ns`, CLOCK_MONOTONIC: who looked at a queue of events since then, for whatever else, has looked at it for
	 * this, too. CACHE_LOOK_ANEW: nobody has.
	 */
	int (*observe)(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out);

	/*
	 * Or NULL. Where nothing is believed: wait until what calls mostly read was read since `since_ns` (CLOCK_MONOTONIC),
	 * once for all who ask; the next observation may be of that (looked_ns). Nothing may come of it. -ETIMEDOUT: it would
	 * not be by `until_ns`, as far as is known; 0: whenever. Blocks.
	 */
	int (*prepare)(struct cache_device *device, int64_t since_ns, int64_t until_ns);

	/* Is it worth that just now, for which a lock is let go? Never blocks. NULL: whenever. */
	bool (*prepares)(struct cache_device *device);

	/*
	 * Metadata, into any memory: blocks on the grid; any range, if it may not block.
	 * -EIO when the range reaches beyond the end.
	 */
	int (*read_blocks)(struct cache_device *device, bool may_block, uint64_t offset_bytes, void *buffer,
			   size_t length_bytes);

	/* File data: 1 to CACHE_PIECES_MAX pieces, side by side. All of them, or an error. Blocks. */
	int (*read_pieces)(struct cache_device *device, struct cache_piece *pieces, size_t count);

	/*
	 * That range is read soon: it is read ahead where that changes nothing of what a read gives. May block a little. May
	 * be NULL.
	 */
	void (*will_need)(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes);

	/* What kind of change source it has: a word for status. */
	const char *(*describe)(struct cache_device *device);

	/* Why it cannot be reached just now: constant text; NULL: it can, as far as is known. NULL: such a kind it is not. */
	const char *(*problem)(struct cache_device *device);

	/* Or NULL. If nobody observed it lately: give up what that costs its writers. Every now and then; may block. */
	void (*rest)(struct cache_device *device);

	void (*close)(struct cache_device *device);
};

/* Room for a read of any alignment: the block before, the block after. */
static inline size_t cache_device_buffer_bytes(size_t length_bytes)
{
	return (length_bytes + 3 * (size_t)CACHE_BLOCK_BYTES - 1) & ~((size_t)CACHE_BLOCK_BYTES - 1);
}

/* One piece, which begins at *bytes. */
static inline int cache_device_read_data(struct cache_device *device, uint64_t offset_bytes, size_t length_bytes,
					 void *buffer, unsigned char **bytes)
{
	struct cache_piece piece = { .offset_bytes = offset_bytes, .length_bytes = length_bytes, .buffer = buffer };
	int error = device->ops->read_pieces(device, &piece, 1);

	*bytes = piece.bytes;
	return error;
}

/* Whoever reads from it without its owner's knowledge (a guard) holds it; the last one closes it. */
static inline struct cache_device *cache_device_ref(struct cache_device *device)
{
	atomic_fetch_add(&device->references, 1);
	return device;
}

static inline void cache_device_unref(struct cache_device *device)
{
	if (device && atomic_fetch_sub(&device->references, 1) == 0)
		device->ops->close(device);
}
