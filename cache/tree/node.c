/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node: who uses a directory or version, and how a call enters and leaves an
 * image.
 *
 * The list of nodes to look at is a stack with a compare-and-swap push and a
 * take-all pop, so no ABA. Nobody is lost: who pushes and cannot take the lock
 * knows that its holder looks once more after letting go.
 */
#include <errno.h>

#include "cache/tree/tree.h"

void node_use(struct cache_image *image, struct node *node)
{
	atomic_fetch_add(&node->state, 1);
	atomic_fetch_add(&image->users, 1);
}

bool node_idle(const struct node *node)
{
	return atomic_load(&node->state) == 0;
}

/* Off the list and counted in one step: whoever goes later finds it unqueued, and pushes it again. */
static void look_at(struct node *node)
{
	unsigned users = atomic_fetch_and(&node->state, ~NODE_QUEUED) & ~NODE_QUEUED;

	if (node->is_version)
		version_look((struct cache_version *)node);
	else if (users == 0)
		dir_look((struct cache_dir *)node);
}

void image_look_at_nodes(struct cache_image *image)
{
	struct node *node = atomic_exchange(&image->looks, NULL);

	while (node) {
		struct node *next = node->next;

		look_at(node);
		node = next;
	}
}

int image_enter(struct cache_image *image, struct cache_op *op)
{
	int error;

	op->retry_ns = 0;
	if (op->may_block)
		pthread_mutex_lock(&image->lock);
	else if (pthread_mutex_trylock(&image->lock) != 0)
		return -EAGAIN;
	error = image_observe(image, op);
	if (error != 0)
		image_leave(image);
	return error;
}

void image_leave(struct cache_image *image)
{
	/* Repeats only when a node was pushed between the look and the unlock. */
	do {
		image_look_at_nodes(image);
		pthread_mutex_unlock(&image->lock);
	} while (atomic_load(&image->looks) && pthread_mutex_trylock(&image->lock) == 0);
}

static void push(struct cache_image *image, struct node *node)
{
	struct node *first = atomic_load(&image->looks);

	/* Repeats only while other threads push at the same time. */
	do
		node->next = first;
	while (!atomic_compare_exchange_weak(&image->looks, &first, node));
	if (pthread_mutex_trylock(&image->lock) == 0)
		image_leave(image);
}

void node_look_later(struct cache_image *image, struct node *node)
{
	if (!(atomic_fetch_or(&node->state, NODE_QUEUED) & NODE_QUEUED))
		push(image, node);
}

void node_put(struct cache_image *image, struct node *node)
{
	unsigned state = atomic_load(&node->state), next;

	/* The last user queues the node in the same step, so that nobody frees it before it is pushed. */
	do
		next = (state & ~NODE_QUEUED) == 1 ? NODE_QUEUED : state - 1;
	while (!atomic_compare_exchange_weak(&node->state, &state, next));
	if ((state & ~NODE_QUEUED) == 1 && !(state & NODE_QUEUED))
		push(image, node);
	cache_image_put(image);
}
