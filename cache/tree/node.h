/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node: what directories and versions have in common: who uses them.
 *
 * A user may go at any time and must not wait for the image (a forget must never
 * block), so the counts are atomic, and a node whose count came to nothing is
 * pushed on the image's list of nodes to look at; whoever holds the lock looks,
 * at the latest when leaving it (image_leave).
 *
 * The list is a stack with a compare-and-swap push and a take-all pop, so no ABA.
 * Nobody is lost: who pushes and cannot take the lock knows that its holder looks
 * once more after letting go.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct cache_image;

struct node {
	_Atomic unsigned state; /* how many users, and NODE_QUEUED */
	bool is_version;	/* constant */
	struct node *next;	/* of the list; the pusher's until it is pushed */
};

#define NODE_QUEUED (1U << 31)

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
