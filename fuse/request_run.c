/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/names/walk.h"
#include "fuse/request_answer.h"
#include "fuse/request_pages.h"
#include "fuse/request_wait.h"

/* ---- one try ------------------------------------------------------------- */

/* For status: since when has nobody got what he asked for, because the image is being written? */
static void see_flux(const struct request *request, const struct cache_op *op, int error)
{
	struct view_image *image = request->image;

	if (!image || (error == 0 && !request->call->opens && !op->at_rest))
		return;
	if (error == 0 || error == -EIO)
		view_image_rest(image, queue_now_ns());
	else if (error == -EINPROGRESS && !op->busy && atomic_load(&image->cache))
		view_image_flux(image, queue_now_ns());
}

static int attempt(struct request *request, struct cache_op *op, bool may_block)
{
	struct lane *lane = request_lane(request);
	int64_t stale_ns = lane->stale_ns, waited_ns = lane->waited_ns;
	int error;

	*op = (struct cache_op){ .may_block = may_block, .over = &request->over };
	/* The kernel walks a path once more after ESTALE: this may be its last try. */
	op->final_retry = request->call->walks && stale_ns != 0 && queue_now_ns() - stale_ns < WAIT_FINAL_RETRY_NS;
	op->ask_rest = atomic_load(&request->waiting) || (waited_ns != 0 && waited_ns + WAIT_IMAGE_SPAN_NS > queue_now_ns());
	/* The first look may be another's who came later; the next ones are to see whether content lasted. */
	op->came_ns = may_block && request->looks <= 1 && request->start_ns ? request->start_ns : queue_now_ns();
	if (request->job.deadline_ns != 0)
		op->until_ns = request->job.deadline_ns + request->slow_ns;
	request->looks++;
	error = request->call->attempt(request, op);
	/* Before it waits, which gives the reader time to come here. */
	if (error == -EINPROGRESS && request->call->reads)
		request_pages_read_fails(request);
	/* What is found to make no sense was at rest: else it would be waited for. */
	if (op->at_rest || error == -EIO)
		lane->rest_ns = queue_now_ns();
	see_flux(request, op, error);
	return error;
}

/* ---- as a job ------------------------------------------------------------ */

static int64_t job_run(struct job *job)
{
	struct request *request = (struct request *)job;
	bool waited = atomic_load(&request->waiting);
	struct cache_op op;
	int error = attempt(request, &op, true);

	/* In the background. */
	if (!request->fuse)
		return error == -EINPROGRESS && op.busy && queue_now_ns() < request->deadline_ns ? op.retry_ns : 0;
	if (error == 0) {
		if (waited || request_kept_others_waiting(request))
			request_count_wait(request, false);
		request_trace_answered(request, &op, waited);
		return 0;
	}
	if ((error == -EINPROGRESS || error == -EAGAIN) && !request_is_answered(request) && request_may_wait(request, &op))
		return op.retry_ns > 0 ? op.retry_ns : error == -EAGAIN ? WAIT_RETRY_BUSY_NS : 1;
	/* On an image that is never quiet care is in vain. */
	if (error == -EINPROGRESS && op.final_retry && !request_is_answered(request)) {
		op = (struct cache_op){ .may_block = true };
		error = request->call->attempt(request, &op);
	}
	/* The device is late, though the clock has not told yet. */
	if (error == -ETIMEDOUT)
		request_lane(request)->late_ns = queue_now_ns();
	if (!request_is_answered(request) &&
	    (waited || error == -EINPROGRESS || error == -ETIMEDOUT || request_kept_others_waiting(request)))
		request_count_wait(request, error == -EINPROGRESS || error == -ETIMEDOUT);
	if (error != 0)
		request_answer_error(request, &op, error);
	return 0;
}

static void job_expire(struct job *job)
{
	struct request *request = (struct request *)job;
	int64_t now_ns;

	if (!request_claim_late(request))
		return;
	atomic_store(&request->over, true);
	now_ns = queue_now_ns();
	request_count_wait(request, true);
	request_lane(request)->late_ns = now_ns;
	request_answer_late(request);
	if (request->call->late)
		request->call->late(request);
}

