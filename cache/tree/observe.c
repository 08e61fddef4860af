/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/observe.h"

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
