/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request: one FUSE request on its way to an answer: what is asked, of what, by whom, and whether it was answered.
 *
 * Each kind of request has one function that tries it. It is called at once on
 * libfuse's thread, where it must not wait; if it has to, the request becomes a
 * job (queue.h) and the same function is called again where it may. Whoever
 * claims a request first answers it: its function, or the clock (C6). What was
 * answered by the clock is not tried again, and a try that is under way then
 * does not touch the kernel's request any more.
 *
 *   request_run.h     tries it, at once and as a job
 *   request_wait.h    how long it may wait
 *   request_answer.h  an error as its reader, the log and status hear of it
 *   request_pages.h   what the kernel has of a file, when a READ fails
 */
#pragma once

#include "fuse/inode.h"
#include "fuse/names/asked.h"
#include "fuse/names/view.h"
#include "fuse/process/api.h"
#include "fuse/process/handles.h"
#include "fuse/process/holds.h"
#include "fuse/process/options.h"
#include "fuse/process/queue.h"
#include "fuse/process/wait_share.h"

/* The mounted filesystem; constant after start. */
struct imagefs {
	const struct options *options;
	struct view *view;
	struct inodes *inodes;
	struct own_files *own;
	struct queue *queue;
	struct handles *handles; /* of open directories and status files; thread-safe */
	struct holds *holds;	 /* images that open files hold open; likewise */
	struct wait_shares shares;
	struct asked asked;
	struct lane root_lane; /* jobs about SOURCE itself, which may be one image (N5) */
	struct lane page_lane; /* jobs about the kernel's page cache */
	struct fuse_session *session;
	void (*answering)(struct imagefs *fs); /* called once, when the kernel is being answered */
	struct stat source_stat;
};

struct request;

/*
 * Try it. 0: it was answered. -EAGAIN, -EINPROGRESS: as in cache.h. Any other
 * negative value: an error for the caller of the system call.
 */
typedef int (*request_try)(struct request *request, struct cache_op *op);

/* A kind of request. Constant. */
struct request_call {
	const char *name; /* the system call's, for people */
	request_try attempt;
	bool walks; /* the kernel asks it on the way along a path, which it walks again after ESTALE */
	bool opens; /* a file: --debug=changes has a line for each */
	bool reads; /* a file */
	void (*late)(const struct request *request); /* the clock answered it; or NULL */
};

enum request_answer { REQUEST_OPEN, REQUEST_ANSWERED, REQUEST_LATE /* by the clock */ };

struct request {
	struct job job; /* first */
	fuse_req_t fuse; /* until it is answered */
	pid_t caller; /* the thread, or 0 */
	uid_t user;   /* its user */
	const struct request_call *call;
	struct imagefs *fs;
	struct inode *inode; /* referenced for the request */
	struct view_image *image; /* that the inode was last seen in: a user of it, or NULL; constant for a job */
	void *held;		  /* given back by `give_back` when the request is done */
	void (*give_back)(void *held);
	char *name;	     /* lookup */
	uint64_t offset_bytes;
	size_t length_bytes;
	struct fuse_file_info file;
	int64_t more_ns; /* what it is given beyond WAIT_REQUEST_NS, to list SOURCE; else 0 */
	int64_t slow_ns; /* as in struct job */

	uint64_t share;	     /* of a job: what its waits are counted for */
	bool serves_others;  /* of a job: the thread asks of other images too */
	struct request *next_read; /* of its inode's list, of request_pages.c */
	int64_t start_ns;    /* CLOCK_MONOTONIC: when it came, if that is known */
	int64_t deadline_ns; /* until then it waits for the image */
	unsigned looks;	     /* how often it was tried */
	atomic_bool waiting; /* it had to wait for its image */
	_Atomic enum request_answer answered;
	atomic_bool over; /* the clock answered it */
};

/* The lane of what it is about. */
struct lane *request_lane(const struct request *request);

/* What its waits are counted for: an image, by whichever of its names it is asked for. */
uint64_t request_share(const struct request *request);

/* May this thread answer? At most once true. Whoever gets false undoes what it did. */
bool request_claim(struct request *request);

/* May the clock? Likewise. */
bool request_claim_late(struct request *request);

bool request_is_answered(const struct request *request);

/* Give back what it holds: the inode, the image, and what request->give_back is for. */
void request_release(struct request *request);
