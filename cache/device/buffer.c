/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/buffer.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cache/device/device.h"

/*
 * One size class: every buffer of up to POOLED_BYTES is made that large. Four
 * kept buffers feed a disk; their 5 MiB are all that stays after a burst, for some seconds.
 */
#define POOLED_BYTES ((size_t)1280 << 10)
#define POOLED_SMALL_BYTES ((size_t)80 << 10)
#define POOLED_COUNT 4

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static void *pool[POOLED_COUNT]; /* pool_lock */
static size_t pool_used;	 /* pool_lock */
static size_t pool_idle;	 /* pool_lock: never fewer since they were last let go */

static int is_pooled(size_t size_bytes)
{
	return size_bytes > POOLED_SMALL_BYTES && size_bytes <= POOLED_BYTES;
}

void *cache_buffer_get(size_t size_bytes)
{
	void *buffer = NULL;

	if (is_pooled(size_bytes)) {
		LOCK_SCOPE(&pool_lock);
		if (pool_used > 0) {
			pool_used--;
			pool_idle = pool_used < pool_idle ? pool_used : pool_idle;
			return pool[pool_used];
		}
		size_bytes = POOLED_BYTES;
	}
	if (posix_memalign(&buffer, CACHE_BLOCK_BYTES, size_bytes) != 0)
		return NULL;
	return buffer;
}

void cache_buffer_put(void *buffer, size_t size_bytes)
{
	if (buffer && is_pooled(size_bytes)) {
		LOCK_SCOPE(&pool_lock);
		if (pool_used < POOLED_COUNT) {
			pool[pool_used++] = buffer;
			return;
		}
	}
	free(buffer);
}

void cache_buffers_let_go(void)
{
	void *idle[POOLED_COUNT];
	size_t count;

	pthread_mutex_lock(&pool_lock);
	count = pool_idle;
	for (size_t i = 0; i < count; i++)
		idle[i] = pool[--pool_used];
	pool_idle = pool_used;
	pthread_mutex_unlock(&pool_lock);
	for (size_t i = 0; i < count; i++)
		free(idle[i]);
}
