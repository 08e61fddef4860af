/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/settle.h"

#include "base/checked.h"
#include "base/waits.h"
#include "cache/changes/burst.h"

/* ---- what was written ---------------------------------------------------- */

bool image_changes(const struct cache_image *image, uint64_t generation, struct changes *changes)
{
	size_t in_flight;
	int count;

	changes->count = 0;
	if (image->seen.generation == generation && image->seen.in_flight == 0)
		return true;
	if (!image->log)
		return false;
	count = write_log_changes(image->log, generation, changes->ranges, CHANGES_MAX, &in_flight);
	if (count > 0)
		changes->count = (size_t)count;
	return count >= 0;
}

/* Is one of the blocks in the range? They are sorted: halves what is left in each turn. */
static bool set_is_in(const struct validation *set, const struct cache_range *range)
{
	uint64_t first = range->offset_bytes / CACHE_BLOCK_BYTES;
	uint64_t last = (range->offset_bytes + range->length_bytes - 1) / CACHE_BLOCK_BYTES;
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->blocks[middle].block < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->blocks[low].block <= last;
}

bool image_untouched(const struct cache_image *image, uint64_t generation, const struct validation *set)
{
	struct changes changes;

	if (set->size_bytes != image->seen.size_bytes || !image_changes(image, generation, &changes))
		return false;
	for (size_t i = 0; i < changes.count; i++)
		if (set_is_in(set, &changes.ranges[i]))
			return false;
	return true;
}

/* ---- has it lasted? ------------------------------------------------------ */

/* As the log tells it; false when it does not. */
static bool burst_of(const struct cache_image *image, const struct cache_range *where, struct write_burst *burst)
{
	return image->log && write_log_burst(image->log, where, image->cache->settings.settle_ns, image->seen.now_ns,
					       burst) == 0;
}

bool image_is_quiet(const struct cache_image *image, int64_t since_ns, const struct cache_range *where)
{
	struct write_burst burst;
	int64_t quiet_ns = burst_of(image, where, &burst) ? burst.quiet_ns : image->seen.quiet_ns;

	return quiet_ns >= image->cache->settings.settle_ns + (image->seen.now_ns - since_ns);
}

int64_t image_first_seen_ns(const struct cache_image *image)
{
	return image->seen.blind && !image->seen.signless ? image->cache->settings.settle_ns : 0;
}

int64_t image_lasting_ns(const struct cache_image *image, const struct cache_range *where)
{
	struct write_burst burst;

	if (burst_of(image, where, &burst) && burst.generation != 0)
		return WAIT_LASTING_BURST_NS;
	return WAIT_LASTING_SETTLES * image->cache->settings.settle_ns;
}

uint64_t image_burst_generation(const struct cache_image *image, const struct cache_range *where)
{
	struct write_burst burst;

	return burst_of(image, where, &burst) ? burst.generation : 0;
}

bool image_settled(const struct cache_image *image, struct cache_op *op, int64_t since_ns,
		   const struct cache_range *where)
{
	int64_t settle_ns = image->cache->settings.settle_ns, lasted_ns = image->seen.now_ns - since_ns;
	int64_t lasting_ns = WAIT_LASTING_SETTLES * settle_ns, quiet_ns = image->seen.quiet_ns;
	struct write_burst burst;

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
			lasting_ns = since_ns < burst.start_ns ? 0 : WAIT_LASTING_BURST_NS;
	} else if (image->seen.blind && lasted_ns < quiet_ns) {
		quiet_ns = lasted_ns;
	}
	if (quiet_ns >= settle_ns)
		return true;
	op->retry_ns = settle_ns - quiet_ns;
	/* What is old now may be gone when it is opened: whoever asks for the last time gets what will stay. */
	if (op->final_retry)
		return false;
	if (lasted_ns >= lasting_ns)
		return true;
	if (op->retry_ns > lasting_ns - lasted_ns)
		op->retry_ns = lasting_ns - lasted_ns;
	return false;
}
