/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: requests that have to wait, without anybody waiting for them.
 *
 * libfuse's threads never block: a handler tries its request at once, and what
 * would have to wait (a device, the lock of an image, an image in flux) becomes
 * a job. Jobs of one image form a lane, and only so many of a lane run at a
 * time; so an image that hangs takes its own lane with it and no other's (S2).
 * Threads come as they are needed and go when they idle.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct queue;
struct job;

/*
 * Embedded in whatever jobs are about. Zero is ready for use; all fields are the
 * queue's, but for `width`, and the last five, which are the requests' (fuse/request.h).
 */
struct lane {
	struct job *first, *last;
	unsigned width; /* how many at a time; 0: LANE_WIDTH */
	unsigned running;
	_Atomic unsigned stuck; /* running jobs that are late, while nothing came back */
	_Atomic int64_t progress_ns; /* when a job of it last came back */
	bool listed;
	struct lane *next;
	_Atomic int64_t late_ns;  /* when the clock had to answer a request that waited for the device; 0: never */
	_Atomic int64_t waited_ns; /* when a wait of a request ended; likewise */
	_Atomic int64_t flux_ns;   /* when a request last found the image being written; likewise */
	_Atomic int64_t rest_ns;   /* when the image was last seen at rest after one; likewise */
	_Atomic int64_t stale_ns; /* when a request was answered ESTALE; likewise */
};

/* So many jobs of one lane at a time: enough reads in flight to keep a disk busy. */
#define LANE_WIDTH 6

struct job {
	/*
	 * Do it, or as much as can be done. 0: done; else run again after so many nanoseconds.
	 * Not called any more once the job expired, unless it goes_on.
	 */
	int64_t (*run)(struct job *job);
	/* It is done: free it. The last call. Never blocks: its thread takes the next job of the lane behind it. */
	void (*done)(struct job *job);
	/*
	 * The deadline passed and run has not ended: answer the request without it.
	 * Called once at most, never after done, on one of the queue's threads and
	 * without its lock; perhaps while run is under way. NULL: nothing happens.
	 */
	void (*expire)(struct job *job);
	/* When what it waits for last answered anybody: as good as a job of its lane that came back. Never blocks; or NULL. */
	int64_t (*answered)(const struct job *job);
	struct lane *lane;   /* stays until done is called */
	int64_t deadline_ns; /* CLOCK_MONOTONIC; 0 for none */
	int64_t slow_ns;     /* while other jobs of the lane come back: so much later */
	bool spares_lane;    /* to be late says nothing about the lane */
	bool goes_on;	     /* it is run also after it expired: not only for who was answered then */

	/* The queue's. */
	int64_t due_ns;	  /* in the delayed list */
	int64_t check_ns; /* in the list of deadlines: when it is looked at */
	bool running, stuck, expired, expiring, ended;
	struct job *next; /* of its lane, or in the delayed list */
	struct job *next_expired;
	struct job *sooner, *later; /* the list of deadlines */
	bool timed;		    /* is it in that? */
};

int64_t queue_now_ns(void);

/* -errno. Starts threads, so: after the daemon forked. Where no more can be had later, these do it. */
int queue_new(struct queue **queue);

/*
 * The lane of what has no image yet: a name in SOURCE. Names share lanes, but
 * there are so many that what hangs behind one of them meets few others.
 */
struct lane *queue_lane_of_name(struct queue *queue, const char *name);

/*
 * Does something hang in this lane? Then nothing new is started in it until that
 * returns: whoever comes is better refused at once than after the same wait.
 */
bool queue_lane_stuck(const struct lane *lane);

/* So many threads it has at most, and those who answer what expired. Constant. */
unsigned queue_threads_max(void);

/* Takes over the job. */
void queue_submit(struct queue *queue, struct job *job);
