/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/device/buffer.h"
#include "cache/tree/version.h"

/* One run of the file in the image. */
struct run {
	uint64_t image_bytes, length_bytes, file_bytes;
};

/*
 * Files in more pieces than this are not guarded: no writer makes such on purpose,
 * and each open one would cost memory and time of its reporters.
 */
#define RUNS_MAX 8192

/* More ranges than this: then what is between the last ones, too. */
#define GIVEN_UP_MAX 16

struct guard {
	struct guard_link link;
	_Atomic unsigned references;
	struct cache_version *version;
	struct run *runs; /* sorted by their place in the image */
	size_t run_count;
	uint64_t chunk_count;

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

static int compare_runs(const void *a, const void *b)
{
	const struct run *left = a, *right = b;

	return (left->image_bytes > right->image_bytes) - (left->image_bytes < right->image_bytes);
}

/* Each turn takes one run of the chain, of at least one byte. */
static int collect_runs(struct guard *guard)
{
	const struct cache_version *version = guard->version;
	uint64_t size_bytes = version->entry.size_bytes;
	struct fat_cursor cursor = { 0 };

	if (version->extents.count > RUNS_MAX)
		return -ENOTSUP;
	guard->runs = calloc(version->extents.count ? version->extents.count : 1, sizeof(*guard->runs));
	if (!guard->runs)
		return -ENOMEM;
	for (uint64_t at = 0; at < size_bytes;) {
		struct run *run = &guard->runs[guard->run_count];
		uint64_t volume_bytes;

		if (guard->run_count == version->extents.count ||
		    !fat_extents_map(&version->fat, &version->extents, at, &cursor, &volume_bytes, &run->length_bytes) ||
		    !add_u64(version->volume_offset_bytes, volume_bytes, &run->image_bytes))
			return -EIO;
		run->length_bytes = min_u64(run->length_bytes, size_bytes - at);
		run->file_bytes = at;
		at += run->length_bytes;
		guard->run_count++;
	}
	qsort(guard->runs, guard->run_count, sizeof(*guard->runs), compare_runs);
	return 0;
}

int guard_new(struct cache_version *version, struct guard **out)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int error;

	if (!guard)
		return -ENOMEM;
	pthread_mutex_init(&guard->saving, NULL);
	pthread_mutex_init(&guard->lock, NULL);
	atomic_store(&guard->references, 1);
	guard->version = version;
	guard->chunk_count = chunk_count(version);
	guard->saved = calloc((guard->chunk_count + 7) / 8 + 1, 1);
	guard->lost = calloc((guard->chunk_count + 7) / 8 + 1, 1);
	error = guard->saved && guard->lost ? collect_runs(guard) : -ENOMEM;
	if (error != 0) {
		guard_unref(guard);
		return error;
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
	free(guard->runs);
	free(guard->saved);
	free(guard->lost);
	free(guard);
}

struct cache_range guard_span(const struct guard *guard)
{
	const struct run *first = guard->runs, *last = guard->runs + guard->run_count - 1;

