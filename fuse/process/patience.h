/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patience: how long one system call may wait, however many requests it makes.
 *
 * CONTRACT C6 promises 500 ms to a TFTP server, which counts by its own open(2);
 * but open("a/b/c") is a lookup of each name and an open, and each of them may
 * find the image in flux. What ended in EIO the kernel asks again when it
 * knew the name and looked it up to be sure, and goes on if it gets an answer; and lookups
 * of one name go one after the other, so that those who wait for the first
 * would each begin a wait of their own.
 *
 * FUSE does not say which requests belong together. But a thread makes one
 * system call at a time: its waiting is counted together as long as its requests
 * follow each other closely. And what was waited for in vain a moment ago is
 * looked at once more, but not waited for again; unless another thread asks that
 * was on its way here a moment ago, in an earlier name of its path, and so has not
 * stood in the kernel all that time. It may be the one that knows that the last
 * write is done (CONTRACT C1).
 *
 * Who is in the midst of a path and was not heard of for long has stood in the
 * kernel, behind another thread's lookup of the same name, and shares its deadline.
 *
 * These are guesses, that can only make a wait shorter or longer.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PATIENCE_SLOTS 256

struct patience {
	pthread_mutex_t lock; /* for all but reading `caller` */
	/* By thread; of two in one place the later one. */
	struct {
		_Atomic pid_t caller; /* 0: nobody */
		int64_t deadline_ns;  /* of its system call */
		int64_t answered_ns;  /* when its last request that waited was answered, or came */
		_Atomic bool stale;   /* one was answered ESTALE: the kernel begins the path again, once */
		uint64_t refused;     /* the question answered EIO, or 0: with another one another call begins */
	} calls[PATIENCE_SLOTS];
	/* By question, likewise. */
	struct {
		uint64_t question;
		int64_t refused_ns; /* when it was answered EIO after a wait */
		pid_t caller;	    /* who had waited; 0: not known */
	} questions[PATIENCE_SLOTS];
	/* The last lookup that was waited for: others may have stood behind it in the kernel. */
	struct {
		int64_t answered_ns, deadline_ns;
	} waited;
	/* By thread, without the lock: when it was last answered in the midst of a path. */
	struct {
		_Atomic pid_t caller;
		_Atomic int64_t answered_ns;
	} underway[PATIENCE_SLOTS];
};

void patience_init(struct patience *patience);

/*
 * How long a system call may wait. 500 ms are what CONTRACT C6 allows. A reader
 * may meet the wait twice: a lookup of a name waits in the kernel for another
 * reader's of the same name, before it comes here; what hangs rather than waits
 * is given a moment more (request.c); and a busy machine is late. Where writes
 * are reported, a burst of them and the settle time behind it have to fit in.
 */
#define PATIENCE_NS (300 * INT64_C(1000000))
#define PATIENCE_REPORTED_NS (420 * INT64_C(1000000))

/*
 * `caller` asks what has to wait, `allowed_ns` at most: until when? Now or in the
 * past: look once more, but do not wait.
 */
int64_t patience_begin(struct patience *patience, pid_t caller, uint64_t question, int64_t allowed_ns, int64_t now_ns);

/*
 * A request is being answered, and the system call may go on; before the answer,
 * which the next request follows. `waited`: patience_begin was asked about it.
 */
enum patience_place {
	PATIENCE_FIRST, /* the lookup that a path begins with */
	PATIENCE_PATH,	/* a later one */
	PATIENCE_OTHER, /* what may be the last thing that the call asks */
};
void patience_answered(struct patience *patience, pid_t caller, uint64_t question, enum patience_place place, bool waited,
		       int64_t now_ns);

/*
 * It is answered ESTALE. The kernel walks the whole path once more, and what is
 * stale then again the caller gets to see: so those requests are careful.
 */
void patience_stale(struct patience *patience, pid_t caller, uint64_t question, int64_t allowed_ns, int64_t now_ns);
bool patience_careful(struct patience *patience, pid_t caller);

/* The wait of `caller` was in vain: the answer is EIO. */
void patience_refused(struct patience *patience, pid_t caller, uint64_t question, int64_t now_ns);

/* The system call is over, or what the kernel asks next is the same question. */
void patience_ends(struct patience *patience, pid_t caller);
