/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define THREADS_MAX 2048
#define IDLE_THREADS_KEPT 2
#define IDLE_SECONDS 5
#define NAME_LANES 1024

/* A lane in which nothing came back for this long makes no progress. */
#define PROGRESS_NS (400 * INT64_C(1000000))
#define STACK_BYTES ((size_t)256 << 10)

struct queue {
	pthread_mutex_t lock; /* never held while a job runs */
	pthread_cond_t work;  /* a lane was listed */
	pthread_cond_t time;  /* the delayed list or the deadlines changed */
	/* All of these under the lock. */
	struct lane *first_lane, *last_lane; /* lanes with a job that may run now */
	struct job *delayed;		     /* sorted by due_ns */
	struct job *active;		     /* every job, in no order */
	unsigned listed;		     /* how many lanes */
	unsigned threads, idle;
	int64_t wake_ns; /* when the timekeeper looks next */
	struct lane name_lanes[NAME_LANES];
};

int64_t queue_now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* ---- lanes; all under the lock ------------------------------------------- */

static void ensure_thread(struct queue *queue);

static void list_lane(struct queue *queue, struct lane *lane)
{
	if (lane->listed || !lane->first || lane->stuck > 0 || lane->running >= (lane->width ? lane->width : LANE_WIDTH))
		return;
	lane->listed = true;
	lane->next = NULL;
	if (queue->last_lane)
		queue->last_lane->next = lane;
	else
		queue->first_lane = lane;
	queue->last_lane = lane;
	queue->listed++;
	ensure_thread(queue);
	pthread_cond_signal(&queue->work);
}

static void append_job(struct queue *queue, struct job *job)
{
	struct lane *lane = job->lane;

	job->next = NULL;
	if (lane->last)
		lane->last->next = job;
	else
		lane->first = job;
	lane->last = job;
	list_lane(queue, lane);
}

/* The next job of the next lane in turn. */
static struct job *take_job(struct queue *queue)
{
	struct lane *lane = queue->first_lane;
	struct job *job = lane->first;

	queue->first_lane = lane->next;
	if (!queue->first_lane)
		queue->last_lane = NULL;
	lane->listed = false;
	queue->listed--;
	lane->first = job->next;
	if (!lane->first)
		lane->last = NULL;
	lane->running++;
	job->running = true;
	list_lane(queue, lane);
	return job;
}

static void wake_timekeeper(struct queue *queue, int64_t at_ns)
{
	if (at_ns < queue->wake_ns)
		pthread_cond_signal(&queue->time);
}

