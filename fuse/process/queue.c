/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/waits.h"

#define THREADS_MAX 2048
#define IDLE_THREADS_KEPT 2
#define NAME_LANES 1024

/* Who answers what expired finds a thread, also when that many hang. */
#define EXPIRY_THREADS 16
#define STACK_BYTES ((size_t)256 << 10)

struct queue {
	pthread_mutex_t lock; /* never held while a job runs */
	pthread_cond_t work;  /* a lane was listed */
	pthread_cond_t time;  /* the delayed list or the deadlines changed */
	pthread_cond_t expiry; /* a job expired */
	/* All of these under the lock. */
	struct lane *first_lane, *last_lane; /* lanes with a job that may run now */
	struct job *delayed;		     /* sorted by due_ns */
	struct job *soonest, *latest;	     /* jobs with a deadline, by check_ns */
	struct job *first_expired, *last_expired; /* to be answered */
	unsigned listed;		     /* how many lanes, and expired jobs */
	unsigned threads, idle;
	unsigned least_idle, surplus; /* of `idle` since then; and so many threads are to end */
	int64_t least_since_ns;
	int64_t wake_ns; /* when the timekeeper looks next */
	struct lane name_lanes[NAME_LANES];
};

int64_t queue_now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

/* ---- lanes; all under the lock ------------------------------------------- */

static void ensure_thread(struct queue *queue);

/* False: it has nothing that may run now, or is listed already. Else a thread must take one of the lanes. */
static bool enlist(struct queue *queue, struct lane *lane)
{
	if (lane->listed || !lane->first || lane->stuck > 0 || lane->running >= (lane->width ? lane->width : LANE_WIDTH))
		return false;
	lane->listed = true;
	lane->next = NULL;
	if (queue->last_lane)
		queue->last_lane->next = lane;
	else
		queue->first_lane = lane;
	queue->last_lane = lane;
	queue->listed++;
	return true;
}

