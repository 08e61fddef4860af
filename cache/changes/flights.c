/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/flights.h"

#include <stdlib.h>

/* More writes in flight than any server has. */
#define FLIGHTS_MAX 1024

bool flights_add(struct flights *flights, const struct flight *flight)
{
	if (flights->count == flights->capacity) {
		size_t capacity = flights->capacity ? flights->capacity * 2 : 16;
		void *grown = capacity > FLIGHTS_MAX ? NULL : reallocarray(flights->all, capacity, sizeof(*flights->all));

		if (!grown)
			return false;
		flights->all = grown;
		flights->capacity = capacity;
	}
	flights->all[flights->count++] = *flight;
	return true;
}

void flights_remove(struct flights *flights, size_t index)
{
	flights->all[index] = flights->all[--flights->count];
}

void flights_free(struct flights *flights)
{
	free(flights->all);
}

bool flights_have(const struct flights *flights, const struct cache_range *range)
{
	for (size_t i = 0; i < flights->count; i++)
		if (cache_ranges_equal(range, &flights->all[i].range))
			return true;
	return false;
}

unsigned flights_count_tracked(const struct flights *flights)
{
	unsigned count = 0;

	for (size_t i = 0; i < flights->count; i++)
		count += !flights->all[i].untracked;
	return count;
}
