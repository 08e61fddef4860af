/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/validation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/device/hash.h"

#define WINDOW_BYTES ((size_t)RECORDING_WINDOW_BLOCKS * CACHE_BLOCK_BYTES)

void validation_clear(struct validation *validation)
{
	free(validation->blocks);
	*validation = (struct validation){ 0 };
}

size_t validation_memory_bytes(const struct validation *validation)
{
	return validation->count * sizeof(*validation->blocks);
}

bool validation_equal(const struct validation *a, const struct validation *b)
{
	return a->size_bytes == b->size_bytes && a->count == b->count &&
	       (a->count == 0 || memcmp(a->blocks, b->blocks, validation_memory_bytes(a)) == 0);
}

/* How much of `length` bytes from `offset` the device has. */
static size_t clip(uint64_t offset_bytes, size_t length_bytes, uint64_t size_bytes)
{
	if (offset_bytes >= size_bytes)
		return 0;
	return (size_t)min_u64(length_bytes, size_bytes - offset_bytes);
}

static uint64_t hash_block(const unsigned char *bytes, size_t length_bytes)
{
	return XXH3_64bits(bytes, length_bytes);
}

/* How many entries from `first` on are consecutive blocks, up to a window. */
static size_t run_length(const struct validation *validation, size_t first)
{
	size_t count = 1;

	while (count < RECORDING_WINDOW_BLOCKS && first + count < validation->count &&
	       validation->blocks[first + count].block == validation->blocks[first].block + count)
		count++;
	return count;
}

static bool run_matches(const struct validation *validation, size_t first, size_t count, const unsigned char *bytes,
			size_t length_bytes)
{
	for (size_t i = 0; i < count; i++) {
		size_t start = i * CACHE_BLOCK_BYTES;

		if (hash_block(bytes + start, clip(start, CACHE_BLOCK_BYTES, length_bytes)) !=
		    validation->blocks[first + i].hash)
			return false;
	}
	return true;
}

int validation_verify(const struct validation *validation, struct cache_device *device, bool may_block,
		     uint64_t size_bytes)
{
	CLEANUP_FREE unsigned char *bytes = NULL;

	/* The end of the device is part of the answer: a table or chain may have been cut there. */
	if (size_bytes != validation->size_bytes)
		return 0;
	bytes = malloc(WINDOW_BYTES);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0, count; i < validation->count; i += count) {
		uint64_t offset_bytes = validation->blocks[i].block * CACHE_BLOCK_BYTES;
		size_t length_bytes;
		int result;

		count = run_length(validation, i);
		length_bytes = clip(offset_bytes, count * CACHE_BLOCK_BYTES, size_bytes);
		result = device->ops->read_blocks(device, may_block, offset_bytes, bytes, length_bytes);
		if (result == -EAGAIN || result == -ENOMEM)
			return result;
		if (result != 0 || !run_matches(validation, i, count, bytes, length_bytes))
			return 0;
	}
	return 1;
}

/* ---- recording ----------------------------------------------------------- */

static int append(struct recording *recording, uint64_t block, uint64_t hash)
{
	struct validation *validation = &recording->validation;

	if (validation->count == recording->capacity) {
		size_t capacity = recording->capacity ? recording->capacity * 2 : 8;
		void *grown = reallocarray(validation->blocks, capacity, sizeof(*validation->blocks));

		if (!grown)
			return -ENOMEM;
		validation->blocks = grown;
		recording->capacity = capacity;
	}
	validation->blocks[validation->count++] = (struct validation_block){ block, hash };
	return 0;
}

