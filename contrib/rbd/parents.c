/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parents.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define BUCKETS 4096 /* a power of two */

struct parent {
	LIST_ENTRY(parent) all; /* parents_lock, as is users */
	unsigned users;
	uint64_t number; /* of this opening; what follows is constant */
	int64_t pool_id;
	uint64_t snapshot_id; /* never given twice in a pool */
	uint64_t size_bytes;
	rados_ioctx_t io;
	rbd_image_t image; /* at the snapshot */
	char id[];
};

/* Under chunks_lock; the bytes may be read without it once the chunk is READY. */
struct chunk {
	LIST_ENTRY(chunk) bucket; /* of one that can be found */
	TAILQ_ENTRY(chunk) by_use;
	uint64_t parent, index;
	unsigned users; /* who has it in his hands */
	enum { LOADING, READY, FAILED } state;
	int error;		     /* of one that FAILED */
	rbd_completion_t completion; /* who loads it has it for himself */
	unsigned char bytes[PARENT_CHUNK_BYTES];
};

static pthread_mutex_t parents_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, parent) parents = LIST_HEAD_INITIALIZER(parents);
static uint64_t openings;

static pthread_mutex_t chunks_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t chunk_is_there = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(, chunk) buckets[BUCKETS];
static TAILQ_HEAD(, chunk) by_use = TAILQ_HEAD_INITIALIZER(by_use); /* READY, without users; latest last */
static size_t unused_count, unused_max = (256u << 20) / PARENT_CHUNK_BYTES;

void parents_set_limit(uint64_t bytes)
{
	unused_max = (size_t)(bytes / PARENT_CHUNK_BYTES);
}

/* ---- parents ---------------------------------------------------------------------------- */

static void parent_close(struct parent *parent)
{
	if (parent->image)
		rbd_close(parent->image);
	if (parent->io)
		rados_ioctx_destroy(parent->io);
	free(parent);
}

static int parent_open(rados_t cluster, const rbd_linked_image_spec_t *image, uint64_t snapshot_id,
		       struct parent **opened)
{
	struct parent *parent = calloc(1, sizeof(*parent) + strlen(image->image_id) + 1);
	int r;

	if (!parent)
		return -ENOMEM;
	parent->pool_id = image->pool_id;
	parent->snapshot_id = snapshot_id;
	strcpy(parent->id, image->image_id);
	r = rados_ioctx_create2(cluster, image->pool_id, &parent->io);
	if (r == 0) {
		rados_ioctx_set_namespace(parent->io, image->pool_namespace);
		r = rbd_open_by_id_read_only(parent->io, image->image_id, &parent->image, NULL);
	}
	if (r == 0)
		r = rbd_snap_set_by_id(parent->image, snapshot_id);
	if (r == 0)
		r = rbd_get_size(parent->image, &parent->size_bytes);
	if (r < 0) {
		parent_close(parent);
		return r;
	}
	*opened = parent;
	return 0;
}

/* Under parents_lock. */
static struct parent *find_parent(const rbd_linked_image_spec_t *image, uint64_t snapshot_id)
{
	struct parent *parent;

	LIST_FOREACH(parent, &parents, all)
	if (parent->pool_id == image->pool_id && parent->snapshot_id == snapshot_id &&
	    strcmp(parent->id, image->image_id) == 0)
		break;
	if (parent)
		parent->users++;
	return parent;
}

/* Opened without the lock, for that asks the cluster: two may do so, and the second one's is closed. */
static int get(rados_t cluster, const rbd_linked_image_spec_t *image, uint64_t snapshot_id,
	       struct parent **parent)
{
	struct parent *opened = NULL;
	int r;

