/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "fuse/names/links.h"
#include "fuse/names/own.h"
#include "fuse/names/walk.h"
#include "fuse/process/log.h"
#include "fuse/request_asked.h"

/* The lane of what the request is about. */
static struct lane *lane_of(const struct request *request)
{
	const char *name = request->name;

	if (view_is_single(request->fs->view))
		return &request->fs->root_lane;
	if (request->image)
		return &request->image->lane;
	if (request->inode->top->name)
		name = request->inode->top->name;
	return name ? queue_lane_of_name(request->fs->queue, name) : &request->fs->root_lane;
}

/* What its waits are counted for: an image, by whichever of its names it is asked for. */
static uint64_t share_of(const struct request *request)
{
	const char *name = request->inode->top->name ? request->inode->top->name : request->name;

	return request->image ? request->image->share : view_share_of(name ? name : "");
}

/* ---- answers ------------------------------------------------------------- */

static bool claim(struct request *request, enum request_answer answer)
{
	enum request_answer open = REQUEST_OPEN;

	return atomic_compare_exchange_strong(&request->answered, &open, answer);
}

bool request_claim(struct request *request)
{
	return claim(request, REQUEST_ANSWERED);
}

static bool is_answered(const struct request *request)
{
	return atomic_load(&request->answered) != REQUEST_OPEN;
}

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

static void trace_answered(const struct request *request, const struct cache_op *op, bool waited)
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

/* ---- pages in the kernel -------------------------------------------------- */

/* Of the lists of READs that are not answered, and of how far pages are to be dropped. */
static pthread_mutex_t reads_lock = PTHREAD_MUTEX_INITIALIZER;

struct forgetting {
	struct job job; /* first */
	struct imagefs *fs;
	struct inode *inode; /* a reference */
	uint64_t end_bytes;  /* reads_lock: all before it are to be dropped, */
	uint64_t left_bytes; /* and those before this are left */
};

static void list_read(struct request *request)
{
	LOCK_SCOPE(&reads_lock);
	request->next_read = request->inode->reads;
	request->inode->reads = request;
}

/* `instead` takes its place, or nobody does (NULL). */
static void unlist_read(const struct request *request, struct request *instead)
{
	struct request **at = &request->inode->reads;

	LOCK_SCOPE(&reads_lock);
	while (*at != request)
		at = &(*at)->next_read;
	*at = instead ? instead : request->next_read;
	if (instead)
		instead->next_read = request->next_read;
}

