/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/guard.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/device/buffer.h"

/* More ranges than this: then what is between the last ones, too. */
#define GIVEN_UP_MAX 16

/* A write cannot be about more open files than this. */
#define ITEMS_MAX 256

/* More is for a thread of its own: the other writers wait behind this one. */
#define NOW_BYTES ((uint64_t)4 << 20)

struct guard {
	struct guard_link link;
	_Atomic unsigned references;
	struct extents *extents;     /* a reference, */
	struct cache_device *device; /* and to where they are, */
	struct kept_budget *budget;  /* and to what pays for what is saved */

	pthread_mutex_t saving; /* held while a chunk is stored: the first to save it is right */
	struct kept *kept;	/* saving: made by the first to save; constant from then on */

	pthread_mutex_t lock; /* leaf */
	unsigned char *saved, *lost; /* lock: a bit for each chunk */
	struct cache_range given_up[GIVEN_UP_MAX]; /* lock: what is in them and not saved is lost as well */
	unsigned given_up_count;		   /* lock */
	uint64_t touched;	     /* lock: how many chunks are one or the other */
	uint64_t saved_bytes;	     /* lock */
};

struct guard_link *guard_link(struct guard *guard)
{
	return &guard->link;
}

/* ---- life ---------------------------------------------------------------- */

static size_t bitmap_bytes_of(const struct extents *extents)
{
	return extents_chunk_count(extents) / 8 + 1;
}

int guard_new(struct extents *extents, struct cache_device *device, struct kept_budget *budget, struct guard **out)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	size_t bitmap_bytes = bitmap_bytes_of(extents);

	if (!guard)
		return -ENOMEM;
	pthread_mutex_init(&guard->saving, NULL);
	pthread_mutex_init(&guard->lock, NULL);
	atomic_store(&guard->references, 1);
	guard->extents = extents_ref(extents);
	guard->device = cache_device_ref(device);
	guard->budget = kept_budget_ref(budget);
	guard->saved = calloc(bitmap_bytes, 1);
	guard->lost = calloc(bitmap_bytes, 1);
	if (!guard->saved || !guard->lost) {
		guard_unref(guard);
		return -ENOMEM;
	}
	*out = guard;
	return 0;
}

struct guard *guard_ref(struct guard *guard)
{
	atomic_fetch_add(&guard->references, 1);
	return guard;
}

void guard_unref(struct guard *guard)
{
	if (!guard || atomic_fetch_sub(&guard->references, 1) != 1)
		return;
	kept_unref(guard->kept);
	pthread_mutex_destroy(&guard->saving);
	pthread_mutex_destroy(&guard->lock);
	extents_unref(guard->extents);
	cache_device_unref(guard->device);
	kept_budget_unref(guard->budget);
	free(guard->saved);
	free(guard->lost);
	free(guard);
}

size_t guard_memory_bytes(const struct extents *extents)
{
	return sizeof(struct guard) + 2 * bitmap_bytes_of(extents);
}

const struct extents *guard_extents(const struct guard *guard)
{
	return guard->extents;
}

/* ---- state --------------------------------------------------------------- */

static bool bit(const unsigned char *bits, uint64_t chunk)
{
	return bits[chunk / 8] & (1U << chunk % 8);
}

/* Has the chunk a byte in one of the ranges? */
static bool is_given_up(const struct guard *guard, uint64_t chunk)
{
	for (unsigned i = 0; i < guard->given_up_count; i++)
		if (extents_chunk_touches(guard->extents, chunk, &guard->given_up[i]))
			return true;
	return false;
}

static enum guard_state state_locked(const struct guard *guard, uint64_t chunk)
{
	if (chunk >= extents_chunk_count(guard->extents))
		return GUARD_LOST;
	if (bit(guard->saved, chunk))
		return GUARD_SAVED;
	return bit(guard->lost, chunk) || is_given_up(guard, chunk) ? GUARD_LOST : GUARD_IN_IMAGE;
}

enum guard_state guard_state(struct guard *guard, uint64_t chunk)
{
	LOCK_SCOPE(&guard->lock);
	return state_locked(guard, chunk);
}

/* From in the image to saved or lost; a chunk goes that way once. */
static bool settle_chunk(struct guard *guard, uint64_t chunk, unsigned char *bits, uint64_t bytes)
{
	LOCK_SCOPE(&guard->lock);
	if (state_locked(guard, chunk) != GUARD_IN_IMAGE)
		return false;
	bits[chunk / 8] |= (unsigned char)(1U << chunk % 8);
	guard->touched++;
	guard->saved_bytes += bytes;
	return true;
}

bool guard_is_pristine(struct guard *guard)
{
	LOCK_SCOPE(&guard->lock);
	return guard->touched == 0;
}

uint64_t guard_saved_bytes(struct guard *guard)
{
	LOCK_SCOPE(&guard->lock);
	return guard->saved_bytes;
}

int guard_read(struct guard *guard, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	return kept_read(guard->kept, offset_bytes, buffer, length_bytes);
}

