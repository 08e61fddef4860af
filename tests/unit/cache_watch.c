/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/watch.c: the kernel tells of every write before the writer hears that it is done. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/device/watch.h"

static struct watch *watch;

static void start(void)
{
	cr_assert_eq(watch_new(&watch), 0);
}

static int temporary_file(void)
{
	char path[] = "/tmp/cache_watch.XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(ftruncate(fd, 8192), 0);
	return fd;
}

static struct watch_target *watched(int fd)
{
	struct watch_target *target;

	cr_assert_eq(watch_add(watch, fd, &target), 0);
	return target;
}

/* Did the count grow since the last call for this target? */
static bool grew(struct watch_target *target, uint64_t *last)
{
	uint64_t events = watch_events(watch, target, false, INT64_MAX);
	bool more = events > *last;

	cr_expect_geq(events, *last);
	*last = events;
	return more;
}

TestSuite(cache_watch, .init = start);

Test(cache_watch, c1_each_kind_of_write_is_an_event_at_once)
{
	int fd = temporary_file(), other_fd = temporary_file();
	struct watch_target *target = watched(fd), *other = watched(other_fd);
	uint64_t last = 0, other_last = 0;

	cr_expect_not(grew(target, &last));
	cr_assert_eq(pwrite(fd, "x", 1, 100), 1);
	cr_expect(grew(target, &last), "pwrite");
	cr_expect_not(grew(target, &last));
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_expect(grew(target, &last), "write");
	cr_assert_eq(ftruncate(fd, 100), 0);
	cr_expect(grew(target, &last), "truncate");
	cr_assert_eq(ftruncate(fd, 9000), 0);
	cr_expect(grew(target, &last), "grow");
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
		cr_expect(grew(target, &last), "punch");
	cr_expect_not(grew(other, &other_last));
	watch_remove(watch, target);
	watch_remove(watch, other);
	watch_free(watch);
	close(fd);
	close(other_fd);
}

Test(cache_watch, c1_an_inode_watched_twice_is_watched_until_the_last_goes)
{
	int fd = temporary_file();
	struct watch_target *first = watched(fd), *second = watched(fd);
	uint64_t first_last = 0, second_last = 0;

	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect(grew(first, &first_last));
	cr_expect(grew(second, &second_last));
	watch_remove(watch, first);
	grew(second, &second_last);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect(grew(second, &second_last));
	watch_remove(watch, second);
	watch_free(watch);
	close(fd);
}

/* Not a second time for what came before it; for all that comes later it is anew. */
Test(cache_watch, c1_a_look_is_for_all_who_came_before_it_and_nobody_else)
{
	int fd = temporary_file();
	struct watch_target *target = watched(fd);
	int64_t came_ns = clock_now_ns(CLOCK_MONOTONIC), later_ns;

	cr_expect_eq(watch_events(watch, target, false, INT64_MAX), 0);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	later_ns = clock_now_ns(CLOCK_MONOTONIC);
	cr_expect_eq(watch_events(watch, target, false, came_ns), 0, "it is looked once more for who came before");
	cr_expect_eq(watch_events(watch, target, false, later_ns), 1, "who came after the write does not see it");
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect_eq(watch_events(watch, target, true, came_ns), 2, "where nothing else tells, the queue is read in any case");
	/* At rest likewise. */
	watch_rest(watch, target, fd);
	cr_expect_eq(watch_wake(watch, target, fd, false, false, INT64_MAX), 0);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	later_ns = clock_now_ns(CLOCK_MONOTONIC);
	cr_expect_eq(watch_wake(watch, target, fd, false, false, later_ns), -EAGAIN, "the write is not seen");
	cr_expect_eq(watch_events(watch, target, false, later_ns), 3);
	watch_remove(watch, target);
	watch_free(watch);
	close(fd);
}

static long queued_at_most(void)
{
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long most = 16384;

	if (limit) {
		if (fscanf(limit, "%ld", &most) != 1)
			most = 16384;
		fclose(limit);
	}
	return most;
}

/* Two files in turn, because equal events that follow each other merge. */
Test(cache_watch, c1_an_overflow_is_an_event_for_everybody)
{
	int fds[3] = { temporary_file(), temporary_file(), temporary_file() };
	struct watch_target *targets[3] = { watched(fds[0]), watched(fds[1]), watched(fds[2]) };
	uint64_t last = 0;
	long most = queued_at_most();

	if (most > 1000000)
		cr_skip_test("the queue is too long to be filled");
	cr_expect_not(grew(targets[2], &last));
	for (long i = 0; i <= most; i++)
		cr_assert_eq(pwrite(fds[i % 2], "x", 1, 0), 1);
	cr_expect(grew(targets[2], &last));
	cr_expect_not(grew(targets[2], &last));
	for (int i = 0; i < 3; i++) {
		watch_remove(watch, targets[i]);
		close(fds[i]);
	}
	watch_free(watch);
}

