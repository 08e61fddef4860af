/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_kernel_image.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/trust.h"
#include "cache/device/disk.h"
#include "cache/device/watch.h"

char source[64], elsewhere[64], path[96];
struct kernel_events *events;
struct write_log *told;
int before_fd = -1;
int writer_fd = -1;
int image_fd = -1;
static struct watch *watch;
static bool as_before;

_Atomic int64_t jumped_ns;

static int64_t test_clock(void)
{
	return clock_now_ns(CLOCK_MONOTONIC) + jumped_ns;
}

void make_file(const char *name)
{
	static char bytes[IMAGE_BYTES];
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(bytes, 'o', sizeof(bytes));
	cr_assert_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	cr_assert_eq(fsync(fd), 0);
	close(fd);
}

int open_rw(const char *name)
{
	int fd = open(name, O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

/* However this process ends: then the pipe is closed. */
static void remove_at_the_end(void)
{
	char command[256];

	snprintf(command, sizeof(command), "cat >/dev/null; rm -rf %s %s", source, elsewhere);
	cr_assert_not_null(popen(command, "we"));
}

struct kernel_events *start_events(void)
{
	struct kernel_events *new;
	int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (kernel_events_new(&new) != 0 || kernel_events_test(new, fd) != 0)
		cr_skip_test("the kernel does not announce writes here");
	if (as_before)
		kernel_events_as_before(new);
	cr_assert_eq(kernel_events_start(new), 0);
	cr_expect(!as_before || !kernel_events_arm_apart(new));
	cr_assert_eq(kernel_events_directory(new, fd), 0);
	cr_assert_eq(kernel_events_directory(new, fd), 0, "again is nothing");
	close(fd);
	return new;
}

struct write_log *feed_of(struct kernel_events *of, int fd)
{
	struct write_log *log;

	cr_assert_eq(write_log_new(&log), 0);
	write_log_set_clock(log, test_clock);
	cr_assert_eq(kernel_feed_new(of, fd, log), 0);
	return log;
}

struct cache_observation look_at(struct write_log *log)
{
	static uint64_t generation;
	struct cache_observation seen = {
		.generation = ++generation, .size_bytes = IMAGE_BYTES, .stamp_ns = 1, .steady = true
	};

	write_log_listen(log, true);
	seen.now_ns = test_clock();
	write_log_observe(log, &seen);
	return seen;
}

struct cache_observation look(void)
{
	return look_at(told);
}

void kernel_image_start(void)
{
	snprintf(source, sizeof(source), "/var/tmp/imagefs-kernel-XXXXXX");
	snprintf(elsewhere, sizeof(elsewhere), "/var/tmp/imagefs-elsewhere-XXXXXX");
	cr_assert_not_null(mkdtemp(source));
	cr_assert_not_null(mkdtemp(elsewhere));
	remove_at_the_end();
	snprintf(path, sizeof(path), "%s/a.img", source);
	make_file(path);
	before_fd = open_rw(path);
	events = start_events();
	writer_fd = open_rw(path);
	image_fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(watch_new(&watch), 0);
	told = feed_of(events, image_fd);
	cr_assert(look().exact);
}

void kernel_image_start_as_before(void)
{
	as_before = true;
	kernel_image_start();
}

struct write_log_status status_of(struct write_log *log)
{
	struct write_log_status status;

	write_log_status(log, &status);
	return status;
}

uint64_t announced(void)
{
	return status_of(told).writes;
}

struct cache_range ranges[IMAGE_RANGES];
size_t in_flight;

int changes_since(uint64_t generation)
{
	return write_log_changes(told, generation, ranges, IMAGE_RANGES, &in_flight);
}

void write_at(int fd, uint64_t offset_bytes, size_t length_bytes, char byte)
{
	char bytes[8192];

	memset(bytes, byte, length_bytes);
	cr_assert_eq(pwrite(fd, bytes, length_bytes, (off_t)offset_bytes), (ssize_t)length_bytes);
}

struct guard *guard_of(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct kept_budget *budget = kept_budget_new(&(struct kept_amount){ IMAGE_BYTES, IMAGE_BYTES, 100 }, "/tmp");
	struct extents_run *run = malloc(sizeof(*run));
	struct extents *extents;
	struct guard *guard;

	*run = (struct extents_run){ offset_bytes, length_bytes, 0 };
	cr_assert_eq(extents_new(run, 1, length_bytes, &extents), 0);
	cr_assert_eq(guard_new(extents, device, budget, &guard), 0);
	extents_unref(extents);
	kept_budget_unref(budget);
	return guard;
}

static int silent_fd(void *context, int fd)
{
	return kernel_silent_fd(context, fd);
}

struct cache_device *open_device(void)
{
	struct disk_options options = { .ctime_lag_ns = WAIT_CTIME_LAG_NS,
					.silent_fd = silent_fd,
					.context = events };
	struct cache_device *device;

	cr_assert_eq(disk_new(open(path, O_RDONLY | O_CLOEXEC), watch, &options, &device), 0);
	cr_assert_eq(disk_silent_error(device), 0);
	return device;
}

bool is_told(void)
{
	uint64_t told_before = announced();

	write_at(writer_fd, 0, 512, 'n');
	return announced() != told_before;
}

bool becomes_silent(void)
{
	int64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + 10 * WAIT_S;

	while (is_told())
		if (clock_now_ns(CLOCK_MONOTONIC) > until_ns)
			return false;
	return true;
}

unsigned marks_of(uint64_t inode, const char *text)
{
	char start_of_line[64], name[64], line[256];
	unsigned count = 0;

	snprintf(start_of_line, sizeof(start_of_line), "fanotify ino:%llx ", (unsigned long long)inode);
	for (int fd = 0; fd < 1024; fd++) {
		FILE *info;

		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
		info = fopen(name, "re");
		while (info && fgets(line, sizeof(line), info))
			count += strncmp(line, start_of_line, strlen(start_of_line)) == 0 &&
				 strstr(line, text);
		if (info)
			fclose(info);
	}
	return count;
}

bool is_at_rest(ino_t inode)
{
	return kernel_events_arm_apart(events) ? marks_of(inode, "") == 0 : marks_of(inode, KEEPS_NOTHING) == 1;
}

bool becomes_ignored(ino_t inode)
{
	int64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + 10 * WAIT_S;

	while (!is_at_rest(inode))
		if (clock_now_ns(CLOCK_MONOTONIC) > until_ns)
			return false;
	return true;
}

void have_it_heeded(int fd)
{
	if (kernel_events_arm_apart(events))
		close(kernel_silent_fd(events, fd));
}
