/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/untracked.h"

#include <stdlib.h>
#include <string.h>

bool untracked_set(struct untracked *untracked, const struct cache_range *ranges, size_t count)
{
	struct cache_range *copy;

	untracked->known = true;
	if (count == untracked->count && (count == 0 || memcmp(ranges, untracked->ranges, count * sizeof(*ranges)) == 0))
		return false;
	copy = count > 0 ? reallocarray(NULL, count, sizeof(*copy)) : NULL;
	if (copy)
		memcpy(copy, ranges, count * sizeof(*ranges));
	free(untracked->ranges);
	untracked->ranges = copy;
	untracked->count = copy ? count : 0;
	return true;
}

void untracked_free(struct untracked *untracked)
{
	free(untracked->ranges);
}

bool untracked_hold(const struct untracked *untracked, const struct cache_range *range)
{
	for (size_t i = 0; i < untracked->count; i++)
		if (cache_range_is_inside(range, &untracked->ranges[i]))
			return true;
	return false;
}

size_t untracked_next(const struct untracked *untracked, const struct cache_range *range, size_t at)
{
	while (at < untracked->count && !cache_ranges_overlap(range, &untracked->ranges[at]))
		at++;
	return at;
}

uint64_t untracked_tail_begin(const struct untracked *untracked, uint64_t size_bytes, uint64_t piece_bytes)
{
	uint64_t end = size_bytes;
	bool again = true;

	/* Each turn but the last takes `end` back to the begin of another one. */
	while (again) {
		again = false;
		for (size_t i = 0; i < untracked->count; i++) {
			const struct cache_range *range = &untracked->ranges[i];

			if (range->offset_bytes >= end || range->offset_bytes + range->length_bytes + piece_bytes < end)
				continue;
			end = range->offset_bytes;
			again = true;
		}
	}
	return end;
}

uint64_t untracked_end_at(const struct untracked *untracked, uint64_t from_bytes)
{
	uint64_t at = from_bytes;
	bool again = true;

	/* Each turn but the last takes `at` on to the end of another one. */
	while (again) {
		again = false;
		for (size_t i = 0; i < untracked->count; i++) {
			const struct cache_range *range = &untracked->ranges[i];

			if (at < range->offset_bytes || at - range->offset_bytes >= range->length_bytes)
				continue;
			at = range->offset_bytes + range->length_bytes;
			again = true;
		}
	}
	return at;
}
