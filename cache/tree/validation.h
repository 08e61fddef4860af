/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * validation: the validation set of an answer: which blocks it rests on, and what they held.
 *
 * A recording is a source (base/source.h) that part/ and fat/ read through; it
 * remembers a hash of every block they looked at. The set it leaves can
 * be asked later, for the price of reading those blocks, whether a parser would
 * find the same again; so nothing is parsed twice, and nothing is believed that
 * was not looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/source.h"
#include "cache/device/device.h"

struct validation_block {
	uint64_t block; /* in CACHE_BLOCK_BYTES from the start of the device */
	uint64_t hash;
};

/* Sorted by block, each once. Zero-initialised is empty. */
struct validation {
	struct validation_block *blocks;
	size_t count;
	uint64_t size_bytes; /* of the device, when it was recorded */
};

void validation_clear(struct validation *set);
size_t validation_memory_bytes(const struct validation *set);

/* The same blocks, that held the same? */
bool validation_equal(const struct validation *a, const struct validation *b);

/*
 * Read the blocks again. 1: all as they were; 0: not; -EAGAIN or -ENOMEM as
 * usual. What cannot be read any more is not as it was.
 */
int validation_verify(const struct validation *set, struct cache_device *device, bool may_block,
		     uint64_t size_bytes);

#define RECORDING_WINDOW_BLOCKS 16

struct recording {
	struct source source; /* first: a recording is a source */
	struct cache_device *device;
	bool may_block;
	bool failed; /* the device could not give a block: an error that comes of it rests on nothing to verify */
	struct validation validation;
	size_t capacity;
	uint64_t window_block; /* the blocks read last, for the many small reads of a parser */
	size_t window_bytes;
	unsigned char *window;
};

/* Begin. -ENOMEM. `size_bytes` is the device's, as observed. End with recording_finish or recording_discard. */
int recording_begin(struct recording *recording, struct cache_device *device, bool may_block, uint64_t size_bytes);

/* Hand the set over to the caller. -EIO when it is torn; then *out is empty. */
int recording_finish(struct recording *recording, struct validation *out);

void recording_discard(struct recording *recording);
