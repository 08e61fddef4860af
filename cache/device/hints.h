/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hints: which ranges of a local file its filesystem was asked to read ahead, into the page cache.
 *
 * What was asked for is there, or on its way: to read it by O_DIRECT would be to read it twice. Whether the page
 * cache has a range nobody else may tell: cachestat(2) is of Linux 6.5, and of late it answers (EPERM) only those who own the
 * file or could write it, which is not who mounts another user's image.
 *
 * A hint may be old, and the pages gone again: then the read takes the longer way. That is all it can do,
 * for a local file's page cache is as true as O_DIRECT, whoever writes.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "cache/device/device.h"

/* So many files of an image that are read at a time, from one end to the other. */
#define HINTS_MAX 8

/* All under the lock, which is held for no time. Zero-initialised with a lock it has none. */
struct hints {
	pthread_mutex_t lock;
	struct cache_range ranges[HINTS_MAX];
	unsigned next; /* the oldest of them */
};

/* That range was asked for: whole blocks, as the kernel takes it. What begins in one that is there, or at its end, makes it longer. */
void hints_add(struct hints *hints, const struct cache_range *range);

/* Was all of it asked for, in one of the ranges? */
bool hints_cover(struct hints *hints, const struct cache_range *range);
