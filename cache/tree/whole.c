/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/whole.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/path.h"
#include "cache/tree/settle.h"

/* One step of reading a whole file. A multiple of CHUNK_BYTES. */
#define STEP_BYTES ((uint64_t)1 << 20)

static int read_step(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes, void *buffer,
		     struct reading *reading)
{
	unsigned char *bytes;
	int error = extents_read(version->extents, version->image->device, offset_bytes, length_bytes, buffer, &bytes);

	for (size_t at = 0; error == 0 && at < length_bytes; at += CHUNK_BYTES) {
		size_t part = (size_t)min_u64(CHUNK_BYTES, length_bytes - at);

		reading->hashes[(offset_bytes + at) / CHUNK_BYTES] = chunk_hash_of(bytes + at, part);
	}
	if (error == 0 && reading->kept)
		error = kept_write(reading->kept, offset_bytes, bytes, length_bytes);
	if (error == 0)
		atomic_store(&reading->filled_bytes, offset_bytes + length_bytes);
	return error;
}

/* Without the lock. */
static int read_whole(const struct cache_version *version, struct reading *reading)
{
	uint64_t size_bytes = version->entry.size_bytes;
	size_t buffer_bytes = cache_device_buffer_bytes((size_t)min_u64(size_bytes, STEP_BYTES));
	void *buffer = cache_buffer_get(buffer_bytes);
	int error = buffer ? 0 : -ENOMEM;

	for (uint64_t at = 0; error == 0 && at < size_bytes; at += STEP_BYTES)
		error = read_step(version, at, (size_t)min_u64(STEP_BYTES, size_bytes - at), buffer, reading);
	cache_buffer_put(buffer, buffer_bytes);
	return error;
}

static void reading_free(struct reading *reading)
{
	free(reading->hashes);
	kept_unref(reading->kept);
	reading->hashes = NULL;
	reading->kept = NULL;
}

static int reading_new(const struct cache_version *version, bool keep, struct reading *reading)
{
	*reading = (struct reading){ .hashes = calloc(chunk_count(version), sizeof(*reading->hashes)) };
	if (!reading->hashes)
		return -ENOMEM;
	if (!keep)
		return 0;
	return kept_new(version->image->cache->budget, version->entry.size_bytes, &reading->kept);
}

/* Read the file with the lock let go, then observe, and look at entry and chain again. */
static int read_unlocked(struct cache_version *version, struct cache_op *op, struct reading *reading)
{
	struct cache_image *image = version->image;
	uint64_t generation = image->seen.generation;
	int error, again;

	reading->generation = generation;
	image_leave(image);
	error = read_whole(version, reading);
	pthread_mutex_lock(&image->lock);
	again = image_observe(image, op);
	if (again == 0 && image->seen.generation != generation)
		again = path_refresh_version(version, op);
	/* That the version is gone, or in flux, explains a failed read better than the failure. */
	return again != 0 ? again : error;
}

/*
 * What was saved of it is the version's, for those who have it open, though nobody
 * has read it yet; what was lost is another's by now.
 */
static bool guard_agrees(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	size_t length_bytes = (size_t)min_u64(CHUNK_BYTES, version->entry.size_bytes - chunk * CHUNK_BYTES);
	enum guard_state state = guard_state(version->guard, chunk);
	struct chunk_hash saved;
	void *buffer;
	bool agrees = false;

	if (state != GUARD_SAVED)
		return state == GUARD_IN_IMAGE;
	buffer = cache_buffer_get(CHUNK_BYTES);
	if (buffer && guard_read(version->guard, chunk * CHUNK_BYTES, buffer, length_bytes) == 0) {
		saved = chunk_hash_of(buffer, length_bytes);
		agrees = saved.low == hash->low && saved.high == hash->high;
	}
	cache_buffer_put(buffer, CHUNK_BYTES);
	return agrees;
}

/* Does the reading hold what is known of the version? Unknown chunks fit anything. */
static bool reading_matches(const struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);

	for (uint64_t chunk = 0; chunk < count; chunk++) {
		if (chunk_known(version, chunk) && !chunk_equal(version, chunk, &reading->hashes[chunk]))
			return false;
		if (version->guard && !guard_agrees(version, chunk, &reading->hashes[chunk]))
			return false;
	}
	return true;
}

