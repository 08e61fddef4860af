/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/compare.h"

#include <errno.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/dir.h"
#include "cache/tree/pace.h"
#include "cache/tree/settle.h"

/* So many chunks are one read. */
#define BATCH_CHUNKS 16
#define BATCH_BYTES ((size_t)BATCH_CHUNKS * CHUNK_BYTES)

struct batch {
	struct span span;
	struct chunk_hash hashes[BATCH_CHUNKS]; /* as they are known, */
	struct chunk_hash found[BATCH_CHUNKS];	/* and as they are in the image */
};

static bool is_compared(const struct cache_version *version, uint64_t chunk)
{
	return version->states && version->states[chunk] >= CHUNK_JOINED;
}

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

	while (chunk < count && (!is_compared(version, chunk) || (written && !was_written(version, chunk, written))))
		chunk++;
	for (first = chunk; chunk < count && taken < BATCH_CHUNKS && is_compared(version, chunk); chunk++)
		batch->hashes[taken++] = version->hashes[chunk];
	if (taken == 0)
		return false;
	batch->span = span_around(version, first * CHUNK_BYTES, (size_t)taken * CHUNK_BYTES);
	return true;
}

/* What was preserved is the version's, and so is what was lost after it was handed out. Without the lock. */
static int overlay(struct guard *guard, struct batch *batch, unsigned char *bytes)
{
	size_t count = span_chunk_count(&batch->span);
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		uint64_t chunk = batch->span.offset_bytes / CHUNK_BYTES + i;
		size_t length_bytes = extents_chunk_bytes(guard_extents(guard), chunk);
		enum guard_state state = guard_state(guard, chunk);
		struct span span = { chunk * CHUNK_BYTES, length_bytes };

		if (state == GUARD_LOST)
			batch->found[i] = batch->hashes[i];
		if (state != GUARD_SAVED)
			continue;
		error = guard_read(guard, chunk * CHUNK_BYTES, bytes, length_bytes);
		span_hash(&span, bytes, &batch->found[i]);
	}
	return error;
}

/* What is read together, and into what. */
struct group {
	struct batch batches[PACE_MAX];
	size_t count;
	struct pace_buffers buffers;
};

/* Without the lock. `guard` may be NULL. */
static int read_group(const struct cache_version *version, struct guard *guard, struct group *group)
{
	struct extents_part parts[PACE_MAX];
	int error;

	for (size_t i = 0; i < group->count; i++) {
		const struct span *span = &group->batches[i].span;

		parts[i] = (struct extents_part){ span->offset_bytes, span->length_bytes, group->buffers.list[i], NULL };
	}
	error = extents_read_parts(version->extents, version->image->device, parts, group->count);
	for (size_t i = 0; error == 0 && i < group->count; i++) {
		span_hash(&group->batches[i].span, parts[i].bytes, group->batches[i].found);
		error = guard ? overlay(guard, &group->batches[i], group->buffers.list[i]) : 0;
	}
	return error;
}

/* One that is known ends the version if it differs; one that joined is new again. */
static int judge_batch(struct cache_version *version, const struct batch *batch)
{
	size_t count = span_chunk_count(&batch->span);

	for (size_t i = 0; i < count; i++) {
		uint64_t chunk = batch->span.offset_bytes / CHUNK_BYTES + i;
		bool lost = version->guard && guard_state(version->guard, chunk) == GUARD_LOST;

		if (batch->found[i].low == batch->hashes[i].low && batch->found[i].high == batch->hashes[i].high &&
		    (!lost || chunk_known(version, chunk)))
			continue;
		if (chunk_known(version, chunk)) {
			image_differs(version->image);
			return dir_supersede(version);
		}
		version->states[chunk] = CHUNK_NEW;
		chunk_note(version, chunk, &batch->found[i], version->image->seen.now_ns);
	}
	return 0;
}

/* How it is compared. */
struct comparison {
	const struct changes *written; /* only what was written; or NULL */
	struct guard *guard;	       /* whose bytes count for the image's; a reference, or NULL */
	uint64_t generation; /* not 0: only as long as it stands, and how far it came is noted */
	int64_t limit_ns;
};

/* One group: 0, or as compare_known. */
static int compare_group(struct cache_version *version, struct cache_op *op, const struct comparison *how,
			 struct group *group)
{
	struct cache_image *image = version->image;
	int64_t read_ns;
	int error, again;

	image_leave(image);
	error = read_group(version, how->guard, group);
	read_ns = image_lock_again(image);
	again = image_observe_since(image, op, read_ns);
	if (again != 0)
		return again;
	for (size_t i = 0; error == 0 && i < group->count; i++)
		error = judge_batch(version, &group->batches[i]);
	return error;
}

/* The next batches from `chunk` on, `width` at most. Returns the chunk behind them. */
static uint64_t next_group(const struct cache_version *version, uint64_t chunk, const struct changes *written, size_t width,
			   struct group *group)
{
	for (group->count = 0; group->count < width && pace_has_buffer(&group->buffers, group->count); group->count++) {
		struct batch *batch = &group->batches[group->count];

		if (!next_batch(version, chunk, written, batch))
			break;
		chunk = batch->span.offset_bytes / CHUNK_BYTES + span_chunk_count(&batch->span);
	}
	return chunk;
}

