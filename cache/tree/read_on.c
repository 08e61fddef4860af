/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/read_on.h"

#include "base/checked.h"
#include "base/waits.h"
#include "cache/changes/guards.h"
#include "cache/device/buffer.h"
#include "cache/tree/dir.h"

/* One step of it. A multiple of CHUNK_BYTES. */
#define STEP_BYTES ((size_t)1 << 20)
#define STEP_CHUNKS (STEP_BYTES / CHUNK_BYTES)

/*
 * To compare less than this takes no time to speak of. What was read on is known at one moment, and later
 * reads of it compare nothing: a write that shows itself late would be found by them.
 */
#define MUCH_CHUNKS ((4 << 20) / CHUNK_BYTES)

static bool reads_on(const struct cache_version *version, const struct span *behind)
{
	uint64_t first = behind->offset_bytes / CHUNK_BYTES;

	return version->known_count >= MUCH_CHUNKS && first > 0 && version->states[first - 1] != CHUNK_NEW;
}

/* The unknown chunks from there on, as many as follow each other. Of no length: there is none. */
static struct span next_step(const struct cache_version *version, uint64_t offset_bytes)
{
	uint64_t count = extents_chunk_count(version->extents), first = offset_bytes / CHUNK_BYTES,
		 chunk = first;

	while (chunk < count && chunk - first < STEP_CHUNKS && version->states[chunk] == CHUNK_NEW)
		chunk++;
	return chunk == first ? (struct span){ offset_bytes, 0 }
			      : span_around(version, offset_bytes, (size_t)((chunk - first) * CHUNK_BYTES));
}

/* Is it all in the image as it was when it was guarded? */
static bool is_guarded(const struct cache_version *version, const struct span *step, struct guard *guard)
{
	size_t count = span_chunk_count(step);

	if (version->guard != guard || write_log_guard_stands(version->image->log, guard) != 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (guard_state(guard, step->offset_bytes / CHUNK_BYTES + i) != GUARD_IN_IMAGE)
			return false;
	return true;
}

/* What was read of it is noted: known, or waiting for the comparison. 1: it is of no use. */
static int note_step(struct cache_version *version, const struct span *step, const struct chunk_hash *hashes,
		     const struct readers *reader, struct guard *guard)
{
	int64_t must_ns = version_must_last_ns(version, reader->start_ns, reader->generation), since_ns;
	struct readers lasting = *reader;

	if (!span_agrees(version, step, hashes)) {
		image_differs(version->image);
		return dir_supersede(version);
	}
	if (guard) {
		if (must_ns != 0 || !is_guarded(version, step, guard))
			return 1;
		span_remember(version, step, hashes);
		return 0;
	}
	since_ns = span_note(version, step, hashes, version->image->seen.now_ns);
	lasting.lasted_ns = since_ns != 0 ? reader->start_ns - since_ns : reader->lasted_ns;
	/* Else it begins to last now, and its reader need not wait for that. */
	if (must_ns == 0 || lasting.lasted_ns >= must_ns)
		span_wait(version, step, &lasting);
	return 0;
}

/* 1: it cannot be read, or is of no use. */
static int read_step(struct cache_version *version, struct cache_op *op, const struct span *step,
		     const struct readers *reader, struct guard *guard, void *buffer)
{
	struct cache_image *image = version->image;
	struct chunk_hash hashes[STEP_CHUNKS];
	unsigned char *bytes;
	int error, again;

	image_leave(image);
	error = extents_read(version->extents, image->device, step->offset_bytes, step->length_bytes, buffer,
			     &bytes);
	if (error == 0)
		span_hash(step, bytes, hashes);
	pthread_mutex_lock(&image->lock);
	again = image_observe(image, op);
	if (again != 0)
		return again;
	return error != 0 ? 1 : note_step(version, step, hashes, reader, guard);
}

int read_on(struct cache_version *version, struct cache_op *op, const struct span *behind,
	    struct guard *guard)
{
	const struct cache_observation *seen = &version->image->seen;
	struct readers reader = { true, seen->now_ns, 0, seen->generation };
	uint64_t end = behind->offset_bytes + behind->length_bytes, at = end, left_bytes;
	size_t buffer_bytes = cache_device_buffer_bytes(STEP_BYTES);
	void *buffer = reads_on(version, behind) ? cache_buffer_get(buffer_bytes) : NULL;
	bool lasts = version_must_last_ns(version, reader.start_ns, reader.generation) == 0;
	struct span step;
	int error = 0;

	if (!buffer)
		return 0;
	/* What is behind that only begins to last. */
	left_bytes = version->known_count * CHUNK_BYTES * (lasts ? 1 : 2);
	while (error == 0 && at - end < left_bytes && seen->now_ns - reader.start_ns < WAIT_READ_ON_NS) {
		step = next_step(version, at);
		if (step.length_bytes == 0)
			break;
		error = read_step(version, op, &step, &reader, guard, buffer);
		at += step.length_bytes;
	}
	cache_buffer_put(buffer, buffer_bytes);
	return error > 0 ? 0 : error;
}
