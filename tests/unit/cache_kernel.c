/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/kernel.c, kernel_feeds.c: what the kernel itself says of the writes to a file. Root, Linux 6.14; skipped
 * elsewhere. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/waits.h"
#include "cache_kernel_image.h"

TestSuite(cache_kernel, .init = kernel_image_start, .timeout = 20);
TestSuite(cache_kernel_before, .init = kernel_image_start_as_before, .timeout = 20);

/* ---- who tells ------------------------------------------------------------------- */

EACH_TEST(c5_a_write_is_known_with_its_range)
{
	uint64_t before = look().generation;

	write_at(writer_fd, 8192, 4096, 'n');
	cr_expect(look().exact);
	cr_assert_eq(changes_since(before), 1);
	cr_expect_eq(in_flight, 0);
	cr_expect_eq(ranges[0].offset_bytes, 8192);
	cr_expect_eq(ranges[0].length_bytes, 4096);
	/* The range is of whole pages, or of these bytes. */
	write_at(writer_fd, 16390, 100, 'n');
	look();
	cr_assert_eq(changes_since(before), 2);
	cr_expect_leq(ranges[0].offset_bytes, 16390);
	cr_expect_geq(ranges[0].offset_bytes + ranges[0].length_bytes, 16490);
	cr_expect_eq(changes_since(look().generation), 0);
	cr_expect(status_of(told).kernel);
}

#define WRITERS 8
#define WRITES 100

static void *write_a_lot(void *argument)
{
	uint64_t at = *(uint64_t *)argument;

	for (int i = 0; i < WRITES; i++)
		write_at(writer_fd, at, 4096, (char)i);
	return NULL;
}

EACH_TEST(c5_many_threads_writes_have_their_own_ends)
{
	pthread_t threads[WRITERS];
	uint64_t at[WRITERS], before = look().generation;

	for (unsigned i = 0; i < WRITERS; i++) {
		at[i] = i * UINT64_C(8192);
		cr_assert_eq(pthread_create(&threads[i], NULL, write_a_lot, &at[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), WRITERS * WRITES);
	cr_expect_eq(in_flight, 0);
}

EACH_TEST(c4_a_read_is_no_write)
{
	uint64_t before = look().generation, told_before = announced();
	bool seen = false;
	char byte;

	/* It counts until the kernel tells that it was a read, which may be at once. */
	for (int i = 0; i < 1000 && !seen; i++) {
		cr_assert_eq(pread(writer_fd, &byte, 1, 0), 1);
		seen = announced() > told_before;
	}
	cr_expect(seen);
	cr_expect_eq(look().generation, before);
	cr_expect_eq(changes_since(before), 0);
	cr_expect_eq(look().in_flight, 0);
}

EACH_TEST(c5_a_descriptor_from_before_the_mark_is_a_stranger_s)
{
	uint64_t before = look().generation;

	write_at(before_fd, 0, 4096, 'n');
	cr_expect_gt(look().generation, before, "perhaps it was under way");
	cr_expect_eq(changes_since(before), -1);
	write_at(before_fd, 0, 4096, 'm');
	cr_expect_not(look().exact);
	jumped_ns += WAIT_STRANGER_NS;
	cr_expect(look().exact);
	write_at(writer_fd, 0, 4096, 'x');
	cr_expect(look().exact);
}

EACH_TEST(c8_sizes_are_announced)
{
	uint64_t before = look().generation;

	cr_assert_eq(fallocate(writer_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), 1);
	cr_expect_eq(ranges[0].offset_bytes, 4096);
	cr_assert_eq(ftruncate(writer_fd, IMAGE_BYTES / 2), 0);
	cr_expect(look().exact, "nobody is a stranger");
	cr_assert_eq(changes_since(before), 2);
	cr_expect_leq(ranges[0].offset_bytes, IMAGE_BYTES / 2);
	cr_expect_gt(ranges[0].offset_bytes + ranges[0].length_bytes, IMAGE_BYTES);
}

/* open(O_TRUNC) is not announced: cp of a sparse image over another leaves zeros where nothing was written.
 */
EACH_TEST(c8_an_image_that_was_emptied_and_filled_again_is_anything)
{
	uint64_t before = look().generation;
	int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);

	write_at(fd, 0, 4096, 'n');
	cr_assert_eq(ftruncate(fd, IMAGE_BYTES), 0);
	cr_expect_gt(look().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

EACH_TEST(c5_libaio_tells_no_ends)
{
	static _Alignas(4096) char bytes[4096];
	struct iocb blocks[2] = { 0 }, *each[2] = { &blocks[0], &blocks[1] };
	struct io_event done[2];
	uint64_t before = look().generation;
	aio_context_t context = 0;
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);

	cr_assert_eq(syscall(SYS_io_setup, 2, &context), 0);
	for (unsigned i = 0; i < 2; i++)
		blocks[i] = (struct iocb){ .aio_fildes = (uint32_t)fd,
					   .aio_lio_opcode = IOCB_CMD_PWRITE,
					   .aio_buf = (uintptr_t)bytes,
					   .aio_nbytes = 4096,
					   .aio_offset = i * 65536 };
	cr_assert_eq(syscall(SYS_io_submit, context, 2, each), 2);
	cr_assert_eq(syscall(SYS_io_getevents, context, 2, 2, done, NULL), 2);
	cr_expect_eq(look().in_flight, 2);
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), 2);
	jumped_ns += WAIT_CTIME_LAG_NS;
	cr_expect_eq(look().in_flight, 0);
	cr_expect_eq(changes_since(before), 2);
	syscall(SYS_io_destroy, context);
}

