/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue's clock: deadlines that stand (CONTRACT P: a report is answered within 50 ms), and those that give time. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#include "fuse/process/queue.h"

#define MS INT64_C(1000000)

/* Room for a busy machine, far below what would be given to a lane that gets on. */
#define LATE_MS 150

struct task {
	struct job job; /* first */
	int64_t takes_ns;
	_Atomic int64_t expired_ns, run_ns, done_ns;
};

static struct queue *queue;

static void make_queue(void)
{
	cr_assert_eq(queue_new(&queue), 0);
}

static void pause_ns(int64_t ns)
{
	struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&time, NULL);
}

static int64_t run(struct job *job)
{
	struct task *task = (struct task *)job;

	task->run_ns = queue_now_ns();
	pause_ns(task->takes_ns);
	return 0;
}

static void done(struct job *job)
{
	((struct task *)job)->done_ns = queue_now_ns();
}

static void expire(struct job *job)
{
	((struct task *)job)->expired_ns = queue_now_ns();
}

static void submit(struct task *task, struct lane *lane, int64_t takes_ms, int64_t deadline_ms, bool strict)
{
	task->takes_ns = takes_ms * MS;
	task->job = (struct job){ .run = run, .done = done, .expire = expire, .lane = lane, .strict = strict };
	if (deadline_ms > 0)
		task->job.deadline_ns = queue_now_ns() + deadline_ms * MS;
	queue_submit(queue, &task->job);
}

static void wait_for(_Atomic int64_t *when_ns)
{
	for (int i = 0; i < 5000 && *when_ns == 0; i++)
		pause_ns(MS);
	cr_assert_neq(*when_ns, 0, "it never happened");
}

/* Others in the lane come back all the time, and give time to the one that does not insist. */
Test(queue, a_strict_deadline_stands_however_the_lane_gets_on, .init = make_queue)
{
	static struct lane lane = { .width = 3 };
	static struct task patient, strict, others[30];
	int64_t start_ns = queue_now_ns();

	submit(&patient, &lane, 350, 50, false);
	submit(&strict, &lane, 350, 50, true);
	for (size_t i = 0; i < 30; i++)
		submit(&others[i], &lane, 10, 0, false);
	wait_for(&strict.done_ns);
	wait_for(&patient.done_ns);
	cr_assert_neq(strict.expired_ns, 0);
	cr_assert_lt(strict.expired_ns - start_ns, (50 + LATE_MS) * MS);
	cr_assert_geq(strict.expired_ns - start_ns, 50 * MS);
	cr_assert_eq(patient.expired_ns, 0);
}

Test(queue, a_strict_job_that_is_late_does_not_close_its_lane, .init = make_queue)
{
	static struct lane lane, closed;
	static struct task strict, next, stuck, kept_out;

	submit(&strict, &lane, 600, 20, true);
	submit(&stuck, &closed, 600, 20, false);
	wait_for(&strict.expired_ns);
	wait_for(&stuck.expired_ns);
	cr_assert(!queue_lane_stuck(&lane));
	cr_assert(queue_lane_stuck(&closed));
	submit(&next, &lane, 0, 0, false);
	submit(&kept_out, &closed, 0, 0, false);
	wait_for(&next.done_ns);
	cr_assert_eq(strict.done_ns, 0);
	wait_for(&kept_out.done_ns);
	cr_assert_neq(stuck.done_ns, 0);
}

/* All threads of the lane hang: who waits is answered all the same, and ended in the end. */
Test(queue, a_strict_job_that_did_not_get_its_turn_expires_too, .init = make_queue)
{
	static struct lane lane = { .width = 1 };
	static struct task first, waiting;
	int64_t start_ns = queue_now_ns();

	submit(&first, &lane, 500, 0, false);
	submit(&waiting, &lane, 0, 50, true);
	wait_for(&waiting.expired_ns);
	cr_assert_lt(waiting.expired_ns - start_ns, (50 + LATE_MS) * MS);
	cr_assert_eq(waiting.run_ns, 0);
	wait_for(&waiting.done_ns);
	cr_assert_neq(waiting.run_ns, 0);
}