static int out_of_time(struct cache_op *op)
{
	op->retry_ns = 1;
	op->busy = true;
	return -EINPROGRESS;
}

static int compare_from(struct cache_version *version, struct cache_op *op, uint64_t chunk, const struct comparison *how)
{
	const struct cache_observation *seen = &version->image->seen;
	int64_t end_ns = seen->now_ns + how->limit_ns, start_ns;
	struct pace pace = { .width = 1 };
	struct group group = { .buffers.each_bytes = cache_device_buffer_bytes(BATCH_BYTES) };
	int error = pace_has_buffer(&group.buffers, 0) ? 0 : -ENOMEM;

	/* Each turn takes at least one chunk of the file. */
	while (error == 0) {
		chunk = next_group(version, chunk, how->written, pace.width, &group);
		if (group.count == 0)
			break;
		start_ns = seen->now_ns;
		error = start_ns > end_ns ? out_of_time(op) : compare_group(version, op, how, &group);
		if (error == 0 && how->generation != 0 && seen->generation != how->generation)
			error = out_of_time(op);
		if (error == 0 && how->generation != 0)
			version->compared_chunks = chunk;
		pace_find(&pace, group.count, seen->now_ns - start_ns);
	}
	pace_put_buffers(&group.buffers);
	return error;
}

/* What the version holds there: preserved, or known. False: neither. */
static bool hash_as_opened(struct cache_version *version, struct guard *guard, uint64_t chunk, unsigned char *buffer,
			   struct chunk_hash *hash)
{
	size_t length_bytes = extents_chunk_bytes(version->extents, chunk);

	if (guard_state(guard, chunk) == GUARD_SAVED && guard_read(guard, chunk * CHUNK_BYTES, buffer, length_bytes) == 0)
		*hash = chunk_hash_of(buffer, length_bytes);
	else if (chunk_known(version, chunk))
		*hash = version->hashes[chunk];
	else
		return false;
	return true;
}

/* One chunk. 1: the image holds it; 0: something else; or negative. */
static int is_in_image(struct cache_version *version, struct cache_op *op, struct guard *guard, uint64_t chunk,
		       unsigned char *buffer)
{
	struct cache_image *image = version->image;
	size_t length_bytes = extents_chunk_bytes(version->extents, chunk);
	struct chunk_hash wanted, found;
	unsigned char *bytes;
	int error, again;

	if (!hash_as_opened(version, guard, chunk, buffer, &wanted))
		return 0;
	image_leave(image);
	error = extents_read(version->extents, image->device, chunk * CHUNK_BYTES, length_bytes, buffer, &bytes);
	if (error == 0)
		found = chunk_hash_of(bytes, length_bytes);
	pthread_mutex_lock(&image->lock);
	again = image_observe(image, op);
	if (again != 0 || error != 0)
		return again != 0 ? again : error;
	return wanted.low == found.low && wanted.high == found.high;
}

/* All that its guard preserved or lost, against the image. */
static int compare_preserved(struct cache_version *version, struct cache_op *op, int64_t limit_ns)
{
	const struct cache_observation *seen = &version->image->seen;
	uint64_t count = extents_chunk_count(version->extents);
	size_t buffer_bytes = cache_device_buffer_bytes(CHUNK_BYTES);
	unsigned char *buffer = cache_buffer_get(buffer_bytes);
	struct guard *guard = guard_ref(version->guard);
	int64_t end_ns = seen->now_ns + limit_ns;
	int result = buffer ? 1 : -ENOMEM;

	for (uint64_t chunk = 0; result == 1 && chunk < count; chunk++) {
		if (guard_state(guard, chunk) == GUARD_IN_IMAGE)
			continue;
		result = seen->now_ns > end_ns ? out_of_time(op) : is_in_image(version, op, guard, chunk, buffer);
	}
	guard_unref(guard);
	cache_buffer_put(buffer, buffer_bytes);
	if (result < 0)
		return result;
	return result == 0 ? dir_supersede(version) : 0;
}

int compare_known(struct cache_version *version, struct cache_op *op, enum compare_what what, int64_t limit_ns)
{
	struct comparison how = { .limit_ns = limit_ns };
	struct changes written;
	uint64_t first = 0;
	int error;

	if (what == COMPARE_PRESERVED)
		return compare_preserved(version, op, limit_ns);
	if (what == COMPARE_WRITTEN && image_changes(version->image, version->data_checked, &written))
		how.written = &written;
	if (what == COMPARE_HANDED_OUT && version->guard)
		how.guard = guard_ref(version->guard);
	if (what == COMPARE_STEADY) {
		how.generation = version->image->seen.generation;
		if (version->compared_generation != how.generation)
			version->compared_chunks = 0;
		version->compared_generation = how.generation;
		first = version->compared_chunks;
	}
	error = compare_from(version, op, first, &how);
	if (error == 0 && what == COMPARE_STEADY)
		version->data_checked = how.generation;
	guard_unref(how.guard);
	return error;
}