	pthread_mutex_lock(&parents_lock);
	*parent = find_parent(image, snapshot_id);
	pthread_mutex_unlock(&parents_lock);
	if (*parent)
		return 0;
	r = parent_open(cluster, image, snapshot_id, &opened);
	if (r < 0)
		return r;
	pthread_mutex_lock(&parents_lock);
	*parent = find_parent(image, snapshot_id);
	if (!*parent) {
		*parent = STEAL_POINTER(opened);
		(*parent)->users = 1;
		(*parent)->number = ++openings;
		LIST_INSERT_HEAD(&parents, *parent, all);
	}
	pthread_mutex_unlock(&parents_lock);
	if (opened)
		parent_close(opened);
	return 0;
}

int parent_get(rados_t cluster, rbd_image_t child, struct parent **parent)
{
	rbd_linked_image_spec_t image;
	rbd_snap_spec_t snapshot;
	int r = rbd_get_parent(child, &image, &snapshot);

	*parent = NULL;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = get(cluster, &image, snapshot.id, parent);
	rbd_linked_image_spec_cleanup(&image);
	rbd_snap_spec_cleanup(&snapshot);
	return r;
}

void parent_put(struct parent *parent)
{
	bool last;

	if (!parent)
		return;
	pthread_mutex_lock(&parents_lock);
	last = --parent->users == 0;
	if (last)
		LIST_REMOVE(parent, all);
	pthread_mutex_unlock(&parents_lock);
	if (last)
		parent_close(parent);
}

/* ---- chunks; under chunks_lock unless it says otherwise ----------------------------------------- */

/* A parent's chunks, one after the other, are in different buckets. */
static size_t bucket_of(uint64_t parent, uint64_t index)
{
	return (size_t)((index + parent * 0x9e3779b97f4a7c15u) % BUCKETS);
}

static void limit_unused(void)
{
	while (unused_count > unused_max) {
		struct chunk *chunk = TAILQ_FIRST(&by_use);

		TAILQ_REMOVE(&by_use, chunk, by_use);
		LIST_REMOVE(chunk, bucket);
		unused_count--;
		free(chunk);
	}
}

static void release(struct chunk *chunk)
{
	if (--chunk->users > 0)
		return;
	if (chunk->state == FAILED) {
		free(chunk);
		return;
	}
	TAILQ_INSERT_TAIL(&by_use, chunk, by_use);
	unused_count++;
	limit_unused();
}

/* The chunk, in hand. With *mine it is not there yet, and the caller loads it. NULL: no memory. */
static struct chunk *take(const struct parent *parent, uint64_t index, bool *mine)
{
	size_t bucket = bucket_of(parent->number, index);
	struct chunk *chunk;

	*mine = false;
	LIST_FOREACH(chunk, &buckets[bucket], bucket)
	if (chunk->parent == parent->number && chunk->index == index)
		break;
	if (chunk) {
		if (chunk->users++ == 0) {
			TAILQ_REMOVE(&by_use, chunk, by_use);
			unused_count--;
		}
		return chunk;
	}
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->parent = parent->number;
	chunk->index = index;
	chunk->users = 1;
	chunk->state = LOADING;
	chunk->completion = NULL;
	LIST_INSERT_HEAD(&buckets[bucket], chunk, bucket);
	*mine = true;
	return chunk;
}

/* One that failed is not found any more: who comes next tries again. */
static void settle(struct chunk *chunk, int error)
{
	LOCK_SCOPE(&chunks_lock);
	chunk->error = error;
	chunk->state = error == 0 ? READY : FAILED;
	if (error != 0)
		LIST_REMOVE(chunk, bucket);
	pthread_cond_broadcast(&chunk_is_there);
}

/* Without the lock. The end of a snapshot may be within its last chunk. */
static void start_loading(struct parent *parent, struct chunk *chunk)
{
	uint64_t offset = chunk->index * PARENT_CHUNK_BYTES;
	size_t length = (size_t)min_u64(PARENT_CHUNK_BYTES, parent->size_bytes - offset);
	int r = rbd_aio_create_completion(NULL, NULL, &chunk->completion);

	memset(chunk->bytes + length, 0, PARENT_CHUNK_BYTES - length);
	if (r == 0) {
		r = rbd_aio_read(parent->image, offset, length, (char *)chunk->bytes, chunk->completion);
		if (r < 0)
			rbd_aio_release(chunk->completion);
	}
	if (r < 0) {
		chunk->completion = NULL;
		settle(chunk, r);
	}
}

