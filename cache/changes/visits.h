/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * visits: the files that are read a little just now by this process, which closes them at once: for the
 * kernel's events (kernel.h), which are not to have such a file ignored. That would take longer than the visit.
 *
 * Thread-safe, with a lock of its own, which is a leaf: many visit at a time, and are not to wait until all that
 * is queued is taken in. Nothing blocks, but for the visit itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

struct visit;

struct visits {
	pthread_mutex_t lock;
	struct visit *first; /* under the lock; each on its visitor's stack */
};

void visits_init(struct visits *visits);

/* Do `act` as a visit to the file that `st` describes. */
void visits_make(struct visits *visits, const struct stat *st, void (*act)(void *context), void *context);

bool visits_have(struct visits *visits, dev_t device, ino_t inode);
