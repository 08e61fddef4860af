/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/node.h"

#include <time.h>

#include "cache/tree/image.h"

/*
 * Seconds in the upper bits: a daemon that is started again continues above
 * anything it could have handed out before (2^20 a second for as long as it ran),
 * so a server that outlives a remount never meets an old number.
 */
static _Atomic uint64_t last_id;

uint64_t cache_next_id(void)
{
	uint64_t id = atomic_load(&last_id);

	if (id == 0) {
		uint64_t start = (uint64_t)time(NULL) << 20;

		if (start == 0)
			start = UINT64_C(1) << 20;
		/* Whoever comes second finds the first one's start. */
		atomic_compare_exchange_strong(&last_id, &id, start);
	}
	return atomic_fetch_add(&last_id, 1) + 1;
}

void node_use(struct cache_image *image, struct node *node)
{
	atomic_fetch_add(&node->state, 1);
	atomic_fetch_add(&image->users, 1);
}

void node_pin(struct node *node)
{
	atomic_fetch_add(&node->state, 1);
}

void node_unpin(struct node *node)
{
	atomic_fetch_sub(&node->state, 1);
}

bool node_idle(const struct node *node)
{
	return atomic_load(&node->state) == 0;
}

struct node *node_take_list(struct cache_image *image)
{
	return atomic_exchange(&image->idle, NULL);
}

unsigned node_take(struct node *node)
{
	return atomic_fetch_and(&node->state, ~NODE_QUEUED) & ~NODE_QUEUED;
}

static void push(struct cache_image *image, struct node *node)
{
	struct node *first = atomic_load(&image->idle);

	/* Repeats only while other threads push at the same time. */
	do
		node->next = first;
	while (!atomic_compare_exchange_weak(&image->idle, &first, node));
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
