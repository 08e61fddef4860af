/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/cached.h"

#include <errno.h>

#include "base/waits.h"
#include "cache/tree/settle.h"

/*
 * Where nothing is believed the second reading is another look, and on slow storage two looks take longer than a request
 * has. So what was never made before stays as it is after the first one, and a look that all who wait share (image_look) is
 * the second. Only for a request, which comes back.
 */
static bool may_come_back(const struct cache_image *image, const struct cache_op *op, const struct cached *cached)
{
	return image_is_slow(image) && op->may_block && op->came_ns != 0 && (cached->adopted == 0 || cached->once != 0);
}

static int come_back(struct cache_op *op)
{
	op->busy = true;
	op->retry_ns = 1;
	return -EINPROGRESS;
}

/* 2: parsed, of one reading; 1: and that is of one moment; 0: it is not, try again; negative: as cached_refresh. */
static int parse_once(struct cache_image *image, struct cache_op *op, const struct cached *cached,
		      const struct cached_kind *kind, void *owner, void **result, int *parse_error, struct validation *set)
{
	uint64_t generation = image->seen.generation;
	struct recording recording;
	int error = recording_begin(&recording, image->device, op->may_block, image->seen.size_bytes);
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
	if (recording_finish(&recording, set) != 0)
		return 0;
	if (!failed && may_come_back(image, op, cached))
		return 2;
	error = image_observe(image, op);
	if (error != 0)
		return error;
	/* What the device could not read it may read the next time: not to be remembered. Nobody's writing is waited for then. */
	if (failed)
		return image->seen.generation == generation || image->seen.blind ? *parse_error : 0;
	return image_untouched(image, generation, set) ?
		       1 :
		       validation_verify(set, image->device, op->may_block, image->seen.size_bytes);
}

/* Take over what was parsed. An error keeps what was there before, for when it ends. */
static void adopt(struct cache_image *image, struct cached *cached, const struct cached_kind *kind, void *owner,
		  void *result, int parse_error, struct validation *set)
{
	bool changed = parse_error != cached->error || !cached->loaded, first = cached->adopted == 0;

	/* What commits sees whether this is the same as before. */
	cached->reread = cached->reread && !changed && validation_equal(&cached->validation, set);
	if (parse_error == 0 && kind->commit(owner, result))
		changed = true;
	if (cached->reread)
		changed = false;
	cached->reread = false;
	validation_clear(&cached->validation);
	cached->validation = *set;
	cached->checked = image->seen.generation;
	cached->error = parse_error;
	cached->loaded = true;
	cached->adopted++;
	/* Where nothing tells of changes, what was never seen to differ is as old as the device's own signs say. */
	if (changed)
		cached->since_ns = image->seen.now_ns - (first ? image_first_seen_ns(image) : 0);
}

static int parse_until_whole(struct cache_image *image, struct cache_op *op, struct cached *cached,
			     const struct cached_kind *kind, void *owner)
{
	for (int try = 0; try < REFRESH_TRIES; try++) {
		struct validation set = { 0 };
		void *result;
		int parse_error = 0, state;

		state = parse_once(image, op, cached, kind, owner, &result, &parse_error, &set);
		if (state > 0) {
			adopt(image, cached, kind, owner, result, parse_error, &set);
			cached->once = state == 2 ? image->seen.generation : 0;
			return state == 2 ? come_back(op) : 0;
		}
		validation_clear(&set);
		if (result)
			kind->discard(result);
		if (state < 0)
			return state;
	}
	op->retry_ns = WAIT_RETRY_NS;
	return -EINPROGRESS;
}

int cached_refresh(struct cache_image *image, struct cache_op *op, struct cached *cached,
		   const struct cached_kind *kind, void *owner, const struct cache_range *where)
{
	int result = 0;

	if (cached->loaded && cached->once != 0 && cached->once == image->seen.generation) {
		if (may_come_back(image, op, cached))
			return come_back(op);
		result = image_observe(image, op);
		if (result != 0)
			return result;
	}
	/* A write that is in flight may be done already, and the client know it: then it is to be seen. */
	if (!cached->loaded || cached->reread || cached->checked != image->seen.generation || image->seen.in_flight != 0) {
		uint64_t generation = image->seen.generation;
		bool known = cached->loaded && !cached->reread;

		if (known && cached->once == 0 && image_untouched(image, cached->checked, &cached->validation))
			result = 1;
		else if (known)
			result = validation_verify(&cached->validation, image->device, op->may_block,
						  image->seen.size_bytes);
		if (result < 0)
			return result;
		if (result == 1)
			cached->once = 0, cached->checked = generation;
		else if ((result = parse_until_whole(image, op, cached, kind, owner)) != 0)
			return result;
		else if (known && cached->error == 0)
			image_differs(image);
	}
	/* What contradicts itself may be half of an update: an error too must have lasted. */
	if (cached->error != 0 && !cached_settled(image, op, cached, cached->since_ns, where))
		return -EINPROGRESS;
	return cached->error;
}

bool cached_settled(const struct cache_image *image, struct cache_op *op, const struct cached *cached, int64_t since_ns,
		    const struct cache_range *where)
{
	uint64_t generation;

	if (image_settled(image, op, since_ns, where))
		return true;
	/* Not looked at before, but not written since then either. */
	generation = op->final_retry ? 0 : image_burst_generation(image, where);
	return generation != 0 && image_untouched(image, generation, &cached->validation);
}

void cached_forget(struct cached *cached)
{
	validation_clear(&cached->validation);
	cached->loaded = false;
}