/* ---- saving -------------------------------------------------------------- */

struct save {
	struct guard *guard;
	const _Atomic bool *over;
	void *buffer;
	bool left; /* something could not be saved at once */
};

/*
 * Two may read the same chunk for two writes. The first to store it is right:
 * its own write, and so every other one that waits, has not begun. What the
 * second has read may already be the first one's new bytes, and is dropped.
 */
static int store_locked(struct guard *guard, uint64_t chunk, const unsigned char *bytes, size_t length_bytes,
			enum kept_place place)
{
	int error = 0;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return 0;
	if (!guard->kept)
		error = kept_new(guard->budget, extents_size_bytes(guard->extents), place, &guard->kept);
	else if (place == KEPT_IN_MEMORY && !kept_memory(guard->kept, 0))
		error = -EAGAIN;
	if (error == 0)
		error = kept_write(guard->kept, chunk * CHUNK_BYTES, bytes, length_bytes);
	if (error == 0)
		settle_chunk(guard, chunk, guard->saved, length_bytes);
	return error;
}

static bool save_chunk_now(void *context, uint64_t chunk)
{
	struct save *save = context;
	struct guard *guard = save->guard;
	size_t length_bytes = extents_chunk_bytes(guard->extents, chunk);

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return true;
	save->left = true;
	if (extents_read_now(guard->extents, guard->device, chunk * CHUNK_BYTES, length_bytes, save->buffer) != 0 ||
	    pthread_mutex_trylock(&guard->saving) != 0)
		return false;
	save->left = store_locked(guard, chunk, save->buffer, length_bytes, KEPT_IN_MEMORY) != 0;
	pthread_mutex_unlock(&guard->saving);
	return !save->left;
}

static bool save_chunk(void *context, uint64_t chunk)
{
	const struct save *save = context;
	struct guard *guard = save->guard;
	size_t length_bytes = extents_chunk_bytes(guard->extents, chunk);
	unsigned char *bytes;
	int error = -ENOMEM;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return true;
	if (save->buffer)
		error = extents_read(guard->extents, guard->device, chunk * CHUNK_BYTES, length_bytes, save->buffer, &bytes);
	if (error == 0 && !atomic_load(save->over)) {
		pthread_mutex_lock(&guard->saving);
		error = store_locked(guard, chunk, bytes, length_bytes, KEPT_ANYWHERE);
		pthread_mutex_unlock(&guard->saving);
	}
	if (error != 0)
		settle_chunk(guard, chunk, guard->lost, 0);
	return !atomic_load(save->over);
}

/*
 * Save what the range is about to lose, chunk by chunk; blocks. What cannot be
 * read is lost. Ends early once *over is set.
 */
static void guard_save(struct guard *guard, const struct cache_range *range, const _Atomic bool *over)
{
	size_t buffer_bytes = cache_device_buffer_bytes(CHUNK_BYTES);
	struct save save = { .guard = guard, .over = over, .buffer = cache_buffer_get(buffer_bytes) };

	extents_each_chunk(guard->extents, range, save_chunk, &save);
	cache_buffer_put(save.buffer, buffer_bytes);
}

/* The same without waiting for anything. False: something of it is left to guard_save. */
static bool guard_save_now(struct guard *guard, const struct cache_range *range)
{
	struct save save = { .guard = guard, .buffer = cache_buffer_get(CHUNK_BYTES) };

	save.left = !save.buffer;
	if (save.buffer)
		extents_each_chunk(guard->extents, range, save_chunk_now, &save);
	cache_buffer_put(save.buffer, CHUNK_BYTES);
	return !save.left;
}

/* What of the range is not saved by now is lost. Takes no time. Returns 1, or 0 when it is about nothing. */
static unsigned guard_lose(struct guard *guard, const struct cache_range *range)
{
	struct cache_range *last;

	if (!extents_touch(guard->extents, range))
		return 0;
	LOCK_SCOPE(&guard->lock);
	guard->touched++;
	last = guard->given_up_count > 0 ? &guard->given_up[guard->given_up_count - 1] : NULL;
	/* A writer goes on where it was: mostly one range is enough. */
	if (last && (guard->given_up_count == GIVEN_UP_MAX || range->offset_bytes == last->offset_bytes + last->length_bytes))
		*last = cache_range_span(last, range);
	else
		guard->given_up[guard->given_up_count++] = *range;
	return 1;
}

/* ---- what one write is about to replace ------------------------------------ */

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

unsigned saving_add(struct saving **out, struct guard *guard, const struct cache_range *range)
{
	struct saving *saving = *out;
	struct item *item;

	if (!saving)
		saving = *out = calloc(1, sizeof(*saving));
	item = saving ? item_of(saving, guard) : NULL;
	if (item)
		item->range = cache_range_span(&item->range, range);
	else if (saving && make_room(saving))
		saving->items[saving->count++] = (struct item){ guard_ref(guard), *range };
	else
		return guard_lose(guard, range);
	return 0;
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
