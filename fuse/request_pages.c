/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_pages.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"

/* Of the lists of READs that are not answered, and of how far pages are to be dropped. */
static pthread_mutex_t reads_lock = PTHREAD_MUTEX_INITIALIZER;

struct forgetting {
	struct job job; /* first */
	struct imagefs *fs;
	struct inode *inode; /* a reference */
	uint64_t end_bytes;  /* reads_lock: all before it are to be dropped, */
	uint64_t left_bytes; /* and those before this are left */
};

void request_pages_list(struct request *request)
{
	LOCK_SCOPE(&reads_lock);
	request->next_read = request->inode->reads;
	request->inode->reads = request;
}

/* Under the lock. */
static struct request **place_of(const struct request *request)
{
	struct request **at = &request->inode->reads;

	while (*at != request)
		at = &(*at)->next_read;
	return at;
}

/* Copied under the lock, too: who ends a READ that is next in the list writes to this one. */
void request_pages_move(const struct request *request, struct request *copy)
{
	LOCK_SCOPE(&reads_lock);
	*copy = *request;
	*place_of(request) = copy;
}

void request_pages_unlist(const struct request *request)
{
	LOCK_SCOPE(&reads_lock);
	*place_of(request) = request->next_read;
}

/* Under the lock. Where the last READ ends that is under way before `end_bytes`. */
static uint64_t free_of_reads(const struct inode *inode, uint64_t end_bytes)
{
	uint64_t start_bytes = 0;

	for (const struct request *read = inode->reads; read; read = read->next_read)
		if (!request_is_answered(read) && read->offset_bytes < end_bytes)
			start_bytes = max_u64(start_bytes, min_u64(end_bytes, read->offset_bytes + read->length_bytes));
	return start_bytes;
}

/* What can be dropped now, from the end on, each page once. False: nothing is left. */
static bool next_pages(struct forgetting *forgetting, uint64_t *start_bytes, uint64_t *end_bytes)
{
	LOCK_SCOPE(&reads_lock);
	if (forgetting->left_bytes == 0) {
		forgetting->inode->forgetting = NULL;
		return false;
	}
	*end_bytes = forgetting->left_bytes;
	*start_bytes = forgetting->left_bytes = free_of_reads(forgetting->inode, *end_bytes);
	return true;
}

/*
 * The kernel would wait for READs of these pages that are under way, and not even die while it
 * does: if the daemon is killed then it stays, with the descriptor whose end would end that READ
 * (mount_break_silent). So what is under way here is left out until it is answered. For READs that
 * have not come here yet the kernel still waits: not on libfuse's threads.
 */
static int64_t forgetting_run(struct job *job)
{
	struct forgetting *forgetting = (struct forgetting *)job;
	uint64_t start_bytes, end_bytes;

	if (!next_pages(forgetting, &start_bytes, &end_bytes))
		return 0;
	if (start_bytes < end_bytes)
		fuse_lowlevel_notify_inval_inode(forgetting->fs->session, forgetting->inode->id, (off_t)start_bytes,
						 (off_t)(end_bytes - start_bytes));
	return WAIT_RETRY_BUSY_NS;
}

static void forgetting_done(struct job *job)
{
	struct forgetting *forgetting = (struct forgetting *)job;

	inodes_put(forgetting->fs->inodes, forgetting->inode);
	free(forgetting);
}

/* Under the lock. One is at it already: as far as that, too. */
static void forget_further(struct forgetting *forgetting, uint64_t end_bytes)
{
	if (end_bytes > forgetting->end_bytes)
		forgetting->end_bytes = forgetting->left_bytes = end_bytes;
}

/* In the background; beginning at the end. */
static void forget_pages_before(const struct request *request, uint64_t end_bytes)
{
	struct forgetting *made = end_bytes > 0 ? calloc(1, sizeof(*made)) : NULL, *surplus = made;

	if (!made)
		return;
	made->fs = request->fs;
	made->job = (struct job){
		.run = forgetting_run,
		.done = forgetting_done,
		.lane = &request->fs->page_lane,
	};
	pthread_mutex_lock(&reads_lock);
	if (!request->inode->forgetting) {
		made->inode = inodes_get(request->fs->inodes, request->inode->id);
		request->inode->forgetting = STEAL_POINTER(surplus);
	}
	forget_further(request->inode->forgetting, end_bytes);
	pthread_mutex_unlock(&reads_lock);
	if (surplus)
		free(surplus);
	else
		queue_submit(request->fs->queue, &made->job);
}

void request_pages_read_fails(const struct request *request)
{
	forget_pages_before(request, request->offset_bytes);
}

void request_pages_open_is_stale(const struct request *request)
{
	if (!inodes_is_open(request->fs->inodes, request->inode))
		forget_pages_before(request, INT64_MAX);
}