/* ---- while nobody looks ---------------------------------------------------------- */

EACH_TEST(c5_nothing_is_told_while_nobody_looks)
{
	uint64_t before = look().generation;

	cr_expect(is_told());
	jumped_ns += WAIT_LISTEN_NS;
	cr_expect(becomes_silent());
	/*
	 * What happened meanwhile is for the device to say, and the end that was not told is over.
	 * Then the same descriptor is told of again.
	 */
	jumped_ns += WAIT_CTIME_LAG_NS;
	cr_expect(look().exact);
	before = look().generation;
	cr_expect(is_told());
	look();
	cr_expect_eq(changes_since(before), 1);
}

/* By a descriptor that was opened while nobody looked, and whoever has it. */
static void expect_told(int fd)
{
	uint64_t before;

	look();
	before = look().generation;
	write_at(fd, 8192, 4096, 'n');
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), 1);
}

EACH_TEST(c5_what_is_opened_while_nobody_looks_is_told_later)
{
	char other_name[96], link_name[96], byte;
	int fd, link_fd;

	snprintf(other_name, sizeof(other_name), "%s/other.img", source);
	snprintf(link_name, sizeof(link_name), "%s/link.img", elsewhere);
	jumped_ns += WAIT_LISTEN_NS;
	cr_assert(becomes_silent());
	jumped_ns += WAIT_CTIME_LAG_NS;
	/* By another name, one in a directory that is not SOURCE, and after the image got another name. */
	cr_assert_eq(link(path, link_name), 0);
	link_fd = open_rw(link_name);
	cr_assert_eq(rename(path, other_name), 0);
	fd = open_rw(other_name);
	cr_assert_eq(pread(fd, &byte, 1, 0), 1, "who reads is not held");
	expect_told(fd);
	expect_told(link_fd);
	expect_told(writer_fd);
	close(fd);
	close(link_fd);
}

static atomic_bool writes_on;

static void *write_on(void *argument)
{
	for (int i = 0; atomic_load(&writes_on); i++)
		write_at(*(int *)argument, 4096, 4096, (char)i);
	return NULL;
}

EACH_TEST(c5_a_look_while_somebody_writes_misses_nothing)
{
	int fds[] = { writer_fd, open_rw(path) };
	pthread_t threads[2];

	for (int round = 0; round < 2; round++) {
		jumped_ns += WAIT_LISTEN_NS;
		cr_assert(becomes_silent());
		jumped_ns += WAIT_CTIME_LAG_NS;
		atomic_store(&writes_on, true);
		for (int i = 0; i < 2; i++)
			cr_assert_eq(pthread_create(&threads[i], NULL, write_on, &fds[i]), 0);
		for (int i = 0; i < 100; i++)
			look();
		cr_expect_gt(look().in_flight + announced(), 0);
		atomic_store(&writes_on, false);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		for (int i = 0; i < 2; i++)
			expect_told(fds[i]);
	}
	close(fds[1]);
}

EACH_TEST(c5_an_image_that_was_not_looked_at_yet_costs_nothing)
{
	char name[96];
	struct write_log *second;
	int fd;

	snprintf(name, sizeof(name), "%s/b.img", source);
	make_file(name);
	fd = open_rw(name);
	second = feed_of(events, fd);
	write_at(fd, 0, 512, 'n');
	cr_expect_eq(status_of(second).writes, 0);
	look_at(second);
	write_at(fd, 0, 512, 'n');
	cr_expect_eq(status_of(second).writes, 1);
	write_log_close_feed(second);
	write_log_unref(second);
}

EACH_TEST(what_cannot_be_listened_to_says_why)
{
	int fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	struct write_log *log;

	if (fd < 0)
		cr_skip_test("no /dev/shm");
	error = kernel_events_test(events, fd);
	cr_expect_eq(error, -EOPNOTSUPP);
	cr_expect_not_null(strstr(kernel_why_not(error), "filesystem"));
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(write_log_new(&log), 0);
	cr_expect_lt(kernel_feed_new(events, fd, log), 0);
	cr_expect_not(write_log_has_feed(log));
	cr_expect_lt(kernel_silent_fd(events, fd), 0);
	write_log_unref(log);
}