	if (guard->run_count == 0)
		return (struct cache_range){ 0 };
	return (struct cache_range){ first->image_bytes, last->image_bytes + last->length_bytes - first->image_bytes };
}

void guard_hold_version(struct guard *guard)
{
	node_use(guard->version->image, &guard->version->node);
}

void guard_release_version(struct guard *guard)
{
	node_put(guard->version->image, &guard->version->node);
}

/* ---- which chunks a range of the image is about -------------------------- */

/* The first run that ends behind `image_bytes`; halves what is left in each turn. */
static size_t first_run(const struct guard *guard, uint64_t image_bytes)
{
	size_t low = 0, high = guard->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct run *run = &guard->runs[middle];

		if (run->image_bytes + run->length_bytes <= image_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool guard_touches(const struct guard *guard, const struct cache_range *range)
{
	size_t at = first_run(guard, range->offset_bytes);

	return range->length_bytes > 0 && at < guard->run_count &&
	       guard->runs[at].image_bytes < range->offset_bytes + range->length_bytes;
}

void guard_each_chunk(struct guard *guard, const struct cache_range *range,
		      bool (*each)(struct guard *guard, uint64_t chunk, void *context), void *context)
{
	uint64_t range_end = range->offset_bytes + range->length_bytes, last = UINT64_MAX;

	for (size_t i = first_run(guard, range->offset_bytes); i < guard->run_count; i++) {
		const struct run *run = &guard->runs[i];
		uint64_t start = run->image_bytes > range->offset_bytes ? run->image_bytes : range->offset_bytes;
		uint64_t end = min_u64(run->image_bytes + run->length_bytes, range_end);

		if (run->image_bytes >= range_end)
			return;
		start = run->file_bytes + (start - run->image_bytes);
		end = run->file_bytes + (end - run->image_bytes);
		for (uint64_t chunk = start / CHUNK_BYTES; chunk * CHUNK_BYTES < end; chunk++) {
			if (chunk != last && !each(guard, chunk, context))
				return;
			last = chunk;
		}
	}
}

/* ---- state --------------------------------------------------------------- */

static bool bit(const unsigned char *bits, uint64_t chunk)
{
	return bits[chunk / 8] & (1U << chunk % 8);
}

/* Has the chunk a byte in one of the ranges? Each turn takes one run of the chunk. */
static bool is_given_up(const struct guard *guard, uint64_t chunk)
{
	const struct cache_version *version = guard->version;
	uint64_t at = chunk * CHUNK_BYTES, end = min_u64(at + CHUNK_BYTES, version->entry.size_bytes);
	struct fat_cursor cursor = { 0 };

	while (guard->given_up_count > 0 && at < end) {
		uint64_t image_bytes, run_bytes;

		if (!fat_extents_map(&version->fat, &version->extents, at, &cursor, &image_bytes, &run_bytes))
			return true;
		image_bytes += version->volume_offset_bytes;
		run_bytes = min_u64(run_bytes, end - at);
		for (unsigned i = 0; i < guard->given_up_count; i++)
			if (image_bytes < guard->given_up[i].offset_bytes + guard->given_up[i].length_bytes &&
			    guard->given_up[i].offset_bytes < image_bytes + run_bytes)
				return true;
		at += run_bytes;
	}
	return false;
}

static enum guard_state state_locked(const struct guard *guard, uint64_t chunk)
{
	if (chunk >= guard->chunk_count)
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
	const _Atomic bool *over;
	void *buffer;
};

static size_t chunk_bytes_of(const struct guard *guard, uint64_t chunk)
{
	return (size_t)min_u64(CHUNK_BYTES, guard->version->entry.size_bytes - chunk * CHUNK_BYTES);
}

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
		error = kept_new(guard->version->image->cache->rescue, guard->version->entry.size_bytes, &guard->kept);
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
	return kept_new_in_memory(guard->version->image->cache->rescue, guard->version->entry.size_bytes, &guard->kept);
}

static bool save_chunk_now(struct guard *guard, uint64_t chunk, void *context)
{
	size_t length_bytes = chunk_bytes_of(guard, chunk);
	unsigned char *buffer = context;
	int error;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return true;
	if (version_read_now(guard->version, chunk * CHUNK_BYTES, length_bytes, buffer) != 0 ||
	    pthread_mutex_trylock(&guard->saving) != 0)
		return false;
	error = make_room_in_memory(guard);
	if (error == 0)
		error = store_locked(guard, chunk, buffer, length_bytes);
	pthread_mutex_unlock(&guard->saving);
	return error == 0;
}

static bool save_chunk(struct guard *guard, uint64_t chunk, void *context)
{
	const struct save *save = context;
	size_t length_bytes = chunk_bytes_of(guard, chunk);
	struct fat_cursor cursor = { 0 };
	unsigned char *bytes;
	int error;

	if (guard_state(guard, chunk) != GUARD_IN_IMAGE)
		return true;
	error = save->buffer ? version_read_range(guard->version, &cursor, chunk * CHUNK_BYTES, length_bytes, save->buffer,
						  &bytes) :
			       -ENOMEM;
	if (error == 0 && !atomic_load(save->over))
		error = store(guard, chunk, bytes, length_bytes);
	if (error != 0)
		settle_chunk(guard, chunk, guard->lost, 0);
	return !atomic_load(save->over);
}

void guard_save(struct guard *guard, const struct cache_range *range, const _Atomic bool *over)
{
	size_t buffer_bytes = cache_device_buffer_bytes(CHUNK_BYTES);
	struct save save = { over, cache_buffer_get(buffer_bytes) };

	guard_each_chunk(guard, range, save_chunk, &save);
	cache_buffer_put(save.buffer, buffer_bytes);
}

static bool is_settled(struct guard *guard, uint64_t chunk, void *context)
{
	bool *settled = context;

	*settled = guard_state(guard, chunk) != GUARD_IN_IMAGE;
	return *settled;
}

bool guard_save_now(struct guard *guard, const struct cache_range *range)
{
	void *buffer = cache_buffer_get(CHUNK_BYTES);
	bool settled = true;

	if (buffer)
		guard_each_chunk(guard, range, save_chunk_now, buffer);
	cache_buffer_put(buffer, CHUNK_BYTES);
	guard_each_chunk(guard, range, is_settled, &settled);
	return settled;
}

unsigned guard_lose(struct guard *guard, const struct cache_range *range)
{
	struct cache_range *last;

	if (!guard_touches(guard, range))
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
