/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/device/buffer.h"

/* More ranges than this: then what is between the last ones, too. */
#define GIVEN_UP_MAX 16

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

int guard_new(struct extents *extents, struct cache_device *device, struct kept_budget *budget, struct guard **out)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	size_t bitmap_bytes = extents_chunk_count(extents) / 8 + 1;

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

/* ---- saving -------------------------------------------------------------- */

struct save {
	struct guard *guard;
	const _Atomic bool *over;
	void *buffer;
};

/*
 * Two may read the same chunk for two writes. The first to store it is right:
 * its own write, and so every other one that waits, has not begun. What the
 * second has read may already be the first one's new bytes, and is dropped.
 */
static int store_locked(struct guard *guard, uint64_t chunk, const unsigned char *bytes, size_t length_bytes)
{
	int error = 0;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return 0;
	if (!guard->kept)
		error = kept_new(guard->budget, extents_size_bytes(guard->extents), &guard->kept);
	if (error == 0)
		error = kept_write(guard->kept, chunk * CHUNK_BYTES, bytes, length_bytes);
	if (error == 0)
		settle_chunk(guard, chunk, guard->saved, length_bytes);
	return error;
}

static int store(struct guard *guard, uint64_t chunk, const unsigned char *bytes, size_t length_bytes)
{
	LOCK_SCOPE(&guard->saving);
	return store_locked(guard, chunk, bytes, length_bytes);
}

static int make_room_in_memory(struct guard *guard)
{
	if (guard->kept)
		return kept_memory(guard->kept, 0) ? 0 : -EAGAIN;
	return kept_new_in_memory(guard->budget, extents_size_bytes(guard->extents), &guard->kept);
}

static bool save_chunk_now(void *context, uint64_t chunk)
{
	const struct save *save = context;
	struct guard *guard = save->guard;
	size_t length_bytes = extents_chunk_bytes(guard->extents, chunk);
	int error;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return true;
	if (extents_read_now(guard->extents, guard->device, chunk * CHUNK_BYTES, length_bytes, save->buffer) != 0 ||
	    pthread_mutex_trylock(&guard->saving) != 0)
		return false;
	error = make_room_in_memory(guard);
	if (error == 0)
		error = store_locked(guard, chunk, save->buffer, length_bytes);
	pthread_mutex_unlock(&guard->saving);
	return error == 0;
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
	if (error == 0 && !atomic_load(save->over))
		error = store(guard, chunk, bytes, length_bytes);
	if (error != 0)
		settle_chunk(guard, chunk, guard->lost, 0);
	return !atomic_load(save->over);
}

void guard_save(struct guard *guard, const struct cache_range *range, const _Atomic bool *over)
{
	size_t buffer_bytes = cache_device_buffer_bytes(CHUNK_BYTES);
	struct save save = { guard, over, cache_buffer_get(buffer_bytes) };

	extents_each_chunk(guard->extents, range, save_chunk, &save);
	cache_buffer_put(save.buffer, buffer_bytes);
}

struct settled {
	struct guard *guard;
	bool all;
};

static bool is_settled(void *context, uint64_t chunk)
{
	struct settled *settled = context;

	settled->all = guard_state(settled->guard, chunk) != GUARD_IN_IMAGE;
	return settled->all;
}

bool guard_save_now(struct guard *guard, const struct cache_range *range)
{
	struct save save = { guard, NULL, cache_buffer_get(CHUNK_BYTES) };
	struct settled settled = { guard, true };

	if (save.buffer)
		extents_each_chunk(guard->extents, range, save_chunk_now, &save);
	cache_buffer_put(save.buffer, CHUNK_BYTES);
	extents_each_chunk(guard->extents, range, is_settled, &settled);
	return settled.all;
}

unsigned guard_lose(struct guard *guard, const struct cache_range *range)
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

int guard_read(struct guard *guard, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	return kept_read(guard->kept, offset_bytes, buffer, length_bytes);
}
