/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue's clock: deadlines that stand (CONTRACT P: a report is answered within 50 ms), and those that give time. */
#include <criterion/criterion.h>
#include <dirent.h>
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
	_Atomic int64_t *expire_until; /* expire does not return before this was set */
	_Atomic bool expire_returned;
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
	struct task *task = (struct task *)job;

	/* The last call, whatever is under way. */
	cr_assert(task->expired_ns == 0 || task->expire_returned);
	task->done_ns = queue_now_ns();
}

static void wait_for(_Atomic int64_t *when_ns);

static void expire(struct job *job)
{
	struct task *task = (struct task *)job;

	task->expired_ns = queue_now_ns();
	if (task->expire_until)
		wait_for(task->expire_until);
	task->expire_returned = true;
}

/* The rest of the job is set by the caller. */
static void submit(struct task *task, struct lane *lane, int64_t takes_ms, int64_t deadline_ms)
{
	task->takes_ns = takes_ms * MS;
	if (!task->job.run)
		task->job.run = run;
	task->job.done = done;
	task->job.expire = expire;
	task->job.lane = lane;
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

/* Others in the lane come back all the time, and give time to the one that asks for it. */
Test(queue, a_deadline_stands_unless_the_lane_gets_on_and_the_job_has_time, .init = make_queue)
{
	static struct lane lane = { .width = 3 };
	static struct task patient = { .job.slow_ns = 4000 * MS }, strict, others[30];
	int64_t start_ns = queue_now_ns();

	submit(&patient, &lane, 350, 50);
	submit(&strict, &lane, 350, 50);
	for (size_t i = 0; i < 30; i++)
		submit(&others[i], &lane, 10, 0);
	wait_for(&strict.done_ns);
	wait_for(&patient.done_ns);
	cr_assert_neq(strict.expired_ns, 0);
	cr_assert_lt(strict.expired_ns - start_ns, (50 + LATE_MS) * MS);
	cr_assert_geq(strict.expired_ns - start_ns, 50 * MS);
	cr_assert_eq(patient.expired_ns, 0);
}

/* It is alone in its lane, but what it waits for has just answered. */
static int64_t answers_now(const struct job *job)
{
	(void)job;
	return queue_now_ns();
}

Test(queue, c6_slow_is_who_answers_and_hung_who_does_not, .init = make_queue)
{
	static struct lane slow_lane, hung_lane;
	static struct task slow = { .job = { .slow_ns = 4000 * MS, .answered = answers_now } };
	static struct task hung = { .job = { .slow_ns = 4000 * MS } };

	submit(&slow, &slow_lane, 900, 50);
	submit(&hung, &hung_lane, 900, 50);
	wait_for(&slow.done_ns);
	wait_for(&hung.done_ns);
	cr_assert_eq(slow.expired_ns, 0);
	cr_assert_neq(hung.expired_ns, 0);
}

Test(queue, a_job_that_is_late_closes_its_lane_unless_it_spares_it, .init = make_queue)
{
	static struct lane lane, closed;
	static struct task sparing = { .job.spares_lane = true }, next, stuck, kept_out;

	submit(&sparing, &lane, 600, 20);
	submit(&stuck, &closed, 600, 20);
	wait_for(&sparing.expired_ns);
	wait_for(&stuck.expired_ns);
	cr_assert(!queue_lane_stuck(&lane));
	cr_assert(queue_lane_stuck(&closed));
	submit(&next, &lane, 0, 0);
	submit(&kept_out, &closed, 0, 0);
	wait_for(&next.done_ns);
	cr_assert_eq(sparing.done_ns, 0);
	wait_for(&kept_out.done_ns);
	cr_assert_neq(stuck.done_ns, 0);
}

/* It was slow when the first one was late, and hangs when nothing came back since. */
Test(queue, a_lane_that_got_on_is_closed_when_it_does_not_any_more, .init = make_queue)
{
	static struct lane lane;
	static struct task hangs, last;
	int64_t start_ns;

	submit(&hangs, &lane, 1200, 50);
	submit(&last, &lane, 20, 0);
	wait_for(&last.done_ns);
	start_ns = last.done_ns;
	wait_for(&hangs.expired_ns);
	cr_assert(!queue_lane_stuck(&lane));
	while (!queue_lane_stuck(&lane) && queue_now_ns() < start_ns + 1000 * MS)
		pause_ns(MS);
	cr_assert(queue_lane_stuck(&lane));
	wait_for(&hangs.done_ns);
	cr_assert(!queue_lane_stuck(&lane));
}

/* All threads of the lane hang: who waits is answered all the same, ended in the end, and not looked at again. */
Test(queue, a_job_that_did_not_get_its_turn_expires_and_is_not_run, .init = make_queue)
{
	static struct lane lane = { .width = 1 };
	static struct task first, waiting, others = { .job.goes_on = true };
	int64_t start_ns = queue_now_ns();

	submit(&first, &lane, 500, 0);
	submit(&waiting, &lane, 0, 50);
	submit(&others, &lane, 0, 50);
	wait_for(&waiting.expired_ns);
	wait_for(&others.expired_ns);
	cr_assert_lt(waiting.expired_ns - start_ns, (50 + LATE_MS) * MS);
	cr_assert_eq(waiting.run_ns, 0);
	wait_for(&waiting.done_ns);
	wait_for(&others.done_ns);
	cr_assert_eq(waiting.run_ns, 0);
	cr_assert_neq(others.run_ns, 0, "who goes on is run after it expired");
}

static int64_t run_again(struct job *job)
{
	run(job);
	return 100 * MS;
}

Test(queue, a_job_that_is_to_be_run_again_is_not_once_it_expired, .init = make_queue)
{
	static struct lane lane;
	static struct task task = { .job.run = run_again };
	int64_t first_ns;

	submit(&task, &lane, 0, 50);
	wait_for(&task.run_ns);
	first_ns = task.run_ns;
	wait_for(&task.done_ns);
	cr_assert_neq(task.expired_ns, 0);
	cr_assert_eq(task.run_ns, first_ns);
}

/* A slow log, say: nobody waits for it, neither to be run nor to be answered by the clock. */
Test(queue, expire_may_be_slow, .init = make_queue)
{
	static struct lane lane, other;
	static struct task slow, runs, expires;

	slow.expire_until = &expires.expired_ns;
	submit(&slow, &lane, 300, 10);
	wait_for(&slow.expired_ns);
	submit(&runs, &other, 0, 0);
	wait_for(&runs.done_ns);
	cr_assert(!slow.expire_returned);
	submit(&expires, &other, 1200, 600);
	/* Its run ended long ago: done waits for expire (see there). */
	wait_for(&slow.done_ns);
	wait_for(&expires.done_ns);
}

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	cr_assert_not_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* A little to do all the time wakes one after the other, and none of them may be kept by that. */
Test(queue, s5_threads_that_were_needed_once_go, .init = make_queue)
{
	static struct task many[40], few[1200];
	static struct lane lanes[40], lane;
	size_t i = 0;

	for (size_t each = 0; each < 40; each++)
		submit(&many[each], &lanes[each], 200, 0);
	for (size_t each = 0; each < 40; each++)
		wait_for(&many[each].done_ns);
	cr_assert_gt(count_threads(), 40);
	for (; i < 1200 && count_threads() > 10; i++) {
		submit(&few[i], &lane, 0, 0);
		wait_for(&few[i].done_ns);
		pause_ns(25 * MS);
	}
	cr_assert_lt(i, 1200, "%u threads", count_threads());
}
