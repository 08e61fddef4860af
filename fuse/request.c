/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes/reports.h"
#include "fuse/process/log.h"

/* What does not answer at all is found out by the clock, this much after the patience ended (C6). */
#define HUNG_NS (35 * INT64_C(1000000))

/* A file that may have to be read whole first is given the time that takes at 50 MB/s. */
#define HUNG_NS_PER_BYTE 20
#define LISTING_NS (10 * INT64_C(1000000000))

static bool claim(struct request *request)
{
	return !atomic_exchange(&request->answered, true);
}

/* ---- what it means for the caller's patience ----------------------------- */

/* Requests of a system call that opens or asks for something, rather than reads. */
static bool counted(const struct request *request)
{
	return request->attempt != try_read && request->attempt != try_statfs;
}

/* What is asked: a number that another question hardly has. */
static uint64_t question(const struct request *request)
{
	uint64_t hash = request->inode->id ^ (uint64_t)(uintptr_t)request->attempt;

	for (const char *at = request->name; at && *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
	return hash;
}

static int64_t allowed_ns(const struct request *request)
{
	struct cache_image *cache = request->inode->image ? atomic_load(&request->inode->image->cache) : NULL;
	struct reports *reports = cache ? cache_image_reports(cache) : NULL;

	return reports && reports_exact(reports) ? PATIENCE_REPORTED_NS : PATIENCE_NS;
}

static enum patience_place place_of(const struct request *request)
{
	if (request->attempt != try_lookup)
		return PATIENCE_OTHER;
	return request->inode->kind == INODE_ROOT ? PATIENCE_FIRST : PATIENCE_PATH;
}

static void count_answer(const struct request *request, int error)
{
	struct patience *patience = &request->fs->patience;
	pid_t caller = fuse_req_ctx(request->fuse)->pid;
	bool opens = request->attempt == try_open || request->attempt == try_opendir;

	if (!counted(request))
		return;
	if (request->patience_ns != 0 && error == EIO)
		patience_refused(patience, caller, question(request), queue_now_ns());
	else if (error == ESTALE)
		patience_stale(patience, caller, question(request), allowed_ns(request), queue_now_ns());
	else if ((error == 0 && opens) || error != 0)
		patience_ends(patience, caller);
	else
		patience_answered(patience, caller, question(request), place_of(request), request->patience_ns != 0,
				  queue_now_ns());
}

static bool is_careful(const struct request *request)
{
	return request->fuse && counted(request) && patience_careful(&request->fs->patience, fuse_req_ctx(request->fuse)->pid);
}

bool request_claim(struct request *request)
{
	if (!claim(request))
		return false;
	count_answer(request, 0);
	return true;
}

/* CONTRACT E: what a reader may see. ENOMEM or EAGAIN would make a TFTP server spin. */
static int visible_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -EROFS:
	case -EACCES:
	case -ESTALE:
		return -error;
	default:
		return EIO;
	}
}

static void complain(const struct request *request, const char *why)
{
	struct view_image *image = request->inode ? request->inode->image : NULL;
	struct cache_image *cache;
	const char *problem;
	char text[256];

	if (!image)
		return;
	request_failed(request);
	cache = atomic_load(&image->cache);
	problem = cache ? cache_image_problem(cache) : NULL;
	snprintf(text, sizeof(text), "%s%s%s", request->name ? request->name : "", request->name ? ": " : "",
		 problem ? problem : why);
	view_image_complain(image, text);
	if (log_allowed(&image->last_complaint))
		log_line(LOG_LEVEL_WARNING, "%s: %s", image->name, text);
}

static void answer_error(struct request *request, int error)
{
	if (!claim(request))
		return;
	count_answer(request, visible_error(error));
	if (error == -ENOENT)
		request_absent(request);
	if (visible_error(error) == EIO)
		complain(request, error == -EINPROGRESS ? "being changed for too long" : strerror(-error));
	fuse_reply_err(request->fuse, visible_error(error));
}

/* The lane of what the request is about. */
static struct lane *lane_of(const struct request *request)
{
	const char *name = request->name;

	if (request->inode->image)
		return &request->inode->image->lane;
	if (!name && request->inode->kind == INODE_LINK)
		name = request->inode->name;
	return name ? queue_lane_of_name(request->fs->queue, name) : &request->fs->root_lane;
}

/* ---- as a job ------------------------------------------------------------ */

