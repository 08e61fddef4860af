/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/compare.h"

#include <errno.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/dir.h"
#include "cache/tree/observe.h"

/* So many chunks are read at once. */
#define BATCH_CHUNKS 16
#define BATCH_BYTES ((size_t)BATCH_CHUNKS * CHUNK_BYTES)

struct batch {
	struct span span;
	struct chunk_hash hashes[BATCH_CHUNKS]; /* as they are known */
};

static bool was_written(const struct cache_version *version, uint64_t chunk, const struct changes *written)
{
	for (size_t i = 0; i < written->count; i++)
		if (extents_chunk_touches(version->extents, chunk, &written->ranges[i]))
			return true;
	return false;
}

/* The next known chunks from `chunk` on, as many as follow each other. False: there is none. */
static bool next_batch(const struct cache_version *version, uint64_t chunk, const struct changes *written,
		       struct batch *batch)
{
	uint64_t count = extents_chunk_count(version->extents), first;
	size_t taken = 0;

	while (chunk < count && (!chunk_known(version, chunk) || (written && !was_written(version, chunk, written))))
		chunk++;
	for (first = chunk; chunk < count && taken < BATCH_CHUNKS && chunk_known(version, chunk); chunk++)
		batch->hashes[taken++] = version->hashes[chunk];
	if (taken == 0)
		return false;
	batch->span = span_around(version, first * CHUNK_BYTES, (size_t)taken * CHUNK_BYTES);
	return true;
}

/* What was preserved is the version's, and so is what was lost after it was handed out. Without the lock. */
static int overlay(struct guard *guard, const struct batch *batch, unsigned char *bytes, struct chunk_hash *hashes)
{
	size_t count = span_chunk_count(&batch->span);
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		uint64_t chunk = batch->span.offset_bytes / CHUNK_BYTES + i;
		size_t length_bytes = extents_chunk_bytes(guard_extents(guard), chunk);
		enum guard_state state = guard_state(guard, chunk);
		struct span span = { chunk * CHUNK_BYTES, length_bytes };

		if (state == GUARD_LOST)
			hashes[i] = batch->hashes[i];
		if (state != GUARD_SAVED)
			continue;
		error = guard_read(guard, chunk * CHUNK_BYTES, bytes, length_bytes);
		span_hash(&span, bytes, &hashes[i]);
	}
	return error;
}

/* Without the lock. `guard` may be NULL. 1: all as they were; 0: one is not; -EIO. */
static int batch_holds(const struct cache_version *version, struct guard *guard, const struct batch *batch, void *buffer)
{
	struct chunk_hash hashes[BATCH_CHUNKS];
	size_t count = span_chunk_count(&batch->span);
	unsigned char *bytes;
	int error = extents_read(version->extents, version->image->device, batch->span.offset_bytes,
				 batch->span.length_bytes, buffer, &bytes);

	if (error != 0)
		return error;
	span_hash(&batch->span, bytes, hashes);
	if (guard)
		error = overlay(guard, batch, buffer, hashes);
	if (error != 0)
		return error;
	for (size_t i = 0; i < count; i++)
		if (hashes[i].low != batch->hashes[i].low || hashes[i].high != batch->hashes[i].high)
			return 0;
	return 1;
}

/* One batch: 0, or as compare_known. */
static int compare_batch(struct cache_version *version, struct cache_op *op, const struct batch *batch, void *buffer)
{
	struct cache_image *image = version->image;
	struct guard *guard = version->guard ? guard_ref(version->guard) : NULL;
	int holds, error;

	image_leave(image);
	holds = batch_holds(version, guard, batch, buffer);
	pthread_mutex_lock(&image->lock);
	guard_unref(guard);
	error = image_observe(image, op);
	if (error != 0 || holds < 0)
		return error != 0 ? error : holds;
	return holds ? 0 : dir_supersede(version);
}

static int out_of_time(struct cache_op *op)
{
	op->retry_ns = 1;
	op->busy = true;
	return -EINPROGRESS;
}

/* `generation` is not 0: only as long as it stands, and how far it came is noted. */
static int compare_from(struct cache_version *version, struct cache_op *op, uint64_t chunk,
			const struct changes *written, uint64_t generation, int64_t limit_ns)
{
	size_t buffer_bytes = cache_device_buffer_bytes(BATCH_BYTES);
	int64_t end_ns = version->image->seen.now_ns + limit_ns;
	void *buffer = cache_buffer_get(buffer_bytes);
	int error = buffer ? 0 : -ENOMEM;
	struct batch batch;

	/* Each turn takes at least one chunk of the file. */
	while (error == 0 && next_batch(version, chunk, written, &batch)) {
		if (version->image->seen.now_ns > end_ns) {
			error = out_of_time(op);
			break;
		}
		error = compare_batch(version, op, &batch, buffer);
		chunk = batch.span.offset_bytes / CHUNK_BYTES + span_chunk_count(&batch.span);
		if (error == 0 && generation != 0 && version->image->seen.generation != generation)
			error = out_of_time(op);
		if (error == 0 && generation != 0)
			version->compared_chunks = chunk;
	}
	cache_buffer_put(buffer, buffer_bytes);
	return error;
}

int compare_known(struct cache_version *version, struct cache_op *op, int64_t limit_ns)
{
	return compare_from(version, op, 0, NULL, 0, limit_ns);
}

int compare_known_once(struct cache_version *version, struct cache_op *op, int64_t limit_ns)
{
	uint64_t generation = version->image->seen.generation;
	int error;

	if (version->compared_generation != generation) {
		version->compared_generation = generation;
		version->compared_chunks = 0;
	}
	error = compare_from(version, op, version->compared_chunks, NULL, generation, limit_ns);
	if (error == 0)
		version->data_checked = generation;
	return error;
}

int compare_written(struct cache_version *version, struct cache_op *op, int64_t limit_ns)
{
	struct changes written;

	if (!image_changes(version->image, version->data_checked, &written))
		return compare_known(version, op, limit_ns);
	return compare_from(version, op, 0, &written, 0, limit_ns);
}
