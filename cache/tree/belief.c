/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * belief: how something parsed from an image is kept true.
 *
 * This is the one place where the rules of cache.h are applied to metadata:
 * believe under the same generation; under another, compare the footprint; and
 * when that differs, parse again until a reading is of one moment (the
 * generation did not move, or a second reading of the same blocks is equal).
 */
#include <errno.h>

#include "cache/tree/tree.h"

int image_observe(struct cache_image *image, const struct cache_op *op)
{
	int error;

	/* Whatever is written after the device was looked at is told of. */
	if (image->reports)
		write_log_listen(image->reports);
	error = image->device->ops->observe(image->device, op->may_block, &image->seen);
	if (error == 0 && image->reports)
		reports_observe(image->reports, &image->seen);
	return error;
}

/* Is one of the blocks in the range? They are sorted: halves what is left in each turn. */
static bool footprint_in(const struct footprint *footprint, const struct cache_range *range)
{
	uint64_t first = range->offset_bytes / CACHE_BLOCK_BYTES;
	uint64_t last = (range->offset_bytes + range->length_bytes - 1) / CACHE_BLOCK_BYTES;
	size_t low = 0, high = footprint->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (footprint->blocks[middle].block < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < footprint->count && footprint->blocks[low].block <= last;
}

bool image_untouched(const struct cache_image *image, uint64_t generation, const struct footprint *footprint)
{
	struct cache_range ranges[CHANGES_MAX];
	size_t in_flight;
	int count;

	if (footprint->size_bytes != image->seen.size_bytes)
		return false;
	if (image->seen.generation == generation && image->seen.in_flight == 0)
		return true;
	if (!image->reports)
		return false;
	count = reports_changes(image->reports, generation, ranges, CHANGES_MAX, &in_flight);
	if (count < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (footprint_in(footprint, &ranges[i]))
			return false;
	return true;
}

/* 1: parsed, and the reading is of one moment; 0: it is not, try again; negative: as belief_refresh. */
static int parse_once(struct cache_image *image, struct cache_op *op, const struct belief_kind *kind, void *owner,
		      void **result, int *parse_error, struct footprint *footprint)
{
	uint64_t generation = image->seen.generation;
	struct recording recording;
	int error = recording_begin(&recording, image->device, op->may_block, image->seen.size_bytes), same;
	bool failed;

	*result = NULL;
	if (error != 0)
		return error;
	*parse_error = kind->parse(owner, &recording.source, result);
	if (*parse_error == -EAGAIN || *parse_error == -ENOMEM) {
		recording_discard(&recording);
		return *parse_error;
	}
	failed = recording.failed && *parse_error != 0;
	if (recording_finish(&recording, footprint) != 0)
		goto moved;
	error = image_observe(image, op);
	if (error != 0)
		goto fail;
	/* What the device could not read it may read the next time: not to be remembered. */
	if (failed && image->seen.generation == generation) {
		error = *parse_error;
		goto fail;
	}
	if (failed)
		goto moved;
	same = image_untouched(image, generation, footprint) ?
		       1 :
		       footprint_verify(footprint, image->device, op->may_block, image->seen.size_bytes);
	if (same == 1)
		return 1;
	error = same;
	if (error < 0)
		goto fail;
moved:
	footprint_clear(footprint);
	if (*result)
		kind->discard(*result);
	return 0;
fail:
	footprint_clear(footprint);
	if (*result)
		kind->discard(*result);
	return error;
}

/* Take over what was parsed. An error keeps what was there before, for when it ends. */
static void adopt(struct cache_image *image, struct belief *belief, const struct belief_kind *kind, void *owner,
		  void *result, int parse_error, struct footprint *footprint)
{
	bool changed = parse_error != belief->error || !belief->loaded;

	if (parse_error == 0 && kind->commit(owner, result))
		changed = true;
	footprint_clear(&belief->footprint);
	belief->footprint = *footprint;
	belief->checked = image->seen.generation;
	belief->error = parse_error;
	belief->loaded = true;
	belief->adopted++;
	if (changed)
		belief->since_ns = image->seen.now_ns;
}

static int parse_until_whole(struct cache_image *image, struct cache_op *op, struct belief *belief,
			     const struct belief_kind *kind, void *owner)
{
	for (int try = 0; try < REFRESH_TRIES; try++) {
		struct footprint footprint = { 0 };
		void *result;
		int parse_error = 0, state;

		state = parse_once(image, op, kind, owner, &result, &parse_error, &footprint);
		if (state < 0)
			return state;
		if (state == 1) {
			adopt(image, belief, kind, owner, result, parse_error, &footprint);
			return 0;
		}
	}
	op->retry_ns = RETRY_SOON_NS;
	return -EINPROGRESS;
}

int belief_refresh(struct cache_image *image, struct cache_op *op, struct belief *belief,
		   const struct belief_kind *kind, void *owner, const struct cache_range *where)
{
	int result = 0;

	/* A write that is in flight may be done already, and the client know it: then it is to be seen. */
	if (!belief->loaded || belief->checked != image->seen.generation || image->seen.in_flight != 0) {
		uint64_t generation = image->seen.generation;

		if (belief->loaded && image_untouched(image, belief->checked, &belief->footprint))
			result = 1;
		else if (belief->loaded)
			result = footprint_verify(&belief->footprint, image->device, op->may_block,
						  image->seen.size_bytes);
		if (result < 0)
			return result;
		if (result == 1)
			belief->checked = generation;
		else if ((result = parse_until_whole(image, op, belief, kind, owner)) != 0)
			return result;
	}
	/* What contradicts itself may be half of an update: an error too must have lasted. */
	if (belief->error != 0 && !belief_settled(image, op, belief, belief->since_ns, where))
		return -EINPROGRESS;
	return belief->error;
}
