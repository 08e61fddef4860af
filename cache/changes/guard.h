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
 *
 * A saving is what one announced write is about to replace, and what open files still
 * need. It is made under the write log's lock when the write is announced; run by
 * whoever may block; given up by whoever watches the clock. The writer goes on after
 * either.
 *
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

/* What a guard of such a file takes of memory, beside what it preserves. */
size_t guard_memory_bytes(const struct extents *extents);

/* What it guards; borrowed, as long as the guard. */
const struct extents *guard_extents(const struct guard *guard);

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

/* For guards.c alone, under the write log's lock: its list, and the epoch the guard was set up in. */
struct guard_link {
	struct guard *next, **link; /* link is NULL when it is in no list */
	uint64_t epoch;
};
struct guard_link *guard_link(struct guard *guard);
uint64_t guard_saved_bytes(struct guard *guard);

/* ---- what one write is about to replace -------------------------------------- */

struct saving;

/*
 * The range of the guard's file is to be preserved: *saving is made with the first,
 * holds its guards, and ranges of one guard become one. Without memory, or if there are
 * too many, it is lost. Returns of how many files something was lost: 0 or 1.
 */
unsigned saving_add(struct saving **saving, struct guard *guard, const struct cache_range *range);

/* As far as it takes no waiting for a device. True: all is preserved. Never blocks. NULL: nothing is to be done. */
bool saving_run_now(struct saving *saving);

/* Preserve the bytes. Blocks as long as the device takes; stops soon after saving_give_up. */
void saving_run(struct saving *saving);

/*
 * The time is over: what is not preserved by now is lost to its readers. From any
 * thread, at most once, never blocks. Returns of how many files something was lost.
 */
unsigned saving_give_up(struct saving *saving);

void saving_free(struct saving *saving); /* after saving_run returned, or instead of it; NULL is fine */
