/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/copy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/path.h"
#include "cache/tree/stream.h"

/* One step of reading a whole file, at most. A multiple of CHUNK_BYTES. With the blocks at its ends it is one request to a FUSE storage. */
#define STEP_BYTES ((uint64_t)448 << 10)

/* Steps are about equally long: a short one is no sooner there. */
static uint64_t step_of(uint64_t size_bytes)
{
	uint64_t chunks = (size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES, steps = (size_bytes + STEP_BYTES - 1) / STEP_BYTES;

	return (chunks + steps - 1) / steps * CHUNK_BYTES;
}

bool copy_is_wanted(const struct cache_version *version)
{
	const struct cache_image *image = version->image;

	/* Of a file that is looked at all the time one a settle time is enough. */
	return !version->copying && !version->kept && !version->detached && !version->uncopied && version->extents &&
	       version->entry.size_bytes <= image->cache->settings.keep_limit_bytes &&
	       (version->copied_ns == 0 || image->seen.now_ns - version->copied_ns >= image->cache->settings.settle_ns);
}

bool copy_is_on_its_way(const struct cache_version *version)
{
	return version->copier_ns != 0 && !version->kept && !version->detached &&
	       (version->copying || clock_now_ns(CLOCK_MONOTONIC) < version->copier_ns);
}

/* Without the lock. -ECANCELED: nobody has it open any more. */
static int copy_bytes(const struct cache_version *version, struct kept *copy, struct chunk_hash *hashes)
{
	uint64_t size_bytes = version->entry.size_bytes, step_bytes = step_of(size_bytes);
	size_t buffer_bytes = cache_device_buffer_bytes((size_t)min_u64(size_bytes, step_bytes));
	void *buffer = cache_buffer_get(buffer_bytes);
	int error = buffer ? 0 : -ENOMEM;

	for (uint64_t at = 0; error == 0 && at < size_bytes; at += step_bytes) {
		struct span step = { at, (size_t)min_u64(step_bytes, size_bytes - at) };
		unsigned char *bytes;

		error = atomic_load(&version->opens) == 0 ? -ECANCELED : 0;
		if (error == 0)
			error = extents_read(version->extents, version->image->device, at, step.length_bytes, buffer, &bytes);
		if (error == 0) {
			span_hash(&step, bytes, hashes + at / CHUNK_BYTES);
			error = kept_write(copy, at, bytes, step.length_bytes);
		}
	}
	cache_buffer_put(buffer, buffer_bytes);
	return error;
}

/*
 * Is what was read from `start_ns` on the version's? What is known must be as it was,
 * the rest have been there long enough before: so all of it was there at the start. -EINPROGRESS: that is not known yet.
 */
static int judge(struct cache_version *version, const struct chunk_hash *hashes, int64_t start_ns, uint64_t generation)
{
	const struct cache_observation *seen = &version->image->seen;
	int64_t must_ns = version_must_last_ns(version, start_ns, generation);
	bool one_moment = must_ns == 0 && seen->steady && seen->in_flight == 0 && seen->generation == generation;
	struct span all = { 0, (size_t)version->entry.size_bytes };
	int64_t since_ns;

	if (!span_agrees(version, &all, hashes))
		return dir_supersede(version);
	since_ns = span_note(version, &all, hashes, seen->now_ns);
	if (!one_moment && since_ns != 0 && (must_ns == 0 || start_ns - since_ns < must_ns))
		return -EINPROGRESS;
	return one_moment;
}

/* 0: it is the version's. */
static int make_copy(struct cache_version *version, struct cache_op *op, struct kept *copy, struct chunk_hash *hashes)
{
	struct cache_image *image = version->image;
	struct span all = { 0, (size_t)version->entry.size_bytes };
	uint64_t generation = image->seen.generation, opened = version->opened;
	int64_t start_ns = image->seen.now_ns, read_ns;
	int error, again;

	version->copying = true;
	image_leave(image);
	error = copy_bytes(version, copy, hashes);
	read_ns = image_lock_again(image);
	again = image_look(image, op, read_ns);
	if (again == 0)
		again = path_refresh_version(version, op);
	version->copying = false;
	if (again == 0)
		again = error != 0 ? error : judge(version, hashes, start_ns, generation);
	version->copied_ns = image->seen.now_ns;
	if (again < 0)
		return again;
	/* Who closed it meanwhile was told nothing to drop. */
	if (version->kept || atomic_load(&version->opens) == 0)
		return -ECANCELED;
	/* Whoever opened it after that began may know of a write that it has not. */
	if (again == 0 && version->opened != opened)
		return -EINPROGRESS;
	if (again == 1)
		version->data_checked = generation;
	span_remember(version, &all, hashes);
	return 0;
}

/* Whoever copies it may be late, or be there no more. */
static int come_back(struct cache_version *version, struct cache_op *op, int64_t retry_ns)
{
	op->retry_ns = retry_ns;
	op->busy = true;
	version->copier_ns = clock_now_ns(CLOCK_MONOTONIC) + retry_ns + WAIT_S;
	return -EINPROGRESS;
}

static int copy_anew(struct cache_version *version, struct cache_op *op)
{
	struct chunk_hash *hashes;
	struct kept *copy;
	int error = image_new_copy(version->image, version->entry.size_bytes, &copy);

	if (error != 0)
		return error;
	hashes = calloc(extents_chunk_count(version->extents), sizeof(*hashes));
	error = hashes ? chunks_allocate(version) : -ENOMEM;
	if (error == 0)
		error = make_copy(version, op, copy, hashes);
	free(hashes);
	if (error == 0)
		version->kept = copy;
	else
		image_drop_copy(version->image, copy);
	return error;
}

static int copy_slowly(struct cache_version *version, struct cache_op *op)
{
	int error;

	version->copier_ns = INT64_MAX;
	error = stream_copy(version, op);
	return error == -EINPROGRESS ? come_back(version, op, op->retry_ns) : error;
}

static int copy_locked(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	bool slow = image_is_slow(image) && version->extents;
	int error;

	/* On slow storage whoever closed it comes back, and what was noted until then is good for him. */
	if (atomic_load(&version->opens) == 0 && (!slow || version->detached))
		return -ECANCELED;
	if (version->kept || version->copying)
		return 0;
	if (slow) {
		error = copy_slowly(version, op);
		if (error == -EINPROGRESS)
			return error;
		version->copier_ns = 0;
		version->uncopied = error != 0;
		return error;
	}
	error = image_look(image, op, op->came_ns);
	if (error == 0)
		error = path_refresh_version(version, op);
	if (error == 0 && copy_is_wanted(version))
		error = copy_anew(version, op);
	return error;
}

int cache_version_keep(struct cache_version *version, struct cache_op *op)
{
	int error;

	if (!op->may_block)
		return -EAGAIN;
	if (version->entry.size_bytes == 0)
		return 0;
	image_lock(version->image, op);
	error = copy_locked(version, op);
	image_leave(version->image);
	return error;
}