/* Without the lock. */
static void finish_loading(struct chunk *chunk)
{
	ssize_t r;

	if (!chunk->completion)
		return;
	rbd_aio_wait_for_complete(chunk->completion);
	r = rbd_aio_get_return_value(chunk->completion);
	rbd_aio_release(chunk->completion);
	settle(chunk, r < 0 ? (int)r : 0);
}

void parents_free(void)
{
	unused_max = 0;
	limit_unused();
}

/* ---- reading ------------------------------------------------------------------------------- */

/* What one call of parent_read has in its hands. */
struct hands {
	size_t count;
	struct {
		struct chunk *chunk;
		bool mine;
	} of[];
};

static int take_all(const struct parent *parent, struct hands *hands, uint64_t first, size_t count)
{
	LOCK_SCOPE(&chunks_lock);
	for (; hands->count < count; hands->count++) {
		size_t i = hands->count;

		hands->of[i].chunk = take(parent, first + i, &hands->of[i].mine);
		if (!hands->of[i].chunk)
			return -ENOMEM;
	}
	return 0;
}

/* Each loads what is his before he waits for others: so nobody waits in a circle. */
static void load_mine(struct parent *parent, struct hands *hands)
{
	for (size_t i = 0; i < hands->count; i++)
		if (hands->of[i].mine)
			start_loading(parent, hands->of[i].chunk);
	for (size_t i = 0; i < hands->count; i++)
		if (hands->of[i].mine)
			finish_loading(hands->of[i].chunk);
}

static int wait_for(const struct chunk *chunk)
{
	LOCK_SCOPE(&chunks_lock);
	while (chunk->state == LOADING)
		pthread_cond_wait(&chunk_is_there, &chunks_lock);
	return chunk->state == FAILED ? chunk->error : 0;
}

static void release_all(struct hands *hands)
{
	LOCK_SCOPE(&chunks_lock);
	for (size_t i = 0; i < hands->count; i++)
		release(hands->of[i].chunk);
}

/* From the chunks that are in hand, the first of which has `offset_bytes`. */
static int copy_out(struct hands *hands, unsigned char *to, size_t length_bytes, uint64_t offset_bytes)
{
	for (size_t i = 0; length_bytes > 0; i++) {
		size_t within = (size_t)(offset_bytes % PARENT_CHUNK_BYTES);
		size_t piece = (size_t)min_u64(length_bytes, PARENT_CHUNK_BYTES - within);
		int r = wait_for(hands->of[i].chunk);

		if (r < 0)
			return r;
		memcpy(to, hands->of[i].chunk->bytes + within, piece);
		to += piece;
		offset_bytes += piece;
		length_bytes -= piece;
	}
	return 0;
}

int parent_read(struct parent *parent, void *buffer, size_t length_bytes, uint64_t offset_bytes)
{
	uint64_t there = parent->size_bytes - min_u64(parent->size_bytes, offset_bytes);
	size_t length = (size_t)min_u64(length_bytes, there);
	uint64_t first = offset_bytes / PARENT_CHUNK_BYTES;
	CLEANUP_FREE struct hands *hands = NULL;
	size_t count;
	int r;

	memset((unsigned char *)buffer + length, 0, length_bytes - length);
	if (length == 0)
		return 0;
	count = (size_t)((offset_bytes + length - 1) / PARENT_CHUNK_BYTES - first + 1);
	hands = calloc(1, sizeof(*hands) + count * sizeof(hands->of[0]));
	if (!hands)
		return -ENOMEM;
	r = take_all(parent, hands, first, count);
	load_mine(parent, hands);
	if (r == 0)
		r = copy_out(hands, buffer, length, offset_bytes);
	release_all(hands);
	return r;
}
