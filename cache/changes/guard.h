/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard: copy before write, for one open version.
 *
 * While a guard stands, every byte of the version is either in the image as it
 * was when the guard was set up, or was saved here before the write that
 * replaces it was let through, or is lost (it could not be saved in time). So a
 * reader reads the image first, and asks the guard afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/cache.h"

struct guard;

/* Of a version with a chain, which outlives it. One reference, the caller's. -ENOMEM, -EIO; -ENOTSUP: in too many pieces. */
int guard_new(struct cache_version *version, struct guard **guard);
struct guard *guard_ref(struct guard *guard);
void guard_unref(struct guard *guard); /* NULL is fine */

/* Does the range of the image hold bytes of the version? */
bool guard_touches(const struct guard *guard, const struct cache_range *range);

/* From its first byte in the image to its last. */
struct cache_range guard_span(const struct guard *guard);

/*
 * Calls `each` for the chunks (CHUNK_BYTES) of the file that the range holds bytes
 * of, until it returns false. Bounded by the version's runs, and the chunks in each.
 */
void guard_each_chunk(struct guard *guard, const struct cache_range *range,
		      bool (*each)(struct guard *guard, uint64_t chunk, void *context), void *context);

/*
 * Save what the range is about to lose, chunk by chunk; blocks. What cannot be
 * read is lost. Ends early once *over is set.
 */
void guard_save(struct guard *guard, const struct cache_range *range, const _Atomic bool *over);

/* The same without waiting for anything. False: something of it is left to guard_save. */
bool guard_save_now(struct guard *guard, const struct cache_range *range);

/* What of the range is not saved by now is lost. Takes no time. Returns 1, or 0 when it is about nothing. */
unsigned guard_lose(struct guard *guard, const struct cache_range *range);

enum guard_state {
	GUARD_IN_IMAGE,
	GUARD_SAVED,
	GUARD_LOST,
};

/* Of a chunk (CHUNK_BYTES) of the file. */
enum guard_state guard_state(struct guard *guard, uint64_t chunk);

/* Bytes of a saved chunk. -EIO. */
int guard_read(struct guard *guard, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* Was nothing saved or lost yet? */
bool guard_is_pristine(struct guard *guard);

/* For as long as somebody saves bytes without the image's lock: the version must not go. */
void guard_hold_version(struct guard *guard);
void guard_release_version(struct guard *guard);

/* For reports.c alone, under its lock: its list, and the epoch the guard was set up in. */
struct guard_link {
	struct guard *next, **link; /* link is NULL when it is in no list */
	uint64_t epoch;
	uint64_t serial; /* of the saving it is in as `item` */
	size_t item;
};
struct guard_link *guard_link(struct guard *guard);
uint64_t guard_saved_bytes(struct guard *guard);
