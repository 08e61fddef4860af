/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/hints.h"

#include "base/cleanup.h"

static uint64_t end_of(const struct cache_range *range)
{
	return range->offset_bytes + range->length_bytes;
}

/* The one of them that has that place, or ends there; or NULL. */
static struct cache_range *reaching(struct hints *hints, uint64_t offset_bytes)
{
	for (size_t i = 0; i < HINTS_MAX; i++) {
		struct cache_range *range = &hints->ranges[i];

		if (range->length_bytes > 0 && range->offset_bytes <= offset_bytes && offset_bytes <= end_of(range))
			return range;
	}
	return NULL;
}

void hints_add(struct hints *hints, const struct cache_range *range)
{
	uint64_t start = round_down_u64(range->offset_bytes, CACHE_BLOCK_BYTES), end;
	struct cache_range *reached;

	/* None is made of what no file has. */
	if (!round_up_u64(end_of(range), CACHE_BLOCK_BYTES, &end))
		return;
	LOCK_SCOPE(&hints->lock);
	reached = reaching(hints, start);
	if (reached) {
		reached->length_bytes = max_u64(end, end_of(reached)) - reached->offset_bytes;
		return;
	}
	hints->ranges[hints->next] = (struct cache_range){ start, end - start };
	hints->next = (hints->next + 1) % HINTS_MAX;
}

bool hints_cover(struct hints *hints, const struct cache_range *range)
{
	LOCK_SCOPE(&hints->lock);
	for (size_t i = 0; i < HINTS_MAX; i++) {
		const struct cache_range *hint = &hints->ranges[i];

		if (hint->length_bytes > 0 && range->offset_bytes >= hint->offset_bytes && end_of(range) <= end_of(hint))
			return true;
	}
	return false;
}
