/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard: copy before write, for one open file.
 *
 * While a guard stands, every byte of the file is either in the image as it
 * was when the guard was set up, or was saved here before the write that
 * replaces it was let through, or is lost (it could not be saved in time). So a
 * reader reads the image first, and asks the guard afterwards.
 *
 * It knows extents and a device, no versions: it holds a reference to all that it
 * needs, so that whoever saves bytes for it holds the guard and nothing else.
 * All functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/device/device.h"
#include "cache/device/extents.h"
#include "cache/device/kept.h"

struct guard;

/* Takes references to all three; one reference of the guard's, the caller's. -ENOMEM. */
int guard_new(struct extents *extents, struct cache_device *device, struct kept_budget *budget, struct guard **guard);
struct guard *guard_ref(struct guard *guard);
void guard_unref(struct guard *guard); /* NULL is fine */

/* What it guards; borrowed, as long as the guard. */
const struct extents *guard_extents(const struct guard *guard);

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

/* For write_log.c alone, under its lock: its list, and the epoch the guard was set up in. */
struct guard_link {
	struct guard *next, **link; /* link is NULL when it is in no list */
	uint64_t epoch;
};
struct guard_link *guard_link(struct guard *guard);
uint64_t guard_saved_bytes(struct guard *guard);
