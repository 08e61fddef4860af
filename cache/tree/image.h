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

#include "base/share.h"
#include "cache/changes/write_log.h"
#include "cache/device/kept.h"
#include "cache/tree/types.h"

struct cache {
	struct cache_settings settings; /* constant */
	struct share memory;		/* of what images' content makes us hold; atomic */
	struct kept_budget *copies;	/* thread-safe */
	struct kept_budget *preserved;	/* of guards: what they preserve must not wait for a file; thread-safe */
};

struct image_ops {
	void (*reap)(struct cache_image *image);     /* look at the nodes on `idle`; under the lock, or alone */
	void (*free_tree)(struct cache_image *image); /* the last user is gone: alone */
};

struct cache_image {
	struct cache *cache;	     /* constant */
	const struct image_ops *ops; /* constant */
	struct cache_device *device; /* constant; thread-safe */
	struct share memory;	     /* what its content makes us hold; atomic */
	struct kept_budget *copies, *preserved; /* constant: its shares; thread-safe */
	struct write_log *log;     /* constant after the start; or NULL; thread-safe */
	uint32_t sector_bytes_hint;  /* constant */
	_Atomic unsigned users;	     /* the caller of cache_image_new, and every user of a node */

	pthread_mutex_t lock;		/* held across metadata reads: see cache.h */
	struct cache_observation seen;	/* the last one */
	int64_t differed_ns;		/* when anything of it was last seen to be other than before; 0: never */
	struct table *table;		/* constant: table.h */
	struct cache_volume *volumes;	/* list: volume.h */
	_Atomic(const char *) problem;	/* no lock */
	_Atomic(struct node *) idle;	/* no lock: nodes whose users went, see below */
	uint64_t relieved_bytes;	/* of its memory, what could not be let go when it was last tried */
	struct kept *dropped;		/* list: copies that nobody needs, to be freed without the lock */
	bool copying, copying_small;	/* a copy of one of its files is being read, without the lock: stream.c's */
	size_t idle_events;		/* how often a node lost its last user, since they were counted */
};

/* The writer is faster than this many looks in a row: it is waited for. */
#define REFRESH_TRIES 3

/* Observe the device anew; sets image->seen. Under the lock. */
int image_observe(struct cache_image *image, const struct cache_op *op);

/* Likewise, but a look that somebody took since then (CLOCK_MONOTONIC) will do. */
int image_observe_since(struct cache_image *image, const struct cache_op *op, int64_t since_ns);

/*
 * Likewise, in order to read metadata: where nothing is believed all of it is read again under each look. That is read
 * before, with the lock let go, once for all who wait for it: on slow storage it takes as long as a request may, and who
 * waits for the lock would come to no end. -EAGAIN too: it would be for nobody (op->over); -ETIMEDOUT: there is no
 * time for it (op->until_ns).
 */
int image_look(struct cache_image *image, const struct cache_op *op, int64_t since_ns);

/* Is there no time in a request for more than one look? Then what can be had for many at once is read for them together. */
static inline bool image_is_slow(const struct cache_image *image)
{
	return atomic_load(&image->device->slow);
}

/* Something of it is other than it was when it was last read. Under the lock. */
void image_differs(struct cache_image *image);

/* Take the lock in the midst of a call, to observe: the time (CLOCK_MONOTONIC) that this is asked at. */
int64_t image_lock_again(struct cache_image *image);

/* Take the lock; only if it is free, when op may not block: -EAGAIN. */
int image_lock(struct cache_image *image, const struct cache_op *op);

/* Begin a call: take the lock, and look (not if that is for nobody, op->over). 0, -EAGAIN or -EIO; unlocked on error. */
int image_enter(struct cache_image *image, struct cache_op *op);

/* End it, or let the lock go in its midst: pthread_mutex_lock takes it back. */
void image_leave(struct cache_image *image);

/* A copy for one of its files, within the image's share. -ENOSPC: that is used up; as kept_new. */
int image_new_copy(struct cache_image *image, uint64_t size_bytes, struct kept **copy);

/* It is not needed any more: its memory is freed when the lock is let go. */
void image_drop_copy(struct cache_image *image, struct kept *copy);

/* ---- its share of memory (CONTRACT S5) ------------------------------------------- */

/*
 * Counted is what is allocated because of what stands in the image: directories, chains, versions
 * and what is known of their bytes. Each node counts for itself; tables and volumes are few.
 *
 * From half of its share on an image lets go of what can be made again (image_leave). So it is
 * refused what would take more than the share only if so much is in use. When all images together
 * come near their limit, each lets go of what is more than the least part, and is refused beyond.
 */
bool image_has_room(const struct cache_image *image, size_t more_bytes);

/* Is it to let go of what it can? Under the lock. */
bool image_is_crowded(struct cache_image *image);

/*
 * Something was refused it: let go, also of what came free since that was last tried. True:
 * something was, so that it may be tried once more. Under the lock, between two looks at the tree.
 */
bool image_relieve(struct cache_image *image);

/* ---- nodes: directories and versions, and who uses them ------------------------ */

/*
 * A user may go at any time and must not wait for the image (a forget must never
 * block), so the counts are atomic, and a node whose count came to nothing is
 * pushed on the image's list of nodes to look at; whoever holds the lock looks,
 * at the latest when leaving it (image_leave).
 *
 * The list is a stack with a compare-and-swap push and a take-all pop, so no ABA.
 * Nobody is lost: who pushes and cannot take the lock knows that its holder looks
 * once more after letting go.
 *
 * It is first in what it is a node of, and aligned as the 64-bit fields there are: the one is cast to the other.
 */
struct node {
	_Alignas(int64_t) _Atomic unsigned state; /* how many users, and NODE_QUEUED */
	bool is_version;	/* constant */
	size_t bytes;		/* that are counted for it; under the lock */
	struct node *next;	/* of the list; the pusher's until it is pushed */
};

#define NODE_QUEUED (1U << 31)

/* The node, with what belongs to it, takes so many bytes now; before it is freed, none. Under the lock. */
void node_count(struct cache_image *image, struct node *node, size_t bytes);

/* Add a user, under the lock; it is a user of the image too. */
void node_use(struct cache_image *image, struct node *node);

/* Take a user away, without the lock. */
void node_put(struct cache_image *image, struct node *node);

/* Keep it from being freed, under the lock, which is held until it is let go. */
void node_pin(struct node *node);
void node_unpin(struct node *node);

/* May it be freed? Under the lock. A node on the list is the list's to free. */
bool node_idle(const struct node *node);

/* Have the holder of the lock look at the node, without the lock. */
void node_look_later(struct cache_image *image, struct node *node);

/* The list, which is the caller's from now on: each is to be taken off by node_take before it is looked at. */
struct node *node_take_list(struct cache_image *image);

/* Off the list and counted in one step: whoever goes later finds it unqueued, and pushes it again. The users it has. */
unsigned node_take(struct node *node);
