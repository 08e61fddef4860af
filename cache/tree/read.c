/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read: a piece of an open version, from where it can be had: from what is kept,
 * from a reading of the whole that is under way, straight from the image, or, if
 * nothing else tells whether those bytes are the version's, by reading it whole.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/path.h"
#include "cache/tree/whole.h"

/* So far ahead of a reading under way it is waited for; beyond, reading twice is quicker. */
#define FILLING_AHEAD_BYTES ((uint64_t)16 << 20)

void cache_bytes_release(struct cache_bytes *bytes)
{
	cache_buffer_put(bytes->owner, bytes->owner_bytes);
	kept_unref(bytes->kept);
	*bytes = (struct cache_bytes){ 0 };
}

static int bytes_allocate(struct cache_bytes *bytes, size_t length_bytes)
{
	bytes->owner_bytes = cache_device_buffer_bytes(length_bytes);
	bytes->owner = cache_buffer_get(bytes->owner_bytes);
	return bytes->owner ? 0 : -ENOMEM;
}

/* From what is kept; takes over the reference to it. */
static int read_kept(struct kept *kept, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		     struct cache_bytes *bytes)
{
	int error;

	bytes->kept = kept;
	bytes->length_bytes = length_bytes;
	bytes->data = kept_memory(kept, offset_bytes);
	if (bytes->data)
		return 0;
	if (!op->may_block)
		return -EAGAIN;
	error = bytes_allocate(bytes, length_bytes);
	if (error != 0)
		return error;
	bytes->data = bytes->owner;
	return kept_read(kept, offset_bytes, bytes->owner, length_bytes);
}

/* A range widened to whole chunks. */
struct span {
	uint64_t offset_bytes;
	size_t length_bytes;
};

static struct span widen(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes)
{
	uint64_t start = offset_bytes / CHUNK_BYTES * CHUNK_BYTES;
	uint64_t end = (offset_bytes + length_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;

	end = min_u64(end, version->entry.size_bytes);
	return (struct span){ start, (size_t)(end - start) };
}

enum span_verdict {
	SPAN_KNOWN, /* every chunk is known, and what was read is what it was */
	SPAN_NEW,   /* the same, but for chunks that are not known */
	SPAN_OTHER, /* a known chunk differs */
};

static enum span_verdict span_judge(const struct cache_version *version, const struct span *span,
				    const struct chunk_hash *hashes)
{
	enum span_verdict verdict = SPAN_KNOWN;

	for (size_t at = 0; at < span->length_bytes; at += CHUNK_BYTES) {
		uint64_t chunk = (span->offset_bytes + at) / CHUNK_BYTES;

		if (!chunk_known(version, chunk))
			verdict = SPAN_NEW;
		else if (!chunk_equal(version, chunk, &hashes[at / CHUNK_BYTES]))
			return SPAN_OTHER;
	}
	return verdict;
}

static int span_remember(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes)
{
	int error = chunks_allocate(version);

	for (size_t at = 0; error == 0 && at < span->length_bytes; at += CHUNK_BYTES)
		chunk_remember(version, (span->offset_bytes + at) / CHUNK_BYTES, &hashes[at / CHUNK_BYTES]);
	return error;
}

/*
 * Straight from the image. 0: the bytes are the version's, known by their hashes
 * or by a generation that stands; 1: that cannot be said, the slow way must tell.
 */
static int read_straight(struct cache_version *version, struct cache_op *op, const struct span *span,
			 struct cache_bytes *bytes)
{
	struct cache_image *image = version->image;
	struct chunk_hash *hashes = calloc(span->length_bytes / CHUNK_BYTES + 1, sizeof(*hashes));
	enum span_verdict verdict = SPAN_OTHER;
	unsigned char *data;
	int error = hashes ? bytes_allocate(bytes, span->length_bytes) : -ENOMEM;

