/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/changes/reporter.h"
#include "cache/changes/write_log.h"
#include "fuse/names/image_open.h"
#include "fuse/process/log.h"

/* So much of a stream is kept for an image that does not answer: some thousand records. */
#define BACKLOG_BYTES ((size_t)256 << 10)

/* More jobs than this for one image, and its device hangs: it is not waited for. */
#define SAVINGS_MAX 64

struct report {
	struct job job; /* first: to attach it; while `attaching` the job's, as the next four */
	fuse_req_t fuse; /* the open to be answered, or NULL */
	struct fuse_file_info file;
	report_answer answer;
	atomic_bool answered;
	struct view_image *attaching_to; /* a user, since the job is in its lane; or NULL */
	struct control_base *control; /* constant */
	char *name;		 /* constant */
	struct view_identity identity; /* constant: of the image that the name led to when it was opened; or 0 */
	_Atomic unsigned references; /* the open file, and who attaches it */
	struct report *next, **link; /* control->reports_lock: the list of those that are open */
	pthread_mutex_t lock;	 /* held while bytes are taken in: their order is the stream's */
	/* All of these under the lock. */
	struct view_image *image;  /* a user; NULL: not found yet */
	struct reporter *reporter; /* NULL: not attached */
	bool attaching, closed, deaf;
	bool counted;		/* as unattached: by the control, and */
	struct view_image *counted_by; /* by this image, if it was known */
	int64_t tried_ns;
	pid_t thread; /* who wrote the backlog */
	char *backlog;
	size_t backlog_bytes;
};

/* ---- life ----------------------------------------------------------------- */

/* Under the lock. Status tells how many there are. */
static void count_unattached(struct report *report, bool unattached)
{
	if (report->counted == unattached)
		return;
	report->counted = unattached;
	if (unattached) {
		report->counted_by = report->image;
		atomic_fetch_add(&report->control->unattached, 1);
		if (report->counted_by)
			atomic_fetch_add(&report->counted_by->unattached, 1);
	} else {
		atomic_fetch_sub(&report->control->unattached, 1);
		if (report->counted_by)
			atomic_fetch_sub(&report->counted_by->unattached, 1);
	}
}

struct report *report_new(struct control_base *control, const struct control_node *node)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report || !(report->name = strdup(node->name))) {
		free(report);
		return NULL;
	}
	report->control = control;
	report->identity = node->image;
	report->image = view_images_met(view_images(control->view), &node->image);
	atomic_store(&report->references, 1);
	pthread_mutex_init(&report->lock, NULL);
	count_unattached(report, true);
	LOCK_SCOPE(&control->reports_lock);
	report->next = control->reports;
	report->link = &control->reports;
	if (report->next)
		report->next->link = &report->next;
	control->reports = report;
	return report;
}

static void report_put(struct report *report)
{
	if (atomic_fetch_sub(&report->references, 1) != 1)
		return;
	count_unattached(report, false);
	reporter_free(report->reporter);
	view_image_put(report->image);
	pthread_mutex_destroy(&report->lock);
	free(report->backlog);
	free(report->name);
	free(report);
}

static void unlist(struct report *report)
{
	LOCK_SCOPE(&report->control->reports_lock);
	*report->link = report->next;
	if (report->next)
		report->next->link = report->link;
}

/* Its server is gone, whatever a job of it still waits for. */
void report_close(struct report *report)
{
	struct reporter *reporter;

	unlist(report);
	pthread_mutex_lock(&report->lock);
	report->closed = true;
	reporter = STEAL_POINTER(report->reporter);
	if (!report->attaching)
		count_unattached(report, false);
	pthread_mutex_unlock(&report->lock);
	if (reporter)
		log_debug(LOG_DEBUG_CHANGES, "%s: a server has closed its control file", report->name);
	reporter_free(reporter);
	report_put(report);
}

/* ---- finding somebody who listens ----------------------------------------- */

static void answer_open(struct job *job)
{
	struct report *report = (struct report *)job;

	if (!atomic_exchange(&report->answered, true))
		report->answer(report->fuse, &report->file);
}

/* The image of its name, once it answers. Only one job does this for one report. */
static int find_image(struct report *report)
{
	struct cache_op op = { .may_block = true };
	struct view_target target;
	int error;

	if (report->image)
		return 0;
	error = view_find_image(report->control->view, &op, report->name, &target);
	if (error != 0)
		return error;
	/* Who may report of the one may not of the other. */
	if ((report->identity.device != 0 || report->identity.inode != 0) &&
	    !view_identity_equal(&report->identity, &target.image->identity)) {
		view_image_put(target.image);
		return -ESTALE;
	}
	LOCK_SCOPE(&report->lock);
	report->image = target.image;
	return 0;
}

