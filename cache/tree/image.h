/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image: what all of one image's tree shares: its lock, its device, and what was
 * last observed of both.
 *
 * It is the lowest file of the tree and knows none of the others: what is in an
 * image hangs on it by pointers, and the two things that only they can do (free
 * the tree, and look at nodes whose users went) it asks of `ops`.
 *
 * Every field is protected by `lock` unless it says otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "cache/changes/write_log.h"
#include "cache/device/kept.h"
#include "cache/tree/types.h"

struct cache {
	struct cache_settings settings; /* constant */
	struct kept_budget *budget;	/* of copies; thread-safe */
	struct kept_budget *preserve;	/* of guards: what they preserve must not wait for a file */
};

struct image_ops {
	void (*reap)(struct cache_image *image);     /* look at the nodes on `idle`; under the lock, or alone */
	void (*free_tree)(struct cache_image *image); /* the last user is gone: alone */
};

struct cache_image {
	struct cache *cache;	     /* constant */
	const struct image_ops *ops; /* constant */
	struct cache_device *device; /* constant; thread-safe */
	struct write_log *log;     /* constant after the start; or NULL; thread-safe */
	uint32_t sector_bytes_hint;  /* constant */
	_Atomic unsigned users;	     /* the caller of cache_image_new, and every user of a node */

	pthread_mutex_t lock;		/* held across metadata reads: see cache.h */
	struct cache_observation seen;	/* the last one */
	struct table *table;		/* constant: table.h */
	struct cache_volume *volumes;	/* list: volume.h */
	_Atomic(const char *) problem;	/* no lock */
	_Atomic(struct node *) idle;	/* no lock: nodes whose users went, see node.h */
	uint64_t copied_bytes;		/* by copies of its files, in all, */
	uint64_t copied_memory_bytes;	/* and those of them that are in memory */
	struct kept *dropped;		/* list: copies that nobody needs, to be freed without the lock */
	size_t idle_events;		/* how often a node lost its last user, since they were counted */
};

/* The writer is faster than this many looks in a row: it is waited for. */
#define REFRESH_TRIES 3

/* Observe the device anew; sets image->seen. Under the lock. */
int image_observe(struct cache_image *image, const struct cache_op *op);

/* Begin a call: take the lock (only if it is free, when op may not block) and observe. 0, -EAGAIN or -EIO; unlocked on error. */
int image_enter(struct cache_image *image, struct cache_op *op);

/* End it, or let the lock go in its midst: pthread_mutex_lock takes it back. */
void image_leave(struct cache_image *image);

/* A copy for one of its files, within the image's share. -ENOSPC: that is used up; as kept_new. */
int image_new_copy(struct cache_image *image, uint64_t size_bytes, struct kept **copy);

/* It is not needed any more: its memory is freed when the lock is let go. */
void image_drop_copy(struct cache_image *image, struct kept *copy);