static void delay_job(struct queue *queue, struct job *job, int64_t due_ns)
{
	struct job **at = &queue->delayed;

	job->due_ns = due_ns;
	while (*at && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	job->next = *at;
	*at = job;
	wake_timekeeper(queue, due_ns);
}

static void forget_job(struct job *job)
{
	*job->active_link = job->active_next;
	if (job->active_next)
		job->active_next->active_link = job->active_link;
}

static void remember_job(struct queue *queue, struct job *job)
{
	job->active_next = queue->active;
	job->active_link = &queue->active;
	if (queue->active)
		queue->active->active_link = &job->active_next;
	queue->active = job;
}

/* ---- threads ------------------------------------------------------------- */

/* Wait for a lane with work; false when this thread may end. */
static bool wait_for_work(struct queue *queue)
{
	while (!queue->first_lane) {
		struct timespec until = timespec_of(queue_now_ns() + IDLE_SECONDS * INT64_C(1000000000));
		int result;

		queue->idle++;
		result = pthread_cond_timedwait(&queue->work, &queue->lock, &until);
		queue->idle--;
		if (result == ETIMEDOUT && !queue->first_lane && queue->idle >= IDLE_THREADS_KEPT)
			return false;
	}
	return true;
}

static void run_one(struct queue *queue, struct job *job)
{
	int64_t again_ns;

	pthread_mutex_unlock(&queue->lock);
	again_ns = job->run(job);
	pthread_mutex_lock(&queue->lock);
	job->running = false;
	job->lane->running--;
	if (again_ns <= 0)
		job->lane->progress_ns = queue_now_ns();
	if (job->stuck)
		job->lane->stuck--;
	job->stuck = false;
	list_lane(queue, job->lane);
	if (again_ns > 0) {
		delay_job(queue, job, queue_now_ns() + again_ns);
		return;
	}
	forget_job(job);
	pthread_mutex_unlock(&queue->lock);
	job->done(job);
	pthread_mutex_lock(&queue->lock);
}

static void *worker(void *argument)
{
	struct queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	while (wait_for_work(queue))
		run_one(queue, take_job(queue));
	queue->threads--;
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static int start_thread(void *(*body)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	error = pthread_create(&thread, &attributes, body, argument);
	pthread_attr_destroy(&attributes);
	return -error;
}

/*
 * A thread for each lane that waits: a thread that idles now may already be meant
 * for another. Without a new one the work waits for those there are.
 */
static void ensure_thread(struct queue *queue)
{
	if (queue->idle >= queue->listed || queue->threads >= THREADS_MAX)
		return;
	if (start_thread(worker, queue) == 0)
		queue->threads++;
}

/* ---- time ---------------------------------------------------------------- */

/* Under the lock: move what is due to its lane. Returns when to look again. */
static int64_t release_due(struct queue *queue, int64_t now_ns)
{
	while (queue->delayed && queue->delayed->due_ns <= now_ns) {
		struct job *job = queue->delayed;

		queue->delayed = job->next;
		append_job(queue, job);
	}
	return queue->delayed ? queue->delayed->due_ns : INT64_MAX;
}

/* A disk that serves many readers slowly is not one that hangs. */
static int64_t expiry_of(const struct job *job)
{
	int64_t progress_ns = job->lane->progress_ns + PROGRESS_NS, latest_ns = job->deadline_ns + QUEUE_LATE_NS;

	if (job->strict || progress_ns <= job->deadline_ns)
		return job->deadline_ns;
	return progress_ns < latest_ns ? progress_ns : latest_ns;
}

/* Under the lock: answer what ran out of time. Returns when to look again. */
static int64_t expire_late(struct queue *queue, int64_t now_ns)
{
	int64_t next_ns = INT64_MAX;

	for (struct job *job = queue->active; job; job = job->active_next) {
		if (job->deadline_ns == 0 || !job->expire)
			continue;
		if (expiry_of(job) > now_ns) {
			if (expiry_of(job) < next_ns)
				next_ns = expiry_of(job);
			continue;
		}
		job->deadline_ns = 0;
		if (job->running && !job->strict) {
			job->stuck = true;
			job->lane->stuck++;
		}
		job->expire(job);
	}
	return next_ns;
}

static void *timekeeper(void *argument)
{
	struct queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		int64_t now_ns = queue_now_ns();
		int64_t due_ns = release_due(queue, now_ns), late_ns = expire_late(queue, now_ns);
		int64_t next_ns = due_ns < late_ns ? due_ns : late_ns;
		struct timespec until = timespec_of(next_ns);

		queue->wake_ns = next_ns;
		if (next_ns == INT64_MAX)
			pthread_cond_wait(&queue->time, &queue->lock);
		else
			pthread_cond_timedwait(&queue->time, &queue->lock, &until);
	}
	return NULL;
}

/* ---- interface ----------------------------------------------------------- */

int queue_new(struct queue **out)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	pthread_condattr_t monotonic;
	int error;

	if (!queue)
		return -ENOMEM;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->work, &monotonic);
	pthread_cond_init(&queue->time, &monotonic);
	pthread_condattr_destroy(&monotonic);
	queue->wake_ns = INT64_MAX;
	error = start_thread(timekeeper, queue);
	if (error != 0) {
		free(queue);
		return error;
	}
	*out = queue;
	return 0;
}

struct lane *queue_lane_of_name(struct queue *queue, const char *name)
{
	size_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return &queue->name_lanes[hash % NAME_LANES];
}

bool queue_lane_stuck(const struct lane *lane)
{
	return atomic_load(&lane->stuck) > 0;
}

void queue_submit(struct queue *queue, struct job *job)
{
	LOCK_SCOPE(&queue->lock);
	remember_job(queue, job);
	append_job(queue, job);
	if (job->deadline_ns != 0 && job->expire)
		wake_timekeeper(queue, job->deadline_ns);
}