	image_leave(image);
	if (error == 0)
		error = extents_read(version->extents, version->image->device, span->offset_bytes, span->length_bytes, bytes->owner, &data);
	for (size_t at = 0; error == 0 && at < span->length_bytes; at += CHUNK_BYTES)
		hashes[at / CHUNK_BYTES] = chunk_hash_of(data + at, (size_t)min_u64(CHUNK_BYTES, span->length_bytes - at));
	pthread_mutex_lock(&image->lock);
	if (error == 0) {
		bytes->data = data;
		error = image_observe(image, op);
	}
	if (error == 0)
		verdict = span_judge(version, span, hashes);
	if (error == 0 && verdict == SPAN_NEW && !version->detached &&
	    version->data_checked == image->seen.generation && image->seen.in_flight == 0)
		error = span_remember(version, span, hashes);
	else if (error == 0 && verdict != SPAN_KNOWN)
		error = 1;
	free(hashes);
	if (error == -EIO)
		return 1;
	return error;
}

/*
 * What was read from the image, put right by the guard: chunks that were saved
 * are taken from there. Asked after the read, so that a write which came in
 * between is known. 0, -ESTALE: lost; 1: other bytes than were handed out before.
 */
static int mend(struct cache_version *version, const struct span *span, unsigned char *data)
{
	int error = chunks_allocate(version);

	for (size_t at = 0; error == 0 && at < span->length_bytes; at += CHUNK_BYTES) {
		uint64_t chunk = (span->offset_bytes + at) / CHUNK_BYTES;
		size_t length_bytes = (size_t)min_u64(CHUNK_BYTES, span->length_bytes - at);
		enum guard_state state = guard_state(version->guard, chunk);
		struct chunk_hash hash;

		if (state == GUARD_LOST)
			return -ESTALE;
		if (state == GUARD_SAVED)
			error = guard_read(version->guard, chunk * CHUNK_BYTES, data + at, length_bytes);
		hash = chunk_hash_of(data + at, length_bytes);
		if (chunk_known(version, chunk) && !chunk_equal(version, chunk, &hash))
			return 1;
		chunk_remember(version, chunk, &hash);
	}
	return error;
}

static bool all_saved(const struct cache_version *version, const struct span *span)
{
	for (size_t at = 0; at < span->length_bytes; at += CHUNK_BYTES)
		if (guard_state(version->guard, (span->offset_bytes + at) / CHUNK_BYTES) != GUARD_SAVED)
			return false;
	return true;
}

/*
 * Of a version whose writers wait for what it needs. 1: they do not any more, or
 * did not all; what is known of its bytes must tell.
 */
static int read_guarded(struct cache_version *version, struct cache_op *op, const struct span *span,
			struct cache_bytes *bytes)
{
	struct cache_image *image = version->image;
	unsigned char *data = NULL;
	int error = bytes_allocate(bytes, span->length_bytes), observed;

