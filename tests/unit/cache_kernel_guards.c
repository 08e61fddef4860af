/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/kernel.c, held.c, wanted.c: silent descriptors, and writers that wait until the bytes of an open file are
 * preserved. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/guards.h"
#include "cache_kernel_image.h"

/* ---- silent descriptors ------------------------------------------------------------ */

static atomic_bool stop;

static void *keep_looking(void *argument)
{
	while (!atomic_load(&stop))
		look();
	return argument;
}

EACH_TEST(c5_what_is_read_through_a_silent_descriptor_raises_nothing)
{
	uint64_t told_before;
	pthread_t thread;
	char byte;
	int fd;

	cr_assert_eq(pthread_create(&thread, NULL, keep_looking, NULL), 0);
	fd = kernel_silent_fd(events, image_fd);
	cr_assert_geq(fd, 0);
	look();
	told_before = announced();
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(pread(fd, &byte, 1, i), 1);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	cr_expect_eq(announced(), told_before);
	cr_expect_eq(byte, 'o');
	cr_expect(look().exact);
	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void *get_silent(void *argument)
{
	int *fd = argument;

	*fd = kernel_silent_fd(events, image_fd);
	return NULL;
}

EACH_TEST(c5_several_get_silent_descriptors_at_once)
{
	pthread_t threads[16];
	int fds[16];

	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, get_silent, &fds[i]), 0);
	for (unsigned i = 0; i < 16; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_geq(fds[i], 0);
	}
}

/* ---- guards -------------------------------------------------------------------------- */

static bool is_cold(int fd, uint64_t offset_bytes)
{
	char byte;
	struct iovec to = { &byte, 1 };

	return preadv2(fd, &to, 1, (off_t)offset_bytes, RWF_NOWAIT) < 0;
}

static void check_preserved(bool cold)
{
	struct cache_device *device = open_device();
	struct guard *guard = guard_of(device, 65536, 65536);
	char bytes[4096], expected[4096];
	int silent = kernel_silent_fd(events, image_fd);

	memset(expected, 'o', sizeof(expected));
	cr_assert_eq(write_log_guard(told, guard, look().generation), 0);
	if (cold) {
		cr_assert_eq(posix_fadvise(silent, 0, 0, POSIX_FADV_DONTNEED), 0);
		cr_assert(is_cold(silent, 65536 + 8192));
	} else {
		cr_assert_eq(pread(silent, bytes, 4096, 65536), 4096);
	}
	write_at(writer_fd, 65536, 8192, 'n');
	cr_expect_eq(guard_state(guard, 0), GUARD_SAVED);
	cr_expect_eq(guard_read(guard, 4096, bytes, 4096), 0);
	cr_expect_eq(memcmp(bytes, expected, 4096), 0);
	look();
	cr_expect_eq(write_log_guard_stands(told, guard), 0);
	cr_expect_eq(status_of(told).lost, 0);
	write_log_unguard(told, guard);
	guard_unref(guard);
	cache_device_unref(device);
}

EACH_TEST(c5_old_bytes_in_the_page_cache_are_preserved_before_a_write)
{
	check_preserved(false);
}

EACH_TEST(c5_old_bytes_on_the_disk_are_preserved_before_a_write)
{
	check_preserved(true);
}

static int gate[2];

static int nothing_at_hand(struct cache_device *self, bool may_block, uint64_t offset_bytes, void *buffer,
			   size_t length_bytes)
{
	(void)self;
	(void)may_block;
	(void)offset_bytes;
	(void)buffer;
	(void)length_bytes;
	return -EAGAIN;
}

static int hung_read(struct cache_device *self, struct cache_piece *pieces, size_t count)
{
	char byte;

	(void)self;
	for (size_t i = 0; i < count; i++)
		pieces[i].bytes = pieces[i].buffer;
	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	return 0;
}

static void never_close(struct cache_device *self)
{
	(void)self;
}

EACH_TEST(c6_a_writer_does_not_wait_for_a_device_that_hangs)
{
	static const struct cache_device_ops ops = { .read_blocks = nothing_at_hand,
						     .read_pieces = hung_read,
						     .close = never_close };
	static struct cache_device hung = { .ops = &ops };
	struct guard *guard = guard_of(&hung, 0, 4096);
	int64_t begun_ns;

	cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
	cr_assert_eq(write_log_guard(told, guard, look().generation), 0);
	begun_ns = clock_now_ns(CLOCK_MONOTONIC);
	write_at(writer_fd, 0, 512, 'n');
	begun_ns = clock_now_ns(CLOCK_MONOTONIC) - begun_ns;
	cr_expect_geq(begun_ns, WAIT_PRESERVE_NS);
	cr_expect_leq(begun_ns, WAIT_PRESERVE_NS + 500 * WAIT_MS, "a busy machine");
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
	cr_expect_eq(status_of(told).lost, 1);
	close(gate[1]);
	write_log_unguard(told, guard);
	guard_unref(guard);
}

EACH_TEST(c5_an_open_file_keeps_it_listening)
{
	struct cache_device *device = open_device();
	struct guard *guard = guard_of(device, 65536, 4096);
	int64_t until_ns;

	cr_assert_eq(write_log_guard(told, guard, look().generation), 0);
	jumped_ns += WAIT_LISTEN_NS;
	/* More than a sweep. */
	until_ns = clock_now_ns(CLOCK_MONOTONIC) + 1200 * WAIT_MS;
	while (clock_now_ns(CLOCK_MONOTONIC) < until_ns)
		cr_assert(is_told());
	write_log_unguard(told, guard);
	cr_expect(becomes_silent());
	guard_unref(guard);
	cache_device_unref(device);
}