/* Make the window hold the block, and as many of the `wanted` bytes behind it as fit. */
static int slide_window(struct recording *recording, uint64_t block, uint64_t wanted_bytes)
{
	struct cache_device *device = recording->device;
	uint64_t offset_bytes = block * CACHE_BLOCK_BYTES, rounded;
	size_t length_bytes;
	int result;

	if (!round_up_u64(min_u64(wanted_bytes, WINDOW_BYTES), CACHE_BLOCK_BYTES, &rounded))
		return -EIO;
	length_bytes = clip(offset_bytes, (size_t)rounded, recording->source.size_bytes);
	recording->window_bytes = 0;
	result = device->ops->read_blocks(device, recording->may_block, offset_bytes, recording->window, length_bytes);
	if (result != 0) {
		recording->failed = true;
		return result;
	}
	recording->window_block = block;
	recording->window_bytes = length_bytes;
	for (size_t start = 0; start < length_bytes; start += CACHE_BLOCK_BYTES) {
		size_t part = clip(start, CACHE_BLOCK_BYTES, length_bytes);

		result = append(recording, block + start / CACHE_BLOCK_BYTES, hash_block(recording->window + start, part));
		if (result != 0)
			return result;
	}
	return 0;
}

static bool window_holds(const struct recording *recording, uint64_t offset_bytes)
{
	uint64_t start = recording->window_block * CACHE_BLOCK_BYTES;

	return offset_bytes >= start && offset_bytes - start < recording->window_bytes;
}

static int recording_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct recording *recording = (struct recording *)self;
	unsigned char *out = buffer;

	/* Each turn copies at least one byte: the range is inside the source, and the window then holds it. */
	while (length_bytes > 0) {
		size_t from, part;

		if (!window_holds(recording, offset_bytes)) {
			uint64_t block = offset_bytes / CACHE_BLOCK_BYTES;
			int result = slide_window(recording, block,
						  offset_bytes % CACHE_BLOCK_BYTES + length_bytes);

			if (result != 0)
				return result;
		}
		from = (size_t)(offset_bytes - recording->window_block * CACHE_BLOCK_BYTES);
		part = (size_t)min_u64(length_bytes, recording->window_bytes - from);
		memcpy(out, recording->window + from, part);
		out += part;
		offset_bytes += part;
		length_bytes -= part;
	}
	return 0;
}

int recording_begin(struct recording *recording, struct cache_device *device, bool may_block, uint64_t size_bytes)
{
	*recording = (struct recording){
		.source = { .read = recording_read, .size_bytes = size_bytes },
		.device = device,
		.may_block = may_block,
		.window = malloc(WINDOW_BYTES),
	};
	recording->validation.size_bytes = size_bytes;
	return recording->window ? 0 : -ENOMEM;
}

void recording_discard(struct recording *recording)
{
	free(recording->window);
	recording->window = NULL;
	validation_clear(&recording->validation);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct validation_block *left = a, *right = b;

	return (left->block > right->block) - (left->block < right->block);
}

/* Sort, and fold blocks that were read twice; false if one of them differed. */
static bool fold(struct validation *validation)
{
	size_t kept = 0;

	if (validation->count == 0)
		return true;
	qsort(validation->blocks, validation->count, sizeof(*validation->blocks), compare_blocks);
	for (size_t i = 1; i < validation->count; i++) {
		if (validation->blocks[i].block != validation->blocks[kept].block)
			validation->blocks[++kept] = validation->blocks[i];
		else if (validation->blocks[i].hash != validation->blocks[kept].hash)
			return false;
	}
	validation->count = kept + 1;
	return true;
}

int recording_finish(struct recording *recording, struct validation *out)
{
	bool whole = fold(&recording->validation);
	void *shrunk;

	if (!whole) {
		recording_discard(recording);
		*out = (struct validation){ 0 };
		return -EIO;
	}
	*out = recording->validation;
	recording->validation = (struct validation){ 0 };
	/* No more room than it needs: it stays for long. */
	shrunk = out->count > 0 ? reallocarray(out->blocks, out->count, sizeof(*out->blocks)) : NULL;
	if (shrunk)
		out->blocks = shrunk;
	recording_discard(recording);
	return 0;
}
