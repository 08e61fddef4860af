/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/stream.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/dir.h"
#include "cache/tree/pace.h"
#include "cache/tree/path.h"

/* One read, at most: with the blocks at its ends it is one request to a FUSE storage. */
#define STEP_CHUNKS 7
#define STEP_BYTES ((size_t)(STEP_CHUNKS * CHUNK_BYTES))

/* A look at entry and chain takes as long as a read: after so many groups, but after the first, for which
 * somebody waits. */
#define GROUPS_FOR_A_LOOK 2

/* One larger and one smaller file of an image at a time: who waits for a few blocks does not wait for a
 * kernel. */
#define SMALL_BYTES ((uint64_t)1 << 20)

/* The parts of a file that are read together. */
struct group {
	struct cache_version *version;
	uint64_t step_chunks; /* of one part, at most: about equally many, for a short one is no sooner there
			       */
	struct chunk_hash *hashes; /* of all chunks of the file, as they were read last */
	struct pace pace;
	struct pace_buffers buffers;
	struct extents_part parts[PACE_MAX];
	size_t count;
};

static int group_new(struct cache_version *version, struct group *group)
{
	uint64_t chunks = extents_chunk_count(version->extents),
		 steps = (chunks + STEP_CHUNKS - 1) / STEP_CHUNKS;

	*group = (struct group){ .version = version,
				 .step_chunks = (chunks + steps - 1) / steps,
				 .pace.width = 1 };
	group->hashes = calloc(chunks, sizeof(*group->hashes));
	group->buffers.each_bytes = cache_device_buffer_bytes(STEP_BYTES);
	return group->hashes && pace_has_buffer(&group->buffers, 0) ? 0 : -ENOMEM;
}

static void group_free(struct group *group)
{
	pace_put_buffers(&group->buffers);
	free(group->hashes);
}

/* It was seen to hold that before: known, or noted. */
static bool is_noted(const struct cache_version *version, uint64_t chunk)
{
	return chunk_known(version, chunk) || version->noted_ns[chunk] != 0;
}

/* The next parts from `chunk` on, of all chunks or of those that are not noted. Returns the chunk behind
 * them. */
static uint64_t next_parts(struct group *group, uint64_t chunk, bool unnoted)
{
	const struct cache_version *version = group->version;
	uint64_t count = extents_chunk_count(version->extents), first;

	for (group->count = 0; group->count < group->pace.width && pace_has_buffer(&group->buffers, group->count);
	     group->count++) {
		struct span span;

		while (unnoted && chunk < count && is_noted(version, chunk))
			chunk++;
		for (first = chunk; chunk < count && chunk - first < group->step_chunks &&
				    !(unnoted && is_noted(version, chunk));)
			chunk++;
		if (chunk == first)
			break;
		span = span_around(version, first * CHUNK_BYTES, (size_t)((chunk - first) * CHUNK_BYTES));
		group->parts[group->count] = (struct extents_part){ span.offset_bytes, span.length_bytes,
								    group->buffers.list[group->count], NULL };
	}
	return chunk;
}

static struct span span_of(const struct extents_part *part)
{
	return (struct span){ part->offset_bytes, part->length_bytes };
}

/* Without the lock. Into the copy, if there is one. */
static int read_parts(struct group *group, struct kept *copy)
{
	const struct cache_version *version = group->version;
	int64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
	int error = extents_read_parts(version->extents, version->image->device, group->parts, group->count);

	pace_find(&group->pace, group->count, clock_now_ns(CLOCK_MONOTONIC) - start_ns);
	for (size_t i = 0; error == 0 && i < group->count; i++) {
		const struct extents_part *part = &group->parts[i];
		struct span span = span_of(part);

		span_hash(&span, part->bytes, group->hashes + part->offset_bytes / CHUNK_BYTES);
		error = copy ? kept_write(copy, part->offset_bytes, part->bytes, part->length_bytes) : 0;
	}
	return error;
}

static int read_group(struct group *group, struct kept *copy)
{
	struct cache_version *version = group->version;
	struct cache_image *image = version->image;
	int error;

	image_leave(image);
	error = read_parts(group, copy);
	version->streamed_ns = image_lock_again(image);
	return error != 0 || !version->detached ? error : -ESTALE;
}

static int come_back(struct cache_op *op, int64_t retry_ns)
{
	op->retry_ns = retry_ns;
	op->busy = true;
	return -EINPROGRESS;
}

/* ---- the first reading ------------------------------------------------------ */

static void note_group(struct group *group)
{
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < group->count; i++) {
		struct span span = span_of(&group->parts[i]);

		span_note(group->version, &span, group->hashes + span.offset_bytes / CHUNK_BYTES, now_ns);
	}
}

/* All that is not noted yet; other files of the image have their turns meanwhile. */
static int note_all(struct group *group, struct cache_op *op)
{
	int64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
	uint64_t chunk = 0;

	/* Each turn reads one chunk of the file at least. */
	for (;;) {
		int error;

		chunk = next_parts(group, chunk, true);
		if (group->count == 0)
			return 0;
		error = read_group(group, NULL);
		if (error != 0)
			return error;
		note_group(group);
		if (clock_now_ns(CLOCK_MONOTONIC) - start_ns > WAIT_STREAM_TURN_NS)
			return come_back(op, 2 * WAIT_RETRY_SLOW_NS);
	}
}

/* ---- the second one ----------------------------------------------------------- */

/* When it began, and under which generation; and the chunk behind all that was handed out before. */
struct begin {
	int64_t start_ns;
	uint64_t generation, behind_known;
};

static uint64_t behind_known(const struct cache_version *version)
{
	uint64_t chunk = version->known_count > 0 ? extents_chunk_count(version->extents) : 0;

	while (chunk > 0 && !chunk_known(version, chunk - 1))
		chunk--;
	return chunk;
}