static int64_t job_run(struct job *job)
{
	struct request *request = (struct request *)job;
	struct cache_op op = { .may_block = true, .final_retry = is_careful(request) };
	int error = request->attempt(request, &op);

	if (error == 0)
		return 0;
	if ((error == -EINPROGRESS || error == -EAGAIN) && !atomic_load(&request->answered) &&
	    queue_now_ns() + op.retry_ns < (op.busy ? job->deadline_ns : request->patience_ns))
		return op.retry_ns > 0 ? op.retry_ns : 1;
	/* On an image that is never quiet care is in vain. */
	if (error == -EINPROGRESS && op.final_retry && !atomic_load(&request->answered)) {
		op = (struct cache_op){ .may_block = true };
		error = request->attempt(request, &op);
	}
	if (error != 0)
		answer_error(request, error);
	return 0;
}

static void job_expire(struct job *job)
{
	struct request *request = (struct request *)job;

	if (!claim(request))
		return;
	count_answer(request, EIO);
	complain(request, "the device does not answer");
	fuse_reply_err(request->fuse, EIO);
}

static void job_done(struct job *job)
{
	struct request *request = (struct request *)job;

	inodes_put(request->fs->inodes, request->inode);
	free(request->name);
	free(request);
}

static int64_t extra_ns(const struct request *request)
{
	struct cache_attributes attributes;

	/* Ten thousand images are opened and looked at; each of them has its own patience (view_list.c). */
	if (request->attempt == try_opendir && request->inode->kind == INODE_ROOT)
		return LISTING_NS;
	if (!request->large || request->inode->kind != INODE_FILE)
		return 0;
	cache_version_attributes(request->inode->version, &attributes);
	return (int64_t)attributes.size_bytes * HUNG_NS_PER_BYTE;
}

/* Until when the request may wait. A read is a system call of its own. */
static int64_t patience_of(const struct request *request, int64_t now_ns)
{
	return patience_begin(&request->fs->patience, counted(request) ? fuse_req_ctx(request->fuse)->pid : 0,
			      question(request), allowed_ns(request), now_ns);
}

/* Take a request that stands on the stack of libfuse's thread to the queue. */
static void become_job(const struct request *now)
{
	struct request *request = malloc(sizeof(*request));
	int64_t start_ns = queue_now_ns(), patience_ns = patience_of(now, start_ns);

	if (!request)
		goto no_memory;
	memcpy(request, now, sizeof(*request));
	if (now->name && !(request->name = strdup(now->name)))
		goto no_memory;
	request->patience_ns = patience_ns;
	request->job = (struct job){
		.run = job_run,
		.done = job_done,
		.expire = job_expire,
		.lane = lane_of(request),
		.deadline_ns = (patience_ns > start_ns ? patience_ns : start_ns) + HUNG_NS + extra_ns(request),
	};
	queue_submit(request->fs->queue, &request->job);
	return;
no_memory:
	free(request);
	inodes_put(now->fs->inodes, now->inode);
	fuse_reply_err(now->fuse, EIO);
}

void request_in_background(const struct request *now, request_try attempt)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return;
	request->fs = now->fs;
	request->attempt = attempt;
	request->inode = inodes_get(now->fs->inodes, now->inode->id);
	atomic_store(&request->answered, true); /* there is nobody to answer */
	request->job = (struct job){ .run = job_run, .done = job_done, .lane = lane_of(request) };
	queue_submit(request->fs->queue, &request->job);
}

void request_start(struct request *request, fuse_req_t fuse, uint64_t id, request_try attempt)
{
	struct cache_op op = { .may_block = false };
	int error;

	request->fuse = fuse;
	request->caller = fuse_req_ctx(fuse)->pid;
	request->attempt = attempt;
	request->fs = fuse_req_userdata(fuse);
	request->inode = inodes_get(request->fs->inodes, id);
	if (!request->inode) {
		fuse_reply_err(fuse, ESTALE);
		return;
	}
	op.final_retry = is_careful(request);
	error = attempt(request, &op);
	if ((error == -EAGAIN || error == -EINPROGRESS) && !queue_lane_stuck(lane_of(request))) {
		become_job(request);
		return;
	}
	/* What it would have to wait for hangs already: refused now, or after the same wait. */
	if (error != 0)
		answer_error(request, error);
	inodes_put(request->fs->inodes, request->inode);
}
