/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settle: has new content been there long enough to be believed?
 *
 * An update rewrites the blocks of one file at times that lie apart, and other
 * blocks in between: that a directory, or a file's bytes, lasted for a moment
 * says little as long as its image is being written. So it is the image that
 * must have been quiet for the flux time; or its partition, where reports tell
 * what was written. What is older than the burst of writes that goes on is no
 * half of it, and need not wait for its end.
 *
 * But an image that is never quiet (somebody works on its root filesystem) is not
 * to hide for ever what changed on it: what lasted for much longer is served too.
 */
#include "cache/tree/tree.h"

/* On an image that is never quiet: content that lasted for so many flux times is believed. */
#define LASTING_FLUX_TIMES 10

/* Where the partition itself is known to be never quiet, it is an update that goes on: then only this. */
#define LASTING_BURST_NS (60 * INT64_C(1000000000))

/* As reports tell it; false when they do not. */
static bool burst_of(const struct cache_image *image, const struct cache_range *where, struct reports_burst *burst)
{
	return image->reports && write_log_burst(image->reports, where, image->cache->settings.flux_ns, image->seen.now_ns,
					       burst) == 0;
}

int64_t image_quiet_ns(const struct cache_image *image, const struct cache_range *where)
{
	struct reports_burst burst;

	return burst_of(image, where, &burst) ? burst.quiet_ns : image->seen.quiet_ns;
}

int64_t image_lasting_ns(const struct cache_image *image, const struct cache_range *where)
{
	struct reports_burst burst;

	if (burst_of(image, where, &burst) && burst.generation != 0)
		return LASTING_BURST_NS;
	return LASTING_FLUX_TIMES * image->cache->settings.flux_ns;
}

uint64_t image_burst_generation(const struct cache_image *image, const struct cache_range *where)
{
	struct reports_burst burst;

	return burst_of(image, where, &burst) ? burst.generation : 0;
}

bool image_settled(const struct cache_image *image, struct cache_op *op, int64_t since_ns,
		   const struct cache_range *where)
{
	int64_t flux_ns = image->cache->settings.flux_ns, lasted_ns = image->seen.now_ns - since_ns;
	int64_t lasting_ns = LASTING_FLUX_TIMES * flux_ns, quiet_ns = image->seen.quiet_ns;
	struct reports_burst burst;

	if (burst_of(image, where, &burst)) {
		quiet_ns = burst.quiet_ns;
		/*
		 * A table shares blocks with what is next to it (the superblock
		 * of an ext4): those are written all the time, and looked at
		 * each time.
		 */
		if (!where && lasted_ns > quiet_ns)
			quiet_ns = lasted_ns;
		if (burst.generation != 0)
			lasting_ns = since_ns < burst.start_ns ? 0 : LASTING_BURST_NS;
	}
	if (quiet_ns >= flux_ns)
		return true;
	/* A doubt is soon over, and then it may be known that there was nothing to wait for. */
	op->retry_ns = image->seen.in_doubt ? RETRY_SOON_NS : flux_ns - quiet_ns;
	/* What is old now may be gone when it is opened: whoever asks for the last time gets what will stay. */
	if (op->careful)
		return false;
	if (lasted_ns >= lasting_ns)
		return true;
	if (op->retry_ns > lasting_ns - lasted_ns)
		op->retry_ns = lasting_ns - lasted_ns;
	return false;
}

bool belief_settled(const struct cache_image *image, struct cache_op *op, const struct belief *belief, int64_t since_ns,
		    const struct cache_range *where)
{
	uint64_t generation;

	if (image_settled(image, op, since_ns, where))
		return true;
	/* Not looked at before, but not written since then either. */
	generation = op->careful ? 0 : image_burst_generation(image, where);
	return generation != 0 && image_untouched(image, generation, &belief->footprint);
}
