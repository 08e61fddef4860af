/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/company.c and census.c: nobody writes to an image unseen. With real processes; wants root. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/changes/company.h"

static struct companies *companies;
static struct company *company;
static char path[] = "/tmp/cache_company.XXXXXX";
static int image_fd;

static void start(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, 8192), 0);
	close(fd);
	image_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (companies_new(true, &companies) != 0)
		cr_skip_test("fanotify is for root");
	cr_assert_eq(company_new(companies, image_fd, &company), 0);
}

static void end(void)
{
	unlink(path);
}

static struct company_state look(void)
{
	struct company_state state;

	company->ops->look(company, &state);
	return state;
}

/* The census takes its time. */
static bool becomes_alone(bool alone)
{
	struct timespec pause = { .tv_nsec = 2000000 };

	for (int i = 0; i < 5000; i++) {
		if (look().alone == alone)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* A process that does what it is told, a letter at a time. */
struct other {
	pid_t process;
	int to, from;
};

static void obey(int in, int out)
{
	int fd = -1;
	char order;

	while (read(in, &order, 1) == 1) {
		if (order == 'w')
			fd = open(path, O_RDWR | O_CLOEXEC);
		else if (order == 'r')
			fd = open(path, O_RDONLY | O_CLOEXEC);
		else if (order == 'x' && pwrite(fd, "x", 1, 0) != 1)
			_exit(1);
		else if (order == 'c')
			close(fd);
		if (write(out, &order, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static struct other begin_other(void)
{
	struct other other;
	int to[2], from[2];

	cr_assert_eq(pipe2(to, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(from, O_CLOEXEC), 0);
	other.process = fork();
	if (other.process == 0) {
		close(to[1]);
		obey(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	other.to = to[1];
	other.from = from[0];
	return other;
}

static void order(const struct other *other, char what)
{
	char answer;

	cr_assert_eq(write(other->to, &what, 1), 1);
	cr_assert_eq(read(other->from, &answer, 1), 1);
}

static void end_other(const struct other *other)
{
	close(other->to);
	waitpid(other->process, NULL, 0);
}

TestSuite(cache_company, .init = start, .fini = end);

Test(cache_company, p_nobody_is_alone_before_it_was_found_out)
{
	cr_expect_not(look().alone);
	company->ops->know(company, getppid());
	cr_expect(becomes_alone(true));
}

Test(cache_company, c5_a_stranger_is_seen_at_once_and_until_it_goes)
{
	struct other other = begin_other();
	uint64_t before;

	company->ops->know(company, getppid());
	cr_assert(becomes_alone(true));
	order(&other, 'w');
	cr_expect_not(look().alone, "opened for writing");
	before = look().foreign;
	order(&other, 'x');
	cr_expect_gt(look().foreign, before, "written");
	before = look().foreign;
	cr_expect_eq(look().foreign, before);
	cr_expect(becomes_alone(false));
	order(&other, 'x');
	cr_expect_gt(look().foreign, before, "written again");
	order(&other, 'c');
	cr_expect(becomes_alone(true), "closed");
	end_other(&other);
}

Test(cache_company, c5_a_reporter_is_no_stranger)
{
	struct other other = begin_other();
	uint64_t before;

	company->ops->know(company, other.process);
	cr_assert(becomes_alone(true));
	before = look().foreign;
	order(&other, 'w');
	order(&other, 'x');
	cr_expect(look().alone);
	cr_expect_eq(look().foreign, before);
	company->ops->forget(company, other.process, false);
	cr_expect_not(look().alone, "it may go on without a word");
	cr_expect(becomes_alone(false));
	order(&other, 'x');
	cr_expect_gt(look().foreign, before);
	company->ops->know(company, other.process);
	cr_expect(becomes_alone(true));
	end_other(&other);
}

Test(cache_company, c5_a_reporter_that_ends_is_no_stranger_when_it_closes)
{
	struct other other = begin_other();
	uint64_t before;

	company->ops->know(company, other.process);
	cr_assert(becomes_alone(true));
	order(&other, 'w');
	order(&other, 'x');
	before = look().foreign; /* what it reported ended here */
	end_other(&other);
	company->ops->forget(company, other.process, false);
	cr_expect(becomes_alone(true));
	cr_expect_eq(look().foreign, before);
}

Test(cache_company, c5_what_a_process_wrote_before_and_after_it_reported_is_a_stranger_s)
{
	struct other other = begin_other();
	uint64_t before;

	company->ops->know(company, getppid());
	cr_assert(becomes_alone(true));
	before = look().foreign;
	order(&other, 'w');
	order(&other, 'x');
	company->ops->know(company, other.process);
	cr_expect_gt(look().foreign, before, "before");
	before = look().foreign;
	order(&other, 'x');
	cr_expect_eq(look().foreign, before, "reported");
	order(&other, 'x');
	order(&other, 'c');
	company->ops->forget(company, other.process, false);
	cr_expect_gt(look().foreign, before, "after");
	end_other(&other);
}

Test(cache_company, c5_who_had_it_open_before_is_found)
{
	struct other other = begin_other();
	struct timespec pause = { .tv_nsec = 2000000 };

	order(&other, 'w');
	company->ops->know(company, getppid());
	/* The census says so, not only the doubt before it. */
	for (int i = 0; i < 5000 && look().other != other.process; i++)
		nanosleep(&pause, NULL);
	cr_expect_eq(look().other, other.process);
	cr_expect_not(look().alone);
	kill(other.process, SIGKILL);
	waitpid(other.process, NULL, 0);
	cr_expect(becomes_alone(true));
}

Test(cache_company, c4_readers_do_not_matter_for_long)
{
	struct other other = begin_other();
	uint64_t before;

	order(&other, 'r');
	company->ops->know(company, getppid());
	cr_expect(becomes_alone(true));
	before = look().foreign;
	order(&other, 'r');
	cr_expect(becomes_alone(true));
	cr_expect_eq(look().foreign, before);
	end_other(&other);
}

/* losetup's device, or a skipped test. */
static void set_up_loop(const char *file, char device[64])
{
	char command[256];
	FILE *pipe;

	snprintf(command, sizeof(command), "losetup -f --show %s 2>/dev/null", file);
	pipe = popen(command, "r");
	if (!pipe || !fgets(device, 64, pipe) || pclose(pipe) != 0)
		cr_skip_test("no loop devices");
	device[strcspn(device, "\n")] = '\0';
}

static void detach_loop(const char *device)
{
	char command[256];

	snprintf(command, sizeof(command), "losetup -d %s", device);
	cr_expect_eq(system(command), 0);
}

/* How often we opened what is watched, since the last time. */
static unsigned own_opens(int watch)
{
	_Alignas(struct fanotify_event_metadata) char buffer[4096];
	unsigned opens = 0;
	ssize_t length;

	while ((length = read(watch, buffer, sizeof(buffer))) > 0) {
		const struct fanotify_event_metadata *event;

		/* Records are padded to the alignment of their head: not a cast that clang likes, nor FAN_EVENT_NEXT. */
		for (const char *at = buffer; at < buffer + length; at += event->event_len) {
			event = (const void *)at;
			opens += event->pid == getpid();
		}
	}
	return opens;
}

/* Whoever has an image in another loop device would take each look at it for a writer that comes. */
Test(cache_company, c5_other_loop_devices_are_opened_once)
{
	int watch = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	char other_path[] = "/tmp/cache_company.XXXXXX", device[64] = "";
	struct other other = begin_other();
	int other_fd = mkstemp(other_path);

	cr_assert(watch >= 0 && other_fd >= 0);
	cr_assert_eq(ftruncate(other_fd, 1 << 20), 0);
	set_up_loop(other_path, device);
	unlink(other_path);
	cr_assert_eq(fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, device), 0);
	company->ops->know(company, getppid());
	cr_expect(becomes_alone(true));
	cr_expect_geq(own_opens(watch), 1, "it was never asked");
	for (int i = 0; i < 3; i++) {
		order(&other, 'r');
		cr_expect_not(look().alone);
		cr_expect(becomes_alone(true));
	}
	if (access("/sys/block/loop0/diskseq", F_OK) == 0)
		cr_expect_eq(own_opens(watch), 0);
	close(watch);
	detach_loop(device);
	close(other_fd);
	end_other(&other);
}

/* Set up anew, it is another's by now. */
Test(cache_company, c5_a_loop_device_is_company)
{
	char device[64] = "";
	struct timespec pause = { .tv_nsec = 2000000 };

	for (int round = 0; round < 2; round++) {
		set_up_loop(path, device);
		if (round == 0)
			company->ops->know(company, getppid());
		for (int i = 0; i < 5000 && (look().alone || !look().why_not || look().why_not[0] != 'a'); i++) {
			cr_expect_not(look().alone);
			nanosleep(&pause, NULL);
		}
		cr_expect_not(look().alone);
		detach_loop(device);
		cr_expect(becomes_alone(true));
	}
}
