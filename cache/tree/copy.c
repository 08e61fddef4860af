/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/copy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/path.h"

/* One step of reading a whole file. A multiple of CHUNK_BYTES. */
#define STEP_BYTES ((uint64_t)1 << 20)

bool copy_is_wanted(const struct cache_version *version)
{
	const struct cache_image *image = version->image;

	/* Of a file that is looked at all the time one a settle time is enough. */
	return !version->copying && !version->kept && !version->detached && version->extents &&
	       version->entry.size_bytes <= image->cache->settings.keep_limit_bytes &&
	       (version->copied_ns == 0 || image->seen.now_ns - version->copied_ns >= image->cache->settings.settle_ns);
}

/* Without the lock. -ECANCELED: nobody has it open any more. */
static int copy_bytes(const struct cache_version *version, struct kept *copy, struct chunk_hash *hashes)
{
	uint64_t size_bytes = version->entry.size_bytes;
	size_t buffer_bytes = cache_device_buffer_bytes((size_t)min_u64(size_bytes, STEP_BYTES));
	void *buffer = cache_buffer_get(buffer_bytes);
	int error = buffer ? 0 : -ENOMEM;

	for (uint64_t at = 0; error == 0 && at < size_bytes; at += STEP_BYTES) {
		struct span step = { at, (size_t)min_u64(STEP_BYTES, size_bytes - at) };
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
 * the rest have been there long enough before: so all of it was there at the start.
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
	if (one_moment)
		version->data_checked = generation;
	span_remember(version, &all, hashes);
	return 0;
}

static int make_copy(struct cache_version *version, struct cache_op *op, struct kept *copy, struct chunk_hash *hashes)
{
	struct cache_image *image = version->image;
	int64_t start_ns = image->seen.now_ns;
	uint64_t generation = image->seen.generation;
	int error, again;

	version->copying = true;
	image_leave(image);
	error = copy_bytes(version, copy, hashes);
	pthread_mutex_lock(&image->lock);
	version->copying = false;
	again = image_observe(image, op);
	version->copied_ns = image->seen.now_ns;
	if (again == 0)
		again = path_refresh_version(version, op);
	if (again != 0 || error != 0)
		return again != 0 ? again : error;
	error = judge(version, hashes, start_ns, generation);
	/* Who closed it meanwhile was told nothing to drop. */
	if (error == 0 && (version->kept || atomic_load(&version->opens) == 0))
		return -ECANCELED;
	return error;
}

static int copy_locked(struct cache_version *version, struct cache_op *op)
{
	struct chunk_hash *hashes;
	struct kept *copy;
	int error = version->kept ? 0 : path_refresh_version(version, op);

	if (error != 0 || !version->extents || atomic_load(&version->opens) == 0 || !copy_is_wanted(version))
		return error;
	error = image_new_copy(version->image, version->entry.size_bytes, &copy);
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

int cache_version_keep(struct cache_version *version, struct cache_op *op)
{
	int error;

	if (!op->may_block)
		return -EAGAIN;
	if (version->entry.size_bytes == 0)
		return 0;
	error = image_enter(version->image, op);
	if (error != 0)
		return error;
	error = copy_locked(version, op);
	image_leave(version->image);
	return error;
}
