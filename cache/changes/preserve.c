/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/preserve.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/changes/guard.h"

/* A write cannot be about more open files than this. */
#define ITEMS_MAX 256

/* More is for a thread of its own: the other writers wait behind this one. */
#define NOW_BYTES ((uint64_t)4 << 20)

struct item {
	struct guard *guard; /* a reference */
	struct cache_range range;
};

struct saving {
	atomic_bool over;
	size_t count, capacity;
	struct item *items;
};

static struct item *item_of(struct saving *saving, struct guard *guard)
{
	for (size_t i = 0; i < saving->count; i++)
		if (saving->items[i].guard == guard)
			return &saving->items[i];
	return NULL;
}

static bool make_room(struct saving *saving)
{
	size_t capacity = saving->capacity ? saving->capacity * 2 : 4;
	void *grown;

	if (saving->count < saving->capacity)
		return true;
	grown = capacity > ITEMS_MAX ? NULL : reallocarray(saving->items, capacity, sizeof(*saving->items));
	if (!grown)
		return false;
	saving->items = grown;
	saving->capacity = capacity;
	return true;
}

bool saving_add(struct saving **out, struct guard *guard, const struct cache_range *range)
{
	struct saving *saving = *out;
	struct item *item;

	if (!saving)
		saving = *out = calloc(1, sizeof(*saving));
	if (!saving)
		return false;
	item = item_of(saving, guard);
	if (item) {
		item->range = cache_range_span(&item->range, range);
		return true;
	}
	if (!make_room(saving))
		return false;
	saving->items[saving->count++] = (struct item){ guard_ref(guard), *range };
	return true;
}

bool saving_run_now(struct saving *saving)
{
	uint64_t bytes = 0;

	for (size_t i = 0; saving && i < saving->count; i++)
		bytes += saving->items[i].range.length_bytes;
	if (bytes > NOW_BYTES)
		return false;
	for (size_t i = 0; saving && i < saving->count; i++)
		if (!guard_save_now(saving->items[i].guard, &saving->items[i].range))
			return false;
	return true;
}

void saving_run(struct saving *saving)
{
	for (size_t i = 0; i < saving->count && !atomic_load(&saving->over); i++)
		guard_save(saving->items[i].guard, &saving->items[i].range, &saving->over);
}

unsigned saving_give_up(struct saving *saving)
{
	unsigned lost = 0;

	atomic_store(&saving->over, true);
	for (size_t i = 0; i < saving->count; i++)
		lost += guard_lose(saving->items[i].guard, &saving->items[i].range);
	return lost;
}

void saving_free(struct saving *saving)
{
	if (!saving)
		return;
	for (size_t i = 0; i < saving->count; i++)
		guard_unref(saving->items[i].guard);
	free(saving->items);
	free(saving);
}