/* Under the lock. Where the last READ ends that is under way before `end_bytes`. */
static uint64_t free_of_reads(const struct inode *inode, uint64_t end_bytes)
{
	uint64_t start_bytes = 0;

	for (const struct request *read = inode->reads; read; read = read->next_read)
		if (!is_answered(read) && read->offset_bytes < end_bytes)
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

/*
 * A READ fails, or may: the kernel drops what it has of the file before it. Who reads on from
 * the last page that it has to the first that it cannot have would get a short read, and
 * tftpd-hpa takes that for the end of the file (C2); now the error comes first. What is behind
 * it is left alone, so that this waits for no READ that came with it.
 */
static void read_fails(const struct request *request)
{
	forget_pages_before(request, request->offset_bytes);
}

/*
 * Whoever opens it looks its name up once more and finds another inode, and the kernel lets go of this one: with all its
 * pages, 0.1 ms for each megabyte, while he waits. Unless they are being dropped already: then it is this that
 * has the inode last. Of a file that somebody else has open the pages may be all that is left.
 */
static void open_is_stale(const struct request *request)
{
	if (!inodes_is_open(request->fs->inodes, request->inode))
		forget_pages_before(request, INT64_MAX);
}

/* The request was claimed. */
static void reply_error(const struct request *request, const struct cache_op *op, int error, const char *why)
{
	const struct visible *answer = visible(error);
	char text[1200] = "";

	if (answer->error == ESTALE)
		lane_of(request)->stale_ns = queue_now_ns();
	if (answer->error == ENOENT && request->name)
		request_absent(&request->fs->asked, request->caller, request->image, request->inode, request->name);
	if (answer->error == EIO)
		complain(request, error, why, text, sizeof(text));
	if (request->call->reads)
		read_fails(request);
	else if (request->call->opens && answer->error == ESTALE)
		open_is_stale(request);
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

static void answer_error(struct request *request, const struct cache_op *op, int error)
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

/* ---- as a job ------------------------------------------------------------ */

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
	struct lane *lane = lane_of(request);
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
		read_fails(request);
	/* What is found to make no sense was at rest: else it would be waited for. */
	if (op->at_rest || error == -EIO)
		lane->rest_ns = queue_now_ns();
	see_flux(request, op, error);
	return error;
}

/* How long a request that came then may wait in all. */
static int64_t share_left(const struct request *request, int64_t start_ns)
{
	struct wait_shares *shares = &request->fs->shares;
	const struct lane *lane = lane_of(request);
	int64_t own_ns = wait_share_left(shares, request->share, request->caller, lane->rest_ns, start_ns);
	int64_t all_ns = wait_share_left(shares, request->share, WAIT_SHARE_ALL, lane->rest_ns, start_ns);

	return own_ns < all_ns ? own_ns : all_ns;
}

/* The wait is over, and was in vain, or not. */
static void count_wait(const struct request *request, bool in_vain)
{
	struct wait_shares *shares = &request->fs->shares;
	int64_t now_ns = queue_now_ns();

	lane_of(request)->waited_ns = now_ns;
	if (in_vain)
		wait_share_count_in_vain(shares, request->share, request->start_ns, now_ns);
	wait_share_count(shares, request->share, request->caller, request->start_ns, now_ns);
}

/* Was the image being written within the span? */
static bool in_flux(const struct request *request, int64_t now_ns)
{
	const struct lane *lane = lane_of(request);

	return lane->flux_ns != 0 && now_ns - lane->flux_ns < WAIT_IMAGE_SPAN_NS;
}

/*
 * Is the time that it took to be counted though it waited for no writer? What a server of
 * other images waited for the device it kept them waiting. READs of an image at rest take
 * what an ordinary disk takes; of one that is written they are work that it makes, and a
 * server may have a hundred transfers of it.
 */
static bool kept_others_waiting(const struct request *request)
{
	int64_t now_ns = queue_now_ns();

	return request->serves_others &&
	       (!request->call->reads || in_flux(request, now_ns) || now_ns - request->start_ns > WAIT_BRIEF_NS);
}

/* May it wait for its image until op->retry_ns from now? */
static bool may_wait(struct request *request, const struct cache_op *op)
{
	int64_t until_ns = queue_now_ns() + op->retry_ns, start_ns = request->start_ns;

	/* For our own reading, which keeps nobody else waiting: each of many reads in a row may, and of slow storage it is given more. */
	if (op->busy && !request->serves_others)
		return until_ns < request->deadline_ns + request->slow_ns;
	atomic_store(&request->waiting, true);
	lane_of(request)->flux_ns = queue_now_ns();
	return until_ns < request->deadline_ns && until_ns - start_ns <= share_left(request, start_ns);
}

/* Storage is slow, and answers. As long as what the request waits for comes nearer, it is given as much time again. */
static void see_flow(struct request *request, const struct cache_op *op)
{
	int64_t now_ns = queue_now_ns();

	if (op->moves)
		atomic_store(&request->moved_ns, now_ns);
	if (!op->flows || request->slow_ns == 0)
		return;
	request->slow_ns = now_ns + WAIT_SLOW_READ_NS - request->deadline_ns;
	atomic_store(&request->job.slow_ns, request->slow_ns);
}

static int64_t job_run(struct job *job)
{
	struct request *request = (struct request *)job;
	bool waited = atomic_load(&request->waiting);
	struct cache_op op;
	int error = attempt(request, &op, true);

	see_flow(request, &op);
	/* In the background. */
	if (!request->fuse)
		return error == -EINPROGRESS && op.busy && queue_now_ns() < request->deadline_ns ? op.retry_ns : 0;
	if (error == 0) {
		if (waited || kept_others_waiting(request))
			count_wait(request, false);
		trace_answered(request, &op, waited);
		return 0;
	}
	if ((error == -EINPROGRESS || error == -EAGAIN) && !is_answered(request) && may_wait(request, &op))
		return op.retry_ns > 0 ? op.retry_ns : error == -EAGAIN ? WAIT_RETRY_BUSY_NS : 1;
	/* On an image that is never quiet care is in vain. */
	if (error == -EINPROGRESS && op.final_retry && !is_answered(request)) {
		op = (struct cache_op){ .may_block = true };
		error = request->call->attempt(request, &op);
	}
	/* The device is late, though the clock has not told yet. */
	if (error == -ETIMEDOUT)
		lane_of(request)->late_ns = queue_now_ns();
	if (!is_answered(request) &&
	    (waited || error == -EINPROGRESS || error == -ETIMEDOUT || kept_others_waiting(request)))
		count_wait(request, error == -EINPROGRESS || error == -ETIMEDOUT);
	if (error != 0)
		answer_error(request, &op, error);
	return 0;
}

/* When the device of its image last answered anybody; 0: never. */
static int64_t device_answered_ns(const struct request *request)
{
	struct cache_image *cache = request->image ? atomic_load(&request->image->cache) : NULL;

	return cache ? cache_image_answered_ns(cache) : 0;
}

/* When the clock answers it, from now on; 0: it is refused at once. */
static int64_t left_for_device(const struct request *request, int64_t now_ns)
{
	const struct lane *lane = lane_of(request);
	bool late = lane->late_ns != 0 && now_ns - lane->late_ns < WAIT_IMAGE_SPAN_NS;
	bool answers = lane->progress_ns > lane->late_ns || device_answered_ns(request) > lane->late_ns;
	int64_t left_ns;

	if (!request->serves_others && (!late || answers || request->slow_ns != 0))
		return WAIT_REQUEST_NS + WAIT_HUNG_NS;
	left_ns = share_left(request, now_ns);
	if (left_ns > 0)
		return left_ns + WAIT_HUNG_NS;
	return late ? 0 : in_flux(request, now_ns) ? WAIT_BRIEF_FLUX_NS : WAIT_BRIEF_NS;
}

static void job_expire(struct job *job)
{
	struct request *request = (struct request *)job;
	int64_t now_ns;

	if (!claim(request, REQUEST_LATE))
		return;
	atomic_store(&request->over, true);
	now_ns = queue_now_ns();
	count_wait(request, true);
	lane_of(request)->late_ns = now_ns;
	reply_error(request, &(struct cache_op){ .rule = device_silent }, -EIO, device_silent);
	if (request->call->late)
		request->call->late(request);
}

static int64_t job_answered(const struct job *job)
{
	const struct request *request = (const struct request *)job;

	int64_t moved_ns = atomic_load(&request->moved_ns), answered_ns;

	if (request->more_ns > 0)
		return walk_moved_ns();
	answered_ns = device_answered_ns(request);
	return answered_ns > moved_ns ? answered_ns : moved_ns;
}

static void release(struct request *request)
{
	if (request->give_back)
		request->give_back(request->held);
	view_image_put(request->image);
	inodes_put(request->fs->inodes, request->inode);
}

static void job_done(struct job *job)
{
	struct request *request = (struct request *)job;

	if (request->call->reads)
		unlist_read(request, NULL);
	release(request);
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

	now->share = share_of(now);
	now->serves_others = wait_share_serves_others(&now->fs->shares, now->caller, start_ns);
	left_ns = left_for_device(now, start_ns);
	request = left_ns > 0 ? malloc(sizeof(*request)) : NULL;
	if (!request)
		return false;
	memcpy(request, now, sizeof(*request));
	if (request->serves_others && request->call->reads)
		request->slow_ns = 0;
	if (now->name && !(request->name = strdup(now->name))) {
		free(request);
		return false;
	}
	request->start_ns = start_ns;
	request->deadline_ns = start_ns + WAIT_REQUEST_NS;
	request->job = (struct job){
		.run = job_run,
		.done = job_done,
		.expire = job_expire,
		.answered = job_answered,
		.lane = lane_of(request),
		.deadline_ns = start_ns + left_ns + request->more_ns,
		.slow_ns = request->slow_ns,
	};
	if (request->call->reads)
		unlist_read(now, request);
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
	request->job = (struct job){ .run = job_run, .done = job_done, .lane = lane_of(request) };
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
		list_read(request);
	error = attempt(request, &op, false);
	if (error != 0)
		see_image(request);
	if (error == 0)
		trace_answered(request, &op, false);
	/* What it would have to wait for may hang already: refused now, or after the same wait. */
	if ((error == -EAGAIN || error == -EINPROGRESS) && !queue_lane_stuck(lane_of(request)) && become_job(request))
		return;
	if (error != 0)
		answer_error(request, &op, error);
	if (call->reads)
		unlist_read(request, NULL);
	release(request);
}
