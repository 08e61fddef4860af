/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuse/names/own.h"
#include "fuse/process/log.h"
#include "fuse/request_asked.h"
#include "fuse/request_pages.h"

/* CONTRACT E: what a reader may see. ENOMEM or EAGAIN would make a TFTP server spin. */
static const struct visible {
	int error;
	const char *name;
} visible_errors[] = {
	{ ENOENT, "ENOENT" }, { ENOTDIR, "ENOTDIR" }, { EISDIR, "EISDIR" }, { EROFS, "EROFS" },
	{ EACCES, "EACCES" }, { ESTALE, "ESTALE" },   { EIO, "EIO" }, /* the last one stands for all others */
};

static const struct visible *visible(int error)
{
	const struct visible *at = visible_errors;

	while (at->error != -error && at->error != EIO)
		at++;
	return at;
}

/* "config.txt: open", or "readdir" of what has no path. */
static const char *subject(const struct request *request, char *text, size_t size_bytes)
{
	char buffer[1024];
	const char *path = request_path(request->inode, request->name, buffer, sizeof(buffer));

	snprintf(text, size_bytes, "%s%s%s", path ? path : "", path ? ": " : "", request->call->name);
	return text;
}

/* --debug=changes: what had to wait or was refused, and what was opened. */
static void trace(const struct request *request, const struct cache_op *op, const char *result)
{
	const struct view_image *image = request->image;
	char text[1100];

	log_line(LOG_LEVEL_DEBUG, "%s: %s: %s after %.1f ms, looked at %u %s%s%s", image ? image->name : "/",
		 subject(request, text, sizeof(text)), result,
		 (double)(request->start_ns ? queue_now_ns() - request->start_ns : 0) / 1e6, request->looks,
		 request->looks == 1 ? "time" : "times", op && op->rule ? ": " : "", op && op->rule ? op->rule : "");
}

void request_trace_answered(const struct request *request, const struct cache_op *op, bool waited)
{
	if (log_debugs(LOG_DEBUG_CHANGES) && request->fuse && (waited || request->call->opens) &&
	    atomic_load(&request->answered) == REQUEST_ANSWERED)
		trace(request, op, "answered");
}

static const char device_silent[] = "the device does not answer";

/*
 * EIO: what status and the log say of it. The answer does not wait for the log, which may be
 * slow; the text is that of the line, empty when there is to be none.
 */
static void complain(const struct request *request, int error, const char *why, char *text, size_t size_bytes)
{
	struct view_image *image = request->image;
	struct cache_image *cache;
	const char *problem, *unreached;
	size_t length;

	text[0] = '\0';
	if (!image)
		return;
	if (request->name || request->call->opens)
		request_failed(&request->fs->asked, request->caller, image, request->inode, request->name);
	cache = atomic_load(&image->cache);
	problem = cache ? cache_image_problem(cache) : NULL;
	unreached = cache ? cache_image_unreached(cache) : NULL;
	if (own_why_not(error) && (request->name || request->inode != request->inode->top))
		length = (size_t)snprintf(text, size_bytes, "%s.d/%s", request->inode->top->name,
					  request->name ? request->name : request->inode->name);
	else if (own_why_not(error))
		length = (size_t)snprintf(text, size_bytes, "%s.d", request->inode->top->name);
	else
		length = strlen(subject(request, text, size_bytes));
	snprintf(text + length, size_bytes - length, ": EIO: %s", problem && !own_why_not(error) ? problem : why);
	view_image_complain(image, text, !unreached && (problem || (error == -EIO && why != device_silent)));
	if (!log_allowed(&image->last_complaint))
		text[0] = '\0';
}

/* The request was claimed. */
static void reply_error(const struct request *request, const struct cache_op *op, int error, const char *why)
{
	const struct visible *answer = visible(error);
	char text[1200] = "";

	if (answer->error == ESTALE)
		request_lane(request)->stale_ns = queue_now_ns();
	if (answer->error == ENOENT && request->name)
		request_absent(&request->fs->asked, request->caller, request->image, request->inode, request->name);
	if (answer->error == EIO)
		complain(request, error, why, text, sizeof(text));
	if (request->call->reads)
		request_pages_read_fails(request);
	else if (request->call->opens && answer->error == ESTALE)
		request_pages_open_is_stale(request);
	fuse_reply_err(request->fuse, answer->error);
	if (text[0] != '\0')
		log_line(LOG_LEVEL_WARNING, "%s: %s", request->image->name, text);
	if (log_debugs(LOG_DEBUG_CHANGES) && answer->error != ENOENT)
		trace(request, op, answer->name);
}

/* What EIO means that comes from reading the image; imagefsctl check says more. */
static const char *damage(const struct request *request)
{
	return request->call->opens || request->call->reads ? "its clusters make no sense, or cannot be read" :
							      "its directory makes no sense, or cannot be read";
}

void request_answer_error(struct request *request, const struct cache_op *op, int error)
{
	if (request_claim(request))
		reply_error(request, op, error,
			    error == -EINPROGRESS ? "being changed for too long" :
			    error == -EAGAIN || error == -ETIMEDOUT ? device_silent :
			    error == -EDQUOT	  ? "its share of memory is in use" :
			    error == -EIO	  ? damage(request) :
			    own_why_not(error)	  ? own_why_not(error) :
						    strerror(-error));
}

void request_answer_late(const struct request *request)
{
	reply_error(request, &(struct cache_op){ .rule = device_silent }, -EIO, device_silent);
}
