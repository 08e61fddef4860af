/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preserve: the bytes that one announced write is about to replace, and that
 * open files still need.
 *
 * Made under the write log's lock when the write is announced; run by whoever may
 * block; given up by whoever watches the clock. The writer goes on after either.
 * It holds its guards, and these hold all that they read through.
 */
#pragma once

#include <stdbool.h>

#include "cache/device/device.h"

struct guard;
struct saving;

/*
 * The range of the guard's file is to be preserved: *saving is made with the first,
 * and ranges of one guard become one. False: no memory, or there are too many.
 */
bool saving_add(struct saving **saving, struct guard *guard, const struct cache_range *range);

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
