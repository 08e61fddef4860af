/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/image.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/trust.h"

/*
 * Whatever is written after the device was looked at is told of. Where that begins only now, what was written until now is for the
 * device to say: all of it is looked at anew.
 */
static int observe(struct cache_image *image, const struct cache_op *op, int64_t since_ns)
{
	int error = image->log ? write_log_listen(image->log, op->may_block) : 0;

	if (error != 0)
		return error;
	if (since_ns == 0 || (image->log && !write_log_listened(image->log, since_ns)))
		since_ns = CACHE_LOOK_ANEW;
	error = image->device->ops->observe(image->device, op->may_block, since_ns, &image->seen);
	/* Without any sign, that somebody found something changed is the only one that it is being written. */
	if (error == 0 && image->seen.signless && image->differed_ns != 0 &&
	    image->seen.now_ns - image->differed_ns < image->seen.quiet_ns)
		image->seen.quiet_ns = image->seen.now_ns - image->differed_ns;
	if (error == 0 && image->log)
		write_log_observe(image->log, &image->seen);
	return error;
}

void image_differs(struct cache_image *image)
{
	image->differed_ns = image->seen.now_ns;
	if (image->seen.signless)
		image->seen.quiet_ns = 0;
}

/*
 * One look is for all who had come before it: it is as new for them as for who took it. What one request asks
 * with several calls is asked of one look, too.
 */
static bool is_seen_since(const struct cache_image *image, int64_t since_ns)
{
	return since_ns != 0 && image->seen.looked_ns >= since_ns;
}

int image_observe_since(struct cache_image *image, const struct cache_op *op, int64_t since_ns)
{
	int error;

	if (is_seen_since(image, since_ns))
		return 0;
	/* Each turn uses up what was prepared; of what began before `since_ns` there is one at hand, and one under way. */
	do
		error = observe(image, op, since_ns);
	while (error == 0 && image->device->ops->prepare && image->seen.looked_ns < since_ns);
	return error;
}

int image_observe(struct cache_image *image, const struct cache_op *op)
{
	return image_observe_since(image, op, clock_now_ns(CLOCK_MONOTONIC));
}

int64_t image_lock_again(struct cache_image *image)
{
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

	pthread_mutex_lock(&image->lock);
	return now_ns;
}

/* Each look takes as long as the next one waits. One that goes on in a call may be for others, too (compare.h). */
static bool is_in_vain(const struct cache_image *image, const struct cache_op *op)
{
	return image->seen.blind && op->over && atomic_load(op->over);
}

int image_look(struct cache_image *image, const struct cache_op *op, int64_t since_ns)
{
	const struct cache_device_ops *ops = image->device->ops;
	int error;

	if (is_in_vain(image, op))
		return -EAGAIN;
	if (is_seen_since(image, since_ns))
		return 0;
	if (since_ns == 0)
		since_ns = clock_now_ns(CLOCK_MONOTONIC);
	if (op->may_block && ops->prepare && (!ops->prepares || ops->prepares(image->device))) {
		image_leave(image);
		error = ops->prepare(image->device, since_ns, op->until_ns);
		pthread_mutex_lock(&image->lock);
		if (error != 0)
			return error;
	}
	return image_observe_since(image, op, since_ns);
}

int image_lock(struct cache_image *image, const struct cache_op *op)
{
	if (op->may_block)
		pthread_mutex_lock(&image->lock);
	return op->may_block || pthread_mutex_trylock(&image->lock) == 0 ? 0 : -EAGAIN;
}

int image_enter(struct cache_image *image, struct cache_op *op)
{
	int error = image_lock(image, op);

	op->retry_ns = 0;
	if (error != 0)
		return error;
	error = image_look(image, op, op->came_ns);
	if (error != 0)
		image_leave(image);
	return error;
}

/* Freeing takes the longer the larger it is: nobody waits for it but who does it. */
static void free_dropped(struct kept *dropped)
{
	while (dropped)
		dropped = kept_unref_first(dropped);
}