static int64_t job_answered(const struct job *job)
{
	const struct request *request = (const struct request *)job;

	return request->more_ns > 0 ? walk_moved_ns() : request_device_answered_ns(request);
}

static void job_done(struct job *job)
{
	struct request *request = (struct request *)job;

	if (request->call->reads)
		request_pages_unlist(request);
	request_release(request);
	free(request->name);
	free(request);
}

/*
 * Take a request that stands on the stack of libfuse's thread to the queue. False: it has to be
 * answered, with EIO: for want of memory, or because it would have to wait for a device that
 * was late a moment ago, and has had its share.
 */
static bool become_job(struct request *now)
{
	int64_t start_ns = queue_now_ns(), left_ns;
	struct request *request;
	char *name = NULL;

	now->share = request_share(now);
	now->serves_others = wait_share_serves_others(&now->fs->shares, now->caller, start_ns);
	left_ns = request_left_for_device(now, start_ns);
	request = left_ns > 0 ? malloc(sizeof(*request)) : NULL;
	if (!request || (now->name && !(name = strdup(now->name)))) {
		free(request);
		return false;
	}
	if (now->call->reads)
		request_pages_move(now, request);
	else
		*request = *now;
	request->name = name;
	if (request->serves_others && request->call->reads)
		request->slow_ns = 0;
	request->start_ns = start_ns;
	request->deadline_ns = start_ns + WAIT_REQUEST_NS;
	request->job = (struct job){
		.run = job_run,
		.done = job_done,
		.expire = job_expire,
		.answered = job_answered,
		.lane = request_lane(request),
		.deadline_ns = start_ns + left_ns + request->more_ns,
		.slow_ns = request->slow_ns,
	};
	queue_submit(request->fs->queue, &request->job);
	return true;
}

void request_in_background(const struct request *now, const struct request_call *call)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return;
	request->fs = now->fs;
	request->call = call;
	request->inode = inodes_get(now->fs->inodes, now->inode->id);
	request->image = inodes_image(now->fs->inodes, now->inode);
	request->answered = REQUEST_ANSWERED; /* there is nobody to answer */
	request->deadline_ns = queue_now_ns() + WAIT_KEEP_LATE_NS;
	request->job = (struct job){ .run = job_run, .done = job_done, .lane = request_lane(request) };
	queue_submit(request->fs->queue, &request->job);
}

/* The first attempt may have found that the name leads to another image now. */
static void see_image(struct request *request)
{
	view_image_put(request->image);
	request->image = inodes_image(request->fs->inodes, request->inode);
}

void request_start(struct request *request, fuse_req_t fuse, uint64_t id, const struct request_call *call)
{
	struct cache_op op;
	int error;

	request->fuse = fuse;
	request->caller = fuse_req_ctx(fuse)->pid;
	request->user = fuse_req_ctx(fuse)->uid;
	request->call = call;
	request->fs = fuse_req_userdata(fuse);
	request->inode = inodes_get(request->fs->inodes, id);
	if (!request->inode) {
		fuse_reply_err(fuse, ESTALE);
		if (request->give_back)
			request->give_back(request->held);
		return;
	}
	request->image = inodes_image(request->fs->inodes, request->inode);
	if (request->image)
		wait_share_asked(&request->fs->shares, request->image->share, request->caller, queue_now_ns);
	if (call->reads)
		request_pages_list(request);
	error = attempt(request, &op, false);
	if (error != 0)
		see_image(request);
	if (error == 0)
		request_trace_answered(request, &op, false);
	/* What it would have to wait for may hang already: refused now, or after the same wait. */
	if ((error == -EAGAIN || error == -EINPROGRESS) && !queue_lane_stuck(request_lane(request)) && become_job(request))
		return;
	if (error != 0)
		request_answer_error(request, &op, error);
	if (call->reads)
		request_pages_unlist(request);
	request_release(request);
}
