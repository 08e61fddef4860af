/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/held.c: writers that wait until bytes are preserved. The answers go into a pipe. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/held.h"
#include "cache_told.h"

static struct held *held;
static int answers[2];
static int gate[2]; /* what a slow device waits for: a byte for each read, or its end */
static _Atomic unsigned reading; /* so many came to it */

static int slow_read(struct cache_device *self, struct cache_piece *pieces, size_t count)
{
	char byte;

	(void)self;
	(void)count;
	reading++;
	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	pieces->bytes = memset(pieces->buffer, 'o', pieces->length_bytes);
	return 0;
}

static void never_close(struct cache_device *self)
{
	(void)self;
}

static const struct cache_device_ops slow_ops = { .read_pieces = slow_read, .close = never_close };
static struct cache_device slow = { .ops = &slow_ops };
static struct kept_budget *budget;

static void start(void)
{
	told_start_feed();
	cr_assert_eq(pipe2(answers, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
	budget = kept_budget_new(&(struct kept_amount){ 64 * MIB, 64 * MIB, 100 }, "/tmp");
	cr_assert_eq(held_new(answers[1], &held), 0);
}

TestSuite(cache_held, .init = start, .fini = told_end, .timeout = 30);

static struct guard *slow_guard(void)
{
	struct extents_run *run = malloc(sizeof(*run));
	struct extents *extents;
	struct guard *guard;

	*run = (struct extents_run){ 0, 4096, 0 };
	cr_assert_eq(extents_new(run, 1, 4096, &extents), 0);
	cr_assert_eq(guard_new(extents, &slow, budget, &guard), 0);
	extents_unref(extents);
	return guard;
}

/* Its bytes are not at hand: the device is asked for them. */
static void wait_for_reads(unsigned count)
{
	while (reading < count)
		sched_yield();
}

/* A writer comes. Returns its event's descriptor. */
static int hold(struct guard *guard, struct write_log *log)
{
	struct cache_range range = { 0, 512 };
	struct saving *saving = NULL;
	int event_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_eq(saving_add(&saving, guard, &range), 0);
	held_add(held, event_fd, saving, log);
	return event_fd;
}

#define NOBODY (-2)

/* The descriptor that is answered for next, within `wait_ms`. */
static int answered(int wait_ms)
{
	struct pollfd poll_fd = { .fd = answers[0], .events = POLLIN };
	struct fanotify_response response;

	if (poll(&poll_fd, 1, wait_ms) != 1)
		return NOBODY;
	cr_assert_eq(read(answers[0], &response, sizeof(response)), (ssize_t)sizeof(response));
	cr_expect_eq(response.response, FAN_ALLOW);
	return response.fd;
}

static uint64_t lost_of(struct write_log *log)
{
	struct write_log_status status;

	write_log_status(log, &status);
	return status.lost;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(cache_held, c5_the_writer_goes_on_when_its_bytes_are_preserved)
{
	struct guard *guard = slow_guard();
	int event_fd = hold(guard, told);

	cr_expect_eq(answered(20), NOBODY);
	cr_expect_eq(guard_state(guard, 0), GUARD_IN_IMAGE);
	cr_assert_eq(write(gate[1], "x", 1), 1);
	cr_expect_eq(answered(10000), event_fd);
	cr_expect_eq(guard_state(guard, 0), GUARD_SAVED, "before the answer");
	while (is_open(event_fd))
		sched_yield();
	cr_expect_eq(held_give_up_late(held, INT64_MAX / 2), INT64_MAX / 2 + WAIT_S, "nobody is left");
	cr_expect_eq(answered(0), NOBODY);
	cr_expect_eq(lost_of(told), 0);
	guard_unref(guard);
}

Test(cache_held, c6_who_waits_too_long_is_answered_by_the_clock)
{
	int64_t begun_ns = clock_now_ns(CLOCK_MONOTONIC), until_ns;
	struct guard *guard = slow_guard();
	int event_fd = hold(guard, told);

	wait_for_reads(1);
	until_ns = held_give_up_late(held, begun_ns);
	cr_expect_geq(until_ns, begun_ns + WAIT_PRESERVE_NS);
	cr_expect_leq(until_ns, clock_now_ns(CLOCK_MONOTONIC) + WAIT_PRESERVE_NS);
	cr_expect_eq(answered(0), NOBODY);
	held_give_up_late(held, until_ns);
	cr_expect_eq(answered(0), event_fd);
	cr_expect_not(is_open(event_fd));
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
	cr_expect_eq(lost_of(told), 1);
	/* What comes from the device then is no use, and nobody is answered twice. */
	held_give_up_late(held, until_ns + WAIT_S);
	cr_assert_eq(write(gate[1], "x", 1), 1);
	cr_expect_eq(answered(50), NOBODY);
	cr_expect_eq(lost_of(told), 1);
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
	guard_unref(guard);
}

Test(cache_held, s5_so_many_writers_of_one_image_wait_and_others_do_all_the_same)
{
	struct guard *guard = slow_guard(), *others = slow_guard();
	struct write_log *other;
	int event_fd;

	cr_assert_eq(write_log_new(&other), 0);
	for (int i = 0; i < 16; i++)
		hold(guard, told);
	wait_for_reads(16);
	cr_expect_eq(answered(0), NOBODY);
	event_fd = hold(guard, told);
	cr_expect_eq(answered(0), event_fd, "it is not waited for");
	cr_expect_eq(lost_of(told), 1);
	hold(others, other);
	wait_for_reads(17);
	cr_expect_eq(answered(0), NOBODY);
	close(gate[1]);
	for (int i = 0; i < 17; i++)
		cr_expect_geq(answered(10000), 0);
	guard_unref(others);
	write_log_unref(other);
	guard_unref(guard);
}

Test(cache_held, s5_so_many_wait_in_all)
{
	struct guard *guard = slow_guard();
	struct write_log *logs[9];
	int event_fd;

	for (int i = 0; i < 9; i++)
		cr_assert_eq(write_log_new(&logs[i]), 0);
	for (int i = 0; i < 128; i++)
		hold(guard, logs[i / 16]);
	wait_for_reads(128);
	cr_expect_eq(answered(0), NOBODY);
	event_fd = hold(guard, logs[8]);
	cr_expect_eq(answered(0), event_fd);
	close(gate[1]);
	for (int i = 0; i < 128; i++)
		cr_expect_geq(answered(10000), 0);
	/* There is room again, as soon as the last ones have removed themselves. */
	cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
	while (held_give_up_late(held, 0) != WAIT_S)
		sched_yield();
	for (int i = 0; i < 9; i++)
		write_log_unref(logs[i]);
	guard_unref(guard);
}

Test(cache_held, s2_a_log_that_went_is_not_counted_in)
{
	struct guard *guard = slow_guard();
	struct write_log *other;
	int event_fd;

	cr_assert_eq(write_log_new(&other), 0);
	event_fd = hold(guard, other);
	held_forget(held, other);
	held_give_up_late(held, INT64_MAX / 2);
	cr_expect_eq(answered(0), event_fd);
	cr_expect_eq(lost_of(other), 0);
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST, "its readers know");
	cr_assert_eq(write(gate[1], "x", 1), 1);
	write_log_unref(other);
	guard_unref(guard);
}