static void list_lane(struct queue *queue, struct lane *lane)
{
	if (!enlist(queue, lane))
		return;
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

/* ---- deadlines; all under the lock ---------------------------------------- */

static void untime_job(struct queue *queue, struct job *job)
{
	if (!job->timed)
		return;
	job->timed = false;
	*(job->sooner ? &job->sooner->later : &queue->soonest) = job->later;
	*(job->later ? &job->later->sooner : &queue->latest) = job->sooner;
}

/* Most deadlines are the same time from now, so that its place is near the end. */
static void time_job(struct queue *queue, struct job *job, int64_t check_ns)
{
	struct job *sooner = queue->latest;

	while (sooner && sooner->check_ns > check_ns)
		sooner = sooner->sooner;
	job->timed = true;
	job->check_ns = check_ns;
	job->sooner = sooner;
	job->later = sooner ? sooner->later : queue->soonest;
	*(sooner ? &sooner->later : &queue->soonest) = job;
	*(job->later ? &job->later->sooner : &queue->latest) = job;
	wake_timekeeper(queue, check_ns);
}

/* One of the threads answers it: the clock itself does nothing that may be slow. */
static void hand_out_expired(struct queue *queue, struct job *job)
{
	job->expired = job->expiring = true;
	job->next_expired = NULL;
	*(queue->last_expired ? &queue->last_expired->next_expired : &queue->first_expired) = job;
	queue->last_expired = job;
	queue->listed++;
	ensure_thread(queue);
	pthread_cond_signal(&queue->work);
	pthread_cond_signal(&queue->expiry);
}

/* Its time is over. A lane where other jobs come back is slow; one where none does hangs. */
static void overdue(struct queue *queue, struct job *job, int64_t now_ns)
{
	int64_t progress_ns = job->lane->progress_ns, latest_ns = job->deadline_ns + job->slow_ns;
	int64_t answered_ns = job->answered ? job->answered(job) : 0;

	progress_ns = (answered_ns > progress_ns ? answered_ns : progress_ns) + WAIT_PROGRESS_NS;
	if (!job->expired && progress_ns > now_ns && latest_ns > now_ns) {
		time_job(queue, job, progress_ns < latest_ns ? progress_ns : latest_ns);
		return;
	}
	if (!job->expired)
		hand_out_expired(queue, job);
	if (!job->running || job->spares_lane)
		return;
	if (progress_ns > now_ns) {
		time_job(queue, job, progress_ns);
	} else {
		job->stuck = true;
		job->lane->stuck++;
	}
}

/* ---- threads ------------------------------------------------------------- */

/*
 * A little to do all the time wakes one thread after the other, so that none of them idles for long: those are too many that
 * were not needed at any time of a while.
 */
static bool is_surplus(struct queue *queue)
{
	int64_t now_ns = queue_now_ns();

	if (now_ns - queue->least_since_ns >= WAIT_IDLE_THREAD_NS) {
		queue->surplus = queue->least_idle > IDLE_THREADS_KEPT ? queue->least_idle - IDLE_THREADS_KEPT : 0;
		queue->least_idle = queue->idle;
		queue->least_since_ns = now_ns;
	}
	if (queue->surplus == 0)
		return false;
	queue->surplus--;
	return true;
}

/* Wait for something to do; false when this thread may end. */
static bool wait_for_work(struct queue *queue)
{
	while (!queue->first_lane && !queue->first_expired) {
		struct timespec until = clock_timespec(queue_now_ns() + WAIT_IDLE_THREAD_NS);
		int result;

		if (is_surplus(queue))
			return false;
		queue->idle++;
		result = pthread_cond_timedwait(&queue->work, &queue->lock, &until);
		queue->idle--;
		if (queue->idle < queue->least_idle)
			queue->least_idle = queue->idle;
		if (result == ETIMEDOUT && !queue->first_lane && !queue->first_expired &&
		    queue->idle >= IDLE_THREADS_KEPT)
			return false;
	}
	return true;
}

/* The last that the queue does with it, unless another thread is in its expire: then that does it. */
static void end_job(struct queue *queue, struct job *job)
{
	job->ended = true;
	if (job->expiring)
		return;
	untime_job(queue, job);
	pthread_mutex_unlock(&queue->lock);
	job->done(job);
	pthread_mutex_lock(&queue->lock);
}

static void expire_one(struct queue *queue)
{
	struct job *job = queue->first_expired;

	queue->first_expired = job->next_expired;
	if (!queue->first_expired)
		queue->last_expired = NULL;
	queue->listed--;
	pthread_mutex_unlock(&queue->lock);
	job->expire(job);
	pthread_mutex_lock(&queue->lock);
	job->expiring = false;
	if (job->ended)
		end_job(queue, job);
}

/* Whoever asked was answered, and nobody else wants it. */
static bool in_vain(const struct job *job)
{
	return job->expired && !job->goes_on;
}

static void run_one(struct queue *queue, struct job *job)
{
	struct lane *lane = job->lane;
	int64_t again_ns = 0;

	if (!in_vain(job)) {
		pthread_mutex_unlock(&queue->lock);
		again_ns = job->run(job);
		pthread_mutex_lock(&queue->lock);
		if (again_ns <= 0)
			atomic_store(&lane->progress_ns, queue_now_ns());
	}
	job->running = false;
	lane->running--;
	if (job->stuck)
		lane->stuck--;
	job->stuck = false;
	/*
	 * This thread takes a lane next, so none is woken for this one. It ends the job first, which is short: who waits
	 * in the lane has the image, so that it does not end with the job.
	 */
	enlist(queue, lane);
	if (again_ns > 0 && !in_vain(job))
		delay_job(queue, job, queue_now_ns() + again_ns);
	else
		end_job(queue, job);
}

static void *worker(void *argument)
{
	struct queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	while (wait_for_work(queue)) {
		if (queue->first_expired)
			expire_one(queue);
		else
			run_one(queue, take_job(queue));
	}
	queue->threads--;
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* Where no more threads are to be had, and all that there are hang: what expires is answered by this one. */
static void *answerer(void *argument)
{
	struct queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		while (!queue->first_expired)
			pthread_cond_wait(&queue->expiry, &queue->lock);
		expire_one(queue);
	}
	return NULL;
}

/*
 * A thread for each lane that waits: a thread that idles now may already be meant
 * for another. Without a new one the work waits for those there are.
 */
static void ensure_thread(struct queue *queue)
{
	if (queue->idle >= queue->listed ||
	    queue->threads >= THREADS_MAX + (queue->first_expired ? EXPIRY_THREADS : 0))
		return;
	if (thread_start(worker, queue, STACK_BYTES) == 0)
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

/* Under the lock: what ran out of time. Returns when to look again. */
static int64_t expire_late(struct queue *queue, int64_t now_ns)
{
	while (queue->soonest && queue->soonest->check_ns <= now_ns) {
		struct job *job = queue->soonest;

		untime_job(queue, job);
		overdue(queue, job, now_ns);
	}
	return queue->soonest ? queue->soonest->check_ns : INT64_MAX;
}

static void *timekeeper(void *argument)
{
	struct queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		int64_t now_ns = queue_now_ns();
		int64_t due_ns = release_due(queue, now_ns), late_ns = expire_late(queue, now_ns);
		int64_t next_ns = due_ns < late_ns ? due_ns : late_ns;
		struct timespec until = clock_timespec(next_ns);

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
	int error;

	if (!queue)
		return -ENOMEM;
	pthread_mutex_init(&queue->lock, NULL);
	clock_condition_init(&queue->work);
	clock_condition_init(&queue->time);
	clock_condition_init(&queue->expiry);
	queue->wake_ns = INT64_MAX;
	LOCK_SCOPE(&queue->lock);
	error = thread_start(timekeeper, queue, STACK_BYTES);
	if (error == 0)
		error = thread_start(answerer, queue, STACK_BYTES);
	/* Later there may be none to be had. */
	for (; error == 0 && queue->threads < IDLE_THREADS_KEPT; queue->threads++)
		error = thread_start(worker, queue, STACK_BYTES);
	if (error != 0)
		return error; /* with threads that have it: the daemon ends */
	*out = queue;
	return 0;
}

struct lane *queue_lane_of_name(struct queue *queue, const char *name)
{
	return &queue->name_lanes[text_hash(name, 0) % NAME_LANES];
}

bool queue_lane_stuck(const struct lane *lane)
{
	return atomic_load(&lane->stuck) > 0;
}

unsigned queue_threads_max(void)
{
	return THREADS_MAX + EXPIRY_THREADS;
}

void queue_submit(struct queue *queue, struct job *job)
{
	LOCK_SCOPE(&queue->lock);
	append_job(queue, job);
	if (job->deadline_ns != 0 && job->expire)
		time_job(queue, job, job->deadline_ns);
}