Test(cache_watch, n7_hundreds_of_targets_and_each_its_own_events)
{
	enum { COUNT = 1500 };
	static struct watch_target *targets[COUNT];
	static int fds[COUNT];
	struct rlimit limit = { 4096, 4096 };

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = temporary_file();
		targets[i] = watched(fds[i]);
	}
	for (int i = 0; i < COUNT; i += 2)
		cr_assert_eq(pwrite(fds[i], "x", 1, 0), 1);
	for (int i = 0; i < COUNT; i++)
		cr_expect_eq(watch_events(watch, targets[i], false, INT64_MAX), i % 2 == 0);
	for (int i = 0; i < COUNT; i++) {
		watch_remove(watch, targets[i]);
		close(fds[i]);
	}
	watch_remove(watch, NULL);
	watch_free(watch);
	watch_free(NULL);
}

/* ---- at rest -------------------------------------------------------------- */

static bool is_awake(struct watch_target *target, int fd)
{
	return watch_wake(watch, target, fd, false, false, INT64_MAX) == 0;
}

Test(cache_watch, c1_a_target_at_rest_tells_the_first_write_and_then_at_each_look_until_it_is_woken)
{
	int fd = temporary_file();
	struct watch_target *target = watched(fd);
	uint64_t last = 0;

	watch_rest(watch, target, fd);
	cr_expect(is_awake(target, fd));
	cr_expect_not(grew(target, &last), "nothing was written");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect_eq(watch_wake(watch, target, fd, false, false, INT64_MAX), -EAGAIN);
	cr_expect(grew(target, &last), "the first one");
	cr_expect_not(grew(target, &last), "the others are no events");
	/* What was written since is not known: so the next look is an event. */
	cr_expect_eq(watch_wake(watch, target, fd, true, false, INT64_MAX), 0);
	cr_expect(grew(target, &last));
	for (int i = 0; i < 3; i++) {
		cr_expect(is_awake(target, fd));
		cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
		cr_expect(grew(target, &last), "each one");
	}
	watch_remove(watch, target);
	watch_free(watch);
	close(fd);
}

/* What was written before it rested, and nobody has looked since. */
Test(cache_watch, c1_a_write_from_before_the_rest_is_told)
{
	int fd = temporary_file();
	struct watch_target *target = watched(fd);
	uint64_t last = 0;

	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	watch_rest(watch, target, fd);
	cr_expect(is_awake(target, fd));
	cr_expect(grew(target, &last));
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect(grew(target, &last));
	watch_remove(watch, target);
	watch_free(watch);
	close(fd);
}

Test(cache_watch, c1_of_two_users_of_an_inode_each_is_told_whoever_rests_or_goes)
{
	int fd = temporary_file();
	struct watch_target *first = watched(fd), *second = watched(fd);
	uint64_t first_last = 0, second_last = 0;

	watch_rest(watch, first, fd);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
		cr_expect(grew(second, &second_last));
	}
	cr_expect(grew(first, &first_last));
	cr_expect_eq(watch_wake(watch, first, fd, true, false, INT64_MAX), 0);
	grew(first, &first_last);
	watch_rest(watch, first, fd);
	watch_rest(watch, second, fd);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect(grew(first, &first_last));
	cr_expect(grew(second, &second_last));
	cr_expect_eq(watch_wake(watch, first, fd, true, false, INT64_MAX), 0);
	watch_remove(watch, second);
	grew(first, &first_last);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_expect(grew(first, &first_last));
	watch_remove(watch, first);
	watch_free(watch);
	close(fd);
}

/* Each of them tells once, and that it is watched no more. */
Test(cache_watch, c1_an_overflow_of_those_at_rest_is_an_event_for_everybody, .timeout = 60)
{
	enum { COUNT = 9000 };
	static struct watch_target *targets[COUNT];
	static int fds[COUNT];
	struct rlimit limit = { 0 };
	uint64_t last = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < COUNT + 100 || queued_at_most() > 2 * (COUNT - 1))
		cr_skip_test("the queue is too long to be filled");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = temporary_file();
		targets[i] = watched(fds[i]);
		watch_rest(watch, targets[i], fds[i]);
	}
	/* Before the write that is lost: the overflow must not be the only thing that it finds. */
	cr_expect(is_awake(targets[COUNT - 1], fds[COUNT - 1]));
	for (int i = 0; i < COUNT; i++)
		cr_assert_eq(pwrite(fds[i], "x", 1, 0), 1);
	cr_expect_eq(watch_wake(watch, targets[COUNT - 1], fds[COUNT - 1], false, false, INT64_MAX), -EAGAIN);
	cr_expect(grew(targets[COUNT - 1], &last));
	for (int i = 0; i < COUNT; i++) {
		watch_remove(watch, targets[i]);
		close(fds[i]);
	}
	watch_free(watch);
}