/* Another file has its place by now. */
static void forget_image(struct report *report)
{
	LOCK_SCOPE(&report->lock);
	count_unattached(report, false);
	view_image_put(STEAL_POINTER(report->image));
	count_unattached(report, true);
}

/* Under the lock: tell what was written before there was anybody to tell. */
static void tell_backlog(struct report *report, struct reporter *reporter)
{
	if (report->backlog_bytes == 0)
		return;
	reporter_take_late(reporter, report->thread, report->backlog, report->backlog_bytes);
	free(STEAL_POINTER(report->backlog));
	report->backlog_bytes = 0;
}

static int attach(struct report *report)
{
	struct cache_op op = { .may_block = true };
	struct reporter *reporter;
	struct cache_image *cache;
	struct write_log *log;
	int error = find_image(report);

	if (error == 0)
		error = view_image_open(report->image, &op, &cache);
	if (error == -ESTALE)
		forget_image(report);
	if (error != 0)
		return error;
	log = cache_image_log(cache);
	error = log ? reporter_new(log, &reporter) : -ENOTSUP;
	if (error != 0)
		return error;
	pthread_mutex_lock(&report->lock);
	tell_backlog(report, reporter);
	if (!report->closed && !report->deaf)
		report->reporter = STEAL_POINTER(reporter);
	if (!report->deaf)
		count_unattached(report, false);
	pthread_mutex_unlock(&report->lock);
	reporter_free(reporter);
	return 0;
}

static int64_t attach_run(struct job *job)
{
	struct report *report = (struct report *)job;
	int error = attach(report);

	if (error == 0)
		log_debug(LOG_DEBUG_CHANGES, "%s: a server's reports are taken in", report->name);
	else
		log_line(LOG_LEVEL_INFO, "%s: a server's reports cannot be taken in yet: %s", report->name,
			 strerror(-error));
	answer_open(job);
	return 0;
}

static void attach_done(struct job *job)
{
	struct report *report = (struct report *)job;

	struct view_image *image;

	pthread_mutex_lock(&report->lock);
	report->attaching = false;
	report->tried_ns = queue_now_ns();
	image = STEAL_POINTER(report->attaching_to);
	if (report->closed)
		count_unattached(report, false);
	pthread_mutex_unlock(&report->lock);
	view_image_put(image);
	report_put(report);
}

/* Under the lock; `fuse` is NULL, or the open that waits. False: it has to be answered by the caller. */
static bool start_attaching(struct report *report, fuse_req_t fuse, const struct fuse_file_info *file,
			    report_answer answer)
{
	struct lane *lane = report->image ? &report->image->reports_lane :
					    control_lane_of_name(report->control, report->name);

	report->tried_ns = queue_now_ns();
	if (queue_lane_stuck(lane))
		return false;
	report->attaching_to = report->image ? view_image_ref(report->image) : NULL;
	report->fuse = fuse;
	report->answer = answer;
	if (file)
		report->file = *file;
	atomic_store(&report->answered, fuse == NULL);
	report->job = (struct job){
		.run = attach_run,
		.done = attach_done,
		.expire = answer_open,
		.lane = lane,
		.deadline_ns = report->tried_ns + WAIT_CONTROL_OPEN_NS,
		.goes_on = true,
	};
	report->attaching = true;
	atomic_fetch_add(&report->references, 1);
	queue_submit(report->control->queue, &report->job);
	return true;
}

/* Under the lock: what it had of its image is the caller's to give back. */
static void detach(struct report *report, struct view_image **image, struct reporter **reporter)
{
	count_unattached(report, false);
	*image = STEAL_POINTER(report->image);
	*reporter = STEAL_POINTER(report->reporter);
	count_unattached(report, !report->deaf);
	report->tried_ns = queue_now_ns();
}

void reports_let_go(struct control_base *control, struct view_image *image)
{
	LOCK_SCOPE(&control->reports_lock);
	for (struct report *report = control->reports; report; report = report->next) {
		struct view_image *held = NULL;
		struct reporter *reporter = NULL;

		pthread_mutex_lock(&report->lock);
		if (report->image == image && !report->attaching)
			detach(report, &held, &reporter);
		pthread_mutex_unlock(&report->lock);
		reporter_free(reporter);
		view_image_put(held); /* not the last user: the caller is one */
	}
}