/* Note the unknown chunks, without knowing them yet: are they what the reading before this one noted? */
static bool reading_repeats(struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);
	bool same = true;

	for (uint64_t chunk = 0; chunk < count; chunk++) {
		if (chunk_equal(version, chunk, &reading->hashes[chunk]))
			continue;
		version->hashes[chunk] = reading->hashes[chunk];
		same = false;
	}
	return same;
}

/* Make the reading what is known of the version. */
static void reading_adopt(struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);

	for (uint64_t chunk = 0; chunk < count; chunk++)
		chunk_remember(version, chunk, &reading->hashes[chunk]);
	/* Not a newer one: what came with that may have overwritten what was read before it. */
	version->data_checked = reading->generation;
}

/* What was noted has to last, or the image to become quiet. */
static int wait_for_unknown(const struct cache_version *version, struct cache_op *op, int64_t start_ns)
{
	struct cache_image *image = version->image;

	if (image_settled(image, op, version->since_ns, &version->place.range))
		op->retry_ns = WAIT_RETRY_BUSY_NS;
	/* Patience is for writers: the time our own reading takes does not count. */
	op->busy = image->seen.now_ns - start_ns > image->cache->settings.settle_ns / 8;
	return -EINPROGRESS;
}

/* A quiet image whose device cannot say that nothing changed during a reading: a second one must be equal. */
static int read_twice(struct cache_version *version, struct cache_op *op)
{
	int64_t start_ns = version->image->seen.now_ns;
	struct reading second;
	int error = reading_new(version, false, &second);

	if (error == 0)
		error = read_unlocked(version, op, &second);
	if (error == 0 && !reading_matches(version, &second))
		error = dir_supersede(version);
	if (error == 0 && !reading_repeats(version, &second))
		error = wait_for_unknown(version, op, start_ns);
	reading_free(&second);
	return error;
}

/*
 * Is a reading that began at `start_ns` under `generation` to be believed where
 * it shows chunks that nobody knows yet? If the image is quiet and the reading of
 * one moment, or if it repeats one that ended long before it began. The time that
 * a reading takes is no such time: a writer can overtake it.
 */
static int settle_unknown(struct cache_version *version, struct cache_op *op, const struct reading *reading,
			  uint64_t generation, int64_t start_ns)
{
	struct cache_image *image = version->image;

	if (!reading_repeats(version, reading))
		version->since_ns = image->seen.now_ns;
	else if (start_ns - version->since_ns >= image_lasting_ns(image, &version->place.range))
		return 0;
	if (!image_is_quiet(image, &version->place.range) && !version_older_than_burst(version))
		return wait_for_unknown(version, op, start_ns);
	return version_untouched(version, generation) ? 0 : read_twice(version, op);
}

/*
 * Read the version whole and hold it against what is known of it. A known chunk
 * that differs ends the version; equal ones need no second look, whenever they
 * were read. Of an unknown one nobody has seen a byte, so other bytes are no
 * contradiction, only a sign that the writer is still at it: what is new must
 * last. Entry and chain were looked at before, and are again after each reading.
 */
static int version_validate(struct cache_version *version, struct cache_op *op, struct reading *reading)
{
	struct cache_image *image = version->image;
	uint64_t generation = image->seen.generation;
	int64_t start_ns = image->seen.now_ns;
	int error = read_unlocked(version, op, reading);

	if (error == 0)
		error = chunks_allocate(version);
	if (error == 0 && !reading_matches(version, reading))
		error = dir_supersede(version);
	if (error == 0 && version->known_count < chunk_count(version))
		error = settle_unknown(version, op, reading, generation, start_ns);
	if (error == 0)
		reading_adopt(version, reading);
	return error;
}

/* The same, once at a time for each version; the content stays with it if wanted. */
int version_keep(struct cache_version *version, struct cache_op *op, bool keep)
{
	struct reading reading;
	int error;

	if (!op->may_block)
		return -EAGAIN;
	if (version->keeping) {
		op->retry_ns = WAIT_RETRY_BUSY_NS;
		op->busy = true;
		return -EINPROGRESS;
	}
	error = reading_new(version, keep, &reading);
	if (error != 0) {
		reading_free(&reading);
		return error;
	}
	version->keeping = true;
	version->filling = &reading;
	error = version_validate(version, op, &reading);
	version->filling = NULL;
	version->keeping = false;
	if (error == 0 && reading.kept && !version->kept) {
		version->kept = reading.kept;
		reading.kept = NULL;
	}
	reading_free(&reading);
	return error;
}