	if (error != 0)
		return error;
	bytes->data = bytes->owner;
	error = reports_guard_stands(image->reports, version->guard);
	if (error != 0)
		goto unsure;
	image_leave(image);
	error = extents_read(version->extents, version->image->device, span->offset_bytes, span->length_bytes, bytes->owner, &data);
	pthread_mutex_lock(&image->lock);
	observed = image_observe(image, op);
	if (observed != 0)
		return observed;
	observed = reports_guard_stands(image->reports, version->guard);
	if (observed != 0) {
		error = observed;
		goto unsure;
	}
	bytes->data = data;
	/* A write may have grown or cut the image meanwhile: not this guard's matter, if it stands. */
	return error != 0 ? error : mend(version, span, data);
unsure:
	op->retry_ns = WAIT_RETRY_NS;
	op->busy = true;
	if (error == -EAGAIN)
		return -EINPROGRESS;
	/* What was saved is the version's, whatever became of its reporters. */
	return bytes->owner && all_saved(version, span) ? mend(version, span, bytes->owner) : 1;
}

/* Read everything, keep it, and serve from that; or learn that the version is gone. */
static int read_by_keeping(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
			   size_t length_bytes, struct cache_bytes *bytes)
{
	int error = path_refresh_version(version, op);

	if (error == 0 && !version->kept)
		error = version_keep(version, op, true);
	if (error != 0)
		return error;
	return read_kept(kept_ref(version->kept), op, offset_bytes, length_bytes, bytes);
}

/*
 * From a reading of the whole that is under way in another thread: its bytes are
 * the version's as long as the generation stands that it began under, and that
 * the version was checked under. 0, 1: not to be had there, -EINPROGRESS: it will be in a moment.
 */
static int read_filling(struct cache_version *version, struct cache_op *op, const struct span *span,
			uint64_t offset_bytes, size_t length_bytes, struct cache_bytes *bytes)
{
	struct reading *reading = version->filling;
	const struct chunk_hash *hashes;
	uint64_t filled_bytes;
	int error;

	if (!reading || !reading->kept || version->detached || version->image->seen.in_flight != 0 ||
	    version->data_checked != version->image->seen.generation ||
	    reading->generation != version->image->seen.generation)
		return 1;
	filled_bytes = atomic_load(&reading->filled_bytes);
	if (span->offset_bytes + span->length_bytes > filled_bytes) {
		op->retry_ns = WAIT_RETRY_NS / 5;
		op->busy = true;
		return span->offset_bytes < filled_bytes + FILLING_AHEAD_BYTES ? -EINPROGRESS : 1;
	}
	hashes = reading->hashes + span->offset_bytes / CHUNK_BYTES;
	if (span_judge(version, span, hashes) == SPAN_OTHER)
		return 1;
	error = span_remember(version, span, hashes);
	return error != 0 ? error : read_kept(kept_ref(reading->kept), op, offset_bytes, length_bytes, bytes);
}

/*
 * Is the version to be kept, though nothing is wrong with its image? Yes if it is
 * small, there is more to it than this read, and not all of it was read before.
 */
static bool worth_keeping(const struct cache_version *version, size_t length_bytes)
{
	return version->entry.size_bytes <= version->image->cache->settings.keep_limit_bytes &&
	       length_bytes < version->entry.size_bytes && !version->detached && !version->keeping &&
	       version->known_count < chunk_count(version);
}

/* What was asked for, of the span around it. */
static void cut_out(struct cache_bytes *bytes, const struct span *span, uint64_t offset_bytes, size_t length_bytes)
{
	bytes->data += offset_bytes - span->offset_bytes;
	bytes->length_bytes = length_bytes;
}

static int read_locked(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
		       size_t length_bytes, struct cache_bytes *bytes)
{
	struct span span = widen(version, offset_bytes, length_bytes);
	int result;

	if (version->kept)
		return read_kept(kept_ref(version->kept), op, offset_bytes, length_bytes, bytes);
	if (!op->may_block)
		return -EAGAIN;
	if (version->guard) {
		result = read_guarded(version, op, &span, bytes);
		if (result == 0)
			cut_out(bytes, &span, offset_bytes, length_bytes);
		if (result != 1)
			return result;
		cache_bytes_release(bytes);
	}
	result = read_filling(version, op, &span, offset_bytes, length_bytes, bytes);
	if (result != 1)
		return result;
	if (worth_keeping(version, length_bytes)) {
		op->keep_wanted = true;
		if (!op->keep_later) {
			result = read_by_keeping(version, op, offset_bytes, length_bytes, bytes);
			if (result != -ESTALE)
				return result;
		}
	}
	/* Without a chain nothing was ever handed out, and nothing can be read. */
	if (!version->extents)
		return version->detached ? -ESTALE : -EIO;
	result = read_straight(version, op, &span, bytes);
	if (result == 0)
		cut_out(bytes, &span, offset_bytes, length_bytes);
	if (result != 1)
		return result;
	cache_bytes_release(bytes);
	return read_by_keeping(version, op, offset_bytes, length_bytes, bytes);
}

int cache_version_keep(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	error = path_refresh_version(version, op);
	if (error == 0 && !version->kept && !version->keeping && !version->guard && atomic_load(&version->opens) > 0)
		error = version_keep(version, op, true);
	image_leave(version->image);
	return error;
}

int cache_version_read(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		       struct cache_bytes *bytes)
{
	int error;

	*bytes = (struct cache_bytes){ 0 };
	if (offset_bytes >= version->entry.size_bytes)
		return 0;
	length_bytes = (size_t)min_u64(length_bytes, version->entry.size_bytes - offset_bytes);
	error = image_enter(version->image, op);
	if (error != 0)
		return error;
	error = read_locked(version, op, offset_bytes, length_bytes, bytes);
	image_leave(version->image);
	if (error != 0)
		cache_bytes_release(bytes);
	return error;
}