void image_leave(struct cache_image *image)
{
	/* Repeats only when a node was pushed between the look and the unlock. */
	do {
		struct kept *dropped;

		image->ops->reap(image);
		dropped = image->dropped;
		image->dropped = NULL;
		pthread_mutex_unlock(&image->lock);
		free_dropped(dropped);
	} while (atomic_load(&image->idle) && pthread_mutex_trylock(&image->lock) == 0);
}

int image_new_copy(struct cache_image *image, uint64_t size_bytes, struct kept **copy)
{
	struct kept_amount used = { 0 }, limit = { 0 };

	/* All of it will be written: it is not begun where it will not fit. */
	kept_budget_add(image->copies, &used, &limit);
	if (!range_within(used.memory_bytes, size_bytes, limit.memory_bytes) &&
	    !range_within(used.file_bytes, size_bytes, limit.file_bytes))
		return -ENOSPC;
	return kept_new(image->copies, size_bytes, KEPT_ANYWHERE, copy);
}

void image_drop_copy(struct cache_image *image, struct kept *copy)
{
	image->dropped = kept_put_first(copy, image->dropped);
}

/* The last user is gone, so nobody else can reach the tree: no lock is needed. */
void cache_image_put(struct cache_image *image)
{
	if (!image || atomic_fetch_sub(&image->users, 1) != 1)
		return;
	image->ops->reap(image);
	image->ops->free_tree(image);
	free_dropped(image->dropped);
	/* Its feed is about the device's descriptor. */
	if (image->log)
		write_log_close_feed(image->log);
	write_log_unref(image->log);
	kept_budget_unref(image->copies);
	kept_budget_unref(image->preserved);
	cache_device_unref(image->device);
	pthread_mutex_destroy(&image->lock);
	free(image);
}

void cache_image_set_log(struct cache_image *image, struct write_log *log)
{
	image->log = log;
}

struct write_log *cache_image_log(struct cache_image *image)
{
	return image->log;
}

const char *cache_image_unreached(struct cache_image *image)
{
	return image->device->ops->problem ? image->device->ops->problem(image->device) : NULL;
}

const char *cache_image_problem(struct cache_image *image)
{
	const char *unreached = cache_image_unreached(image);

	return unreached ? unreached : atomic_load(&image->problem);
}

const char *cache_image_change_source(struct cache_image *image)
{
	const char *told = image->log ? write_log_source(image->log) : NULL;

	return told ? told : image->device->ops->describe(image->device);
}

int64_t cache_image_answered_ns(const struct cache_image *image)
{
	return atomic_load(&image->device->answered_ns);
}

bool cache_image_is_slow(const struct cache_image *image)
{
	return image_is_slow(image);
}

/* ---- its share of memory -------------------------------------------------- */

bool image_has_room(const struct cache_image *image, size_t more_bytes)
{
	return share_has_room(&image->memory, more_bytes);
}

bool image_is_crowded(struct cache_image *image)
{
	uint64_t used_bytes = share_used(&image->memory), limit_bytes = image->memory.limit_bytes / 2;
	const struct share *all = image->memory.whole;

	if (share_used(all) > all->limit_bytes / 4 * 3)
		limit_bytes = share_least(&image->memory);
	/* What could not be let go is not tried again with each call, but when there is more of it. */
	image->relieved_bytes = min_u64(image->relieved_bytes, used_bytes);
	return used_bytes > max_u64(limit_bytes, image->relieved_bytes + share_least(&image->memory));
}

bool image_relieve(struct cache_image *image)
{
	uint64_t last_bytes = share_used(&image->memory);

	image->relieved_bytes = 0;
	image->ops->reap(image);
	return share_used(&image->memory) < last_bytes;
}

/* ---- nodes --------------------------------------------------------------- */

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

void node_count(struct cache_image *image, struct node *node, size_t bytes)
{
	if (bytes == node->bytes)
		return;
	share_count(&image->memory, node->bytes, bytes);
	node->bytes = bytes;
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