/* How much longer all of it must have lasted before that; 0: it has. Of what was handed out nothing is asked.
 */
static int64_t must_last_more_ns(const struct cache_version *version, const struct begin *begin)
{
	uint64_t count = extents_chunk_count(version->extents);
	int64_t since_ns = 0, must_ns = version_must_last_ns(version, begin->start_ns, begin->generation);

	for (uint64_t chunk = 0; chunk < count; chunk++)
		if (!chunk_known(version, chunk) && version->noted_ns[chunk] > since_ns)
			since_ns = version->noted_ns[chunk];
	return since_ns == 0 || begin->start_ns - since_ns >= must_ns
		       ? 0
		       : must_ns - (begin->start_ns - since_ns);
}

/*
 * Is the group what was noted? Else the version ends if something of it was handed out; if not, it begins to
 * last now.
 */
static int hold_against(struct group *group, struct cache_op *op)
{
	struct cache_version *version = group->version;
	bool same = true;

	for (size_t i = 0; i < group->count; i++) {
		struct span span = span_of(&group->parts[i]);
		uint64_t first = span.offset_bytes / CHUNK_BYTES;

		for (uint64_t chunk = first; chunk < first + span_chunk_count(&span); chunk++)
			same &= chunk_equal(version, chunk, &group->hashes[chunk]);
	}
	if (same)
		return 0;
	image_differs(version->image);
	if (version->known_count > 0)
		return dir_supersede(version);
	note_group(group);
	return come_back(op, version->image->cache->settings.settle_ns);
}

/* Entry and chain, by a look that began after all that was read. */
static int look_again(struct cache_version *version, struct cache_op *op, const struct begin *begin)
{
	int error = image_look(version->image, op, clock_now_ns(CLOCK_MONOTONIC));

	if (error == 0)
		error = path_refresh_version(version, op);
	/* The image may have been found to change meanwhile: then it must have lasted for longer. */
	if (error == 0 && must_last_more_ns(version, begin) > 0)
		error = come_back(op, version->image->cache->settings.settle_ns);
	return error == -EINPROGRESS ? come_back(op, op->retry_ns) : error;
}

/* All before `chunk` may be served. */
static void grow(struct group *group, uint64_t chunk)
{
	struct cache_version *version = group->version;
	uint64_t first = version->grown_bytes / CHUNK_BYTES;

	for (; first < chunk; first++)
		chunk_remember(version, first, &group->hashes[first]);
	version->grown_bytes = min_u64(chunk * CHUNK_BYTES, version->entry.size_bytes);
}

static int read_anew(struct group *group, struct cache_op *op, const struct begin *begin)
{
	struct cache_version *version = group->version;
	uint64_t count = extents_chunk_count(version->extents), chunk = 0;
	unsigned groups = 0, wanted = 1;
	int error = 0;

	while (error == 0 && chunk < count) {
		chunk = next_parts(group, chunk, false);
		error = read_group(group, version->growing);
		if (error == 0)
			error = hold_against(group, op);
		if (error == 0 && atomic_load(&version->opens) == 0)
			error = -ECANCELED;
		/* Nothing new is served before all that was handed out is seen to hold. */
		if (error != 0 || chunk < begin->behind_known || (++groups < wanted && chunk < count))
			continue;
		error = look_again(version, op, begin);
		if (error == 0)
			grow(group, chunk);
		groups = 0;
		wanted = GROUPS_FOR_A_LOOK;
	}
	return error;
}

static int copy_anew(struct group *group, struct cache_op *op)
{
	struct cache_version *version = group->version;
	struct cache_image *image = version->image;
	/* What is read from now on was not read ahead for a look of before: bytes last if they are read
	 * again. */
	int error = image_observe(image, op);
	struct begin begin = { image->seen.now_ns, image->seen.generation, behind_known(version) };
	int64_t more_ns;
	struct kept *copy;

	if (error != 0)
		return error;
	more_ns = must_last_more_ns(version, &begin);
	if (more_ns > 0)
		return come_back(op, more_ns);
	error = image_new_copy(image, version->entry.size_bytes, &copy);
	if (error != 0)
		return error;
	version->growing = copy;
	version->grown_bytes = 0;
	error = read_anew(group, op, &begin);
	version->growing = NULL;
	if (error == 0 && !version->kept && atomic_load(&version->opens) > 0)
		version->kept = copy;
	else
		image_drop_copy(image, copy);
	return error != 0 || version->kept ? error : -ECANCELED;
}

/* ---- interface ------------------------------------------------------------- */

int stream_copy(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	bool *turn = version->entry.size_bytes <= SMALL_BYTES ? &image->copying_small : &image->copying;
	struct group group = { 0 };
	int error;

	if (*turn)
		return come_back(op, WAIT_RETRY_SLOW_NS);
	error = chunks_allocate(version);
	version->copying = *turn = true;
	if (error == 0)
		error = group_new(version, &group);
	if (error == 0)
		error = note_all(&group, op);
	if (error == 0)
		error = atomic_load(&version->opens) > 0 ? copy_anew(&group, op) : -ECANCELED;
	group_free(&group);
	version->copying = *turn = false;
	/* Who closed it meanwhile was told nothing to drop. */
	if (atomic_load(&version->opens) == 0)
		node_look_later(image, &version->node);
	return error;
}

bool stream_has(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes)
{
	return version->growing && range_within(offset_bytes, length_bytes, version->grown_bytes);
}

bool stream_moves(const struct cache_version *version)
{
	return version->copying && clock_now_ns(CLOCK_MONOTONIC) - version->streamed_ns < WAIT_STREAM_NS;
}