void report_open(struct report *report, fuse_req_t fuse, const struct fuse_file_info *file, report_answer answer)
{
	bool started;

	/* Once it is answered the file may be closed, on another thread, before this one is done with the lock. */
	atomic_fetch_add(&report->references, 1);
	pthread_mutex_lock(&report->lock);
	started = start_attaching(report, fuse, file, answer);
	pthread_mutex_unlock(&report->lock);
	/* Not to be waited for: the next writes will try again. */
	if (!started)
		answer(fuse, file);
	report_put(report);
}

/* ---- writes --------------------------------------------------------------- */

/* A write that is answered when old bytes are kept. */
struct write {
	struct job job; /* first */
	fuse_req_t fuse;
	size_t length_bytes;
	struct saving *saving;
	struct view_image *image; /* a user */
	atomic_bool answered;
};

/* An image with a reporter is open. */
static void give_up(struct view_image *image, struct saving *saving)
{
	write_log_count_lost(cache_image_log(atomic_load(&image->cache)), saving_give_up(saving));
}

static int64_t write_run(struct job *job)
{
	struct write *write = (struct write *)job;

	saving_run(write->saving);
	if (!atomic_exchange(&write->answered, true))
		fuse_reply_write(write->fuse, write->length_bytes);
	return 0;
}

static void write_expire(struct job *job)
{
	struct write *write = (struct write *)job;

	if (atomic_exchange(&write->answered, true))
		return;
	give_up(write->image, write->saving);
	fuse_reply_write(write->fuse, write->length_bytes);
}

static void write_done(struct job *job)
{
	struct write *write = (struct write *)job;

	atomic_fetch_sub(&write->image->savings, 1);
	saving_free(write->saving);
	view_image_put(write->image);
	free(write);
}

/* Answer when the bytes are kept, or the bound is over. False: it cannot be waited for. */
static bool answer_when_saved(struct report *report, struct view_image *image, fuse_req_t fuse, size_t length_bytes,
			      struct saving *saving, int64_t now_ns)
{
	struct write *write;

	if (atomic_load(&image->savings) >= SAVINGS_MAX || !(write = calloc(1, sizeof(*write))))
		return false;
	atomic_fetch_add(&image->savings, 1);
	write->fuse = fuse;
	write->length_bytes = length_bytes;
	write->saving = saving;
	write->image = view_image_ref(image);
	write->job = (struct job){
		.run = write_run,
		.done = write_done,
		.expire = write_expire,
		.lane = &image->reports_lane,
		.deadline_ns = now_ns + WAIT_PRESERVE_NS,
		.spares_lane = true,
	};
	queue_submit(report->control->queue, &write->job);
	return true;
}

/* Under the lock: nobody listens yet. */
static void keep_for_later(struct report *report, pid_t thread, const char *bytes, size_t length_bytes)
{
	char *grown = NULL;

	if (report->deaf)
		return;
	if (length_bytes <= BACKLOG_BYTES - report->backlog_bytes)
		grown = realloc(report->backlog, report->backlog_bytes + length_bytes);
	if (!grown) {
		/* What is missing makes the rest worthless. */
		log_line(LOG_LEVEL_WARNING, "%s: a server's reports are not listened to: the image did not answer in time",
			 report->name);
		report->deaf = true;
		free(STEAL_POINTER(report->backlog));
		report->backlog_bytes = 0;
		return;
	}
	memcpy(grown + report->backlog_bytes, bytes, length_bytes);
	report->backlog = grown;
	report->backlog_bytes += length_bytes;
	report->thread = thread;
	if (!report->attaching && queue_now_ns() - report->tried_ns > WAIT_CONTROL_AGAIN_NS)
		start_attaching(report, NULL, NULL, NULL);
}

void report_write(struct report *report, fuse_req_t fuse, const char *bytes, size_t length_bytes)
{
	int64_t now_ns = queue_now_ns();
	pid_t thread = fuse_req_ctx(fuse)->pid;
	struct view_image *image = NULL;
	struct saving *saving = NULL;
	bool waits;

	pthread_mutex_lock(&report->lock);
	if (report->reporter)
		saving = reporter_take(report->reporter, thread, bytes, length_bytes);
	else
		keep_for_later(report, thread, bytes, length_bytes);
	if (saving)
		image = view_image_ref(report->image);
	pthread_mutex_unlock(&report->lock);
	waits = saving && answer_when_saved(report, image, fuse, length_bytes, saving, now_ns);
	if (saving && !waits) {
		give_up(image, saving);
		saving_free(saving);
	}
	if (!waits)
		fuse_reply_write(fuse, length_bytes);
	view_image_put(image);
}
