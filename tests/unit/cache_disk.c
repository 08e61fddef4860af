/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/disk.c and cache/device/ring.c: real files, and what is believed of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/device/disk.h"
#include "cache/device/ring.h"
#include "cache/device/watch.h"
#include "cache_device.h"

#define SETTLE_NS (50 * MS)
#define FILE_BYTES ((3U << 20) + 777)

static char path[32]; /* through /proc: the file itself has no name, and is gone with the test */
static int writer;
static struct watch *watch;
static struct cache_device *device;
static unsigned char *expected;

static void open_device(struct watch *with, bool believe_nothing)
{
	struct disk_options options = { .believe_nothing = believe_nothing, .ctime_lag_ns = SETTLE_NS };

	cr_assert_eq(disk_new(open(path, O_RDONLY | O_CLOEXEC), with, &options, &device), 0);
}

static void start(void)
{
	char name[] = "/var/tmp/cache_disk.XXXXXX";

	writer = mkstemp(name);
	cr_assert_geq(writer, 0);
	unlink(name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer);
	cr_assert_eq(watch_new(&watch), 0);
	expected = malloc(FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++)
		expected[i] = (unsigned char)(i * 13 + i / 4096);
	cr_assert_eq(pwrite(writer, expected, FILE_BYTES, 0), FILE_BYTES);
	open_device(watch, false);
}

static void end(void)
{
	device->ops->close(device);
	watch_free(watch);
	close(writer);
	free(expected);
}

TestSuite(cache_disk, .init = start, .fini = end);

static void require_local(void)
{
	if (strcmp(device->ops->describe(device), "inotify+ctime") != 0)
		cr_skip_test("/var/tmp is on no file system whose signs are believed");
}

static struct cache_observation observe(void)
{
	struct cache_observation seen;

	cr_assert_eq(device->ops->observe(device, true, CACHE_LOOK_ANEW, &seen), 0);
	return seen;
}

/* The time that a change needs to be believed; nothing waits for it to make something happen. */
static void settle(void)
{
	nanosleep(&(struct timespec){ 0, SETTLE_NS + 10 * MS }, NULL);
}

static struct cache_observation observe_settled(void)
{
	settle();
	return observe();
}

Test(cache_disk, c1_a_file_at_rest_settles_and_then_its_generation_stays)
{
	struct cache_observation first, second;

	require_local();
	first = observe();
	second = observe();
	cr_expect_not(first.steady);
	cr_expect_gt(second.generation, first.generation);
	first = observe_settled();
	cr_expect(first.steady);
	cr_expect_gt(first.generation, second.generation, "what was seen unsettled is believed");
	second = observe();
	cr_expect(second.steady);
	cr_expect_eq(second.generation, first.generation);
	cr_expect_geq(second.quiet_ns, SETTLE_NS);
	cr_expect_eq(second.size_bytes, FILE_BYTES);
}

/* Others who came meanwhile must not take it for one of their own. */
Test(cache_disk, c1_a_look_is_as_old_as_what_it_rests_on)
{
	int64_t came_ns = clock_now_ns(CLOCK_MONOTONIC);
	struct cache_observation seen;

	require_local();
	cr_expect_gt(observe().looked_ns, came_ns);
	cr_assert_eq(device->ops->observe(device, true, came_ns, &seen), 0);
	cr_expect_leq(seen.looked_ns, came_ns);
}

Test(cache_disk, c1_each_kind_of_write_is_another_generation_at_once)
{
	struct cache_observation before, after;

	require_local();
	before = observe_settled();
	cr_assert_eq(pwrite(writer, expected, 1, 0), 1);
	after = observe();
	cr_expect_gt(after.generation, before.generation);
	cr_expect_not(after.steady);
	cr_expect_lt(after.quiet_ns, SETTLE_NS);
	before = observe_settled();
	cr_assert_eq(ftruncate(writer, 5000), 0);
	after = observe();
	cr_expect_gt(after.generation, before.generation);
	cr_expect_eq(after.size_bytes, 5000);
}

/* No event: only the change time tells. */
Test(cache_disk, c1_without_events_the_change_time_tells)
{
	struct cache_observation before, after;
	unsigned char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);

	require_local();
	cr_assert_neq(map, MAP_FAILED);
	fsync(writer);
	before = observe_settled();
	map[0]++;
	cr_assert_eq(msync(map, 4096, MS_SYNC), 0);
	after = observe();
	cr_expect_gt(after.generation, before.generation);
	munmap(map, 4096);
}

Test(cache_disk, c1_a_change_time_in_the_future_is_not_settled)
{
	struct cache_device *other;
	struct disk_options options = { .ctime_lag_ns = SETTLE_NS };
	struct cache_observation first, second;

	require_local();
	/* As seen by somebody who wants a change to be older than the epoch is. */
	options.ctime_lag_ns = INT64_MAX;
	cr_assert_eq(disk_new(open(path, O_RDONLY), watch, &options, &other), 0);
	cr_assert_eq(other->ops->observe(other, true, CACHE_LOOK_ANEW, &first), 0);
	cr_assert_eq(other->ops->observe(other, true, CACHE_LOOK_ANEW, &second), 0);
	cr_expect_not(second.steady);
	cr_expect_gt(second.generation, first.generation);
	other->ops->close(other);
}

static void expect_never_believed(void)
{
	struct cache_observation first = observe_settled(), second = observe();

	cr_expect_not(first.steady);
	cr_expect_not(second.steady);
	cr_expect_gt(second.generation, first.generation);
	cr_expect_eq(device->ops->observe(device, false, CACHE_LOOK_ANEW, &first), -EAGAIN);
}

Test(cache_disk, c7_nothing_is_believed_when_told_so)
{
	device->ops->close(device);
	open_device(watch, true);
	expect_never_believed();
}

Test(cache_disk, c7_nothing_is_believed_without_a_watch)
{
	device->ops->close(device);
	open_device(NULL, false);
	expect_never_believed();
}

Test(cache_disk, n1_what_is_neither_file_nor_device_is_refused)
{
	struct disk_options options = { .ctime_lag_ns = SETTLE_NS };
	struct cache_device *other;

	cr_expect_eq(disk_new(open("/tmp", O_RDONLY), watch, &options, &other), -EINVAL);
	cr_expect_eq(disk_new(open("/dev/null", O_RDONLY), watch, &options, &other), -EINVAL);
}

/* ---- bytes --------------------------------------------------------------- */

static int read_data(uint64_t offset_bytes, size_t length_bytes)
{
	void *buffer = aligned_alloc(4096, cache_device_buffer_bytes(length_bytes));
	unsigned char *bytes;
	int error = cache_device_read_data(device, offset_bytes, length_bytes, buffer, &bytes);

	if (error == 0 && memcmp(bytes, expected + offset_bytes, length_bytes) != 0)
		error = -EBADMSG;
	free(buffer);
	return error;
}

static int read_blocks(uint64_t offset_bytes, size_t length_bytes)
{
	unsigned char *buffer = malloc(length_bytes + 1);
	int error = device->ops->read_blocks(device, true, offset_bytes, buffer, length_bytes);

	if (error == 0 && memcmp(buffer, expected + offset_bytes, length_bytes) != 0)
		error = -EBADMSG;
	free(buffer);
	return error;
}

static void drop_page_cache(void)
{
	cr_assert_eq(fsync(writer), 0);
	posix_fadvise(writer, 0, 0, POSIX_FADV_DONTNEED);
}

static void expect_all_bytes(void)
{
	cr_expect_eq(read_data(0, FILE_BYTES), 0);
	cr_expect_eq(read_data(1, 1), 0);
	cr_expect_eq(read_data(4095, 2), 0);
	cr_expect_eq(read_data(12345, 1 << 20), 0);
	cr_expect_eq(read_data(FILE_BYTES - 1, 1), 0);
	cr_expect_eq(read_data(FILE_BYTES - 5000, 5000), 0);
	cr_expect_eq(read_blocks(0, 8192), 0);
	cr_expect_eq(read_blocks(3U << 20, 777), 0);
	cr_expect_eq(read_data(FILE_BYTES - 1, 2), -EIO);
	cr_expect_eq(read_data(FILE_BYTES, 1), -EIO);
	cr_expect_eq(read_data(UINT64_MAX, 1), -EIO);
	cr_expect_eq(read_blocks(3U << 20, 4096), -EIO);
	cr_expect_eq(read_blocks((uint64_t)1 << 40, 4096), -EIO);
}

Test(cache_disk, c2_bytes_are_right_from_the_page_cache_and_from_the_disk)
{
	observe();
	expect_all_bytes();
	drop_page_cache();
	expect_all_bytes();
	drop_page_cache();
	cr_expect_eq(read_data(100, 50), 0);
	expect_all_bytes();
}

Test(cache_disk, c2_bytes_are_right_where_nothing_is_believed)
{
	device->ops->close(device);
	open_device(watch, true);
	observe();
	expect_all_bytes();
	expected[70000] ^= 1;
	cr_assert_eq(pwrite(writer, expected + 70000, 1, 70000), 1);
	expect_all_bytes();
}

Test(cache_disk, c6_what_would_have_to_be_waited_for_is_said)
{
	unsigned char block[4096];
	int error;

	observe();
	drop_page_cache();
	error = device->ops->read_blocks(device, false, 1 << 20, block, sizeof(block));
	cr_expect(error == 0 || error == -EAGAIN);
	cr_expect_eq(read_blocks(1 << 20, 4096), 0);
}

/* A tmpfs refuses RWF_NOWAIT: what stat and guards look at must not count as far away there. */
Test(cache_disk, c6_what_is_in_memory_is_not_waited_for)
{
	struct disk_options options = { .ctime_lag_ns = SETTLE_NS };
	struct cache_device *in_memory;
	unsigned char got[8192];
	int fd = memfd_create("cache_disk", MFD_CLOEXEC);

	require_local();
	cr_assert_eq(pwrite(fd, expected, FILE_BYTES, 0), FILE_BYTES);
	cr_assert_eq(disk_new(fd, watch, &options, &in_memory), 0);
	cr_assert_eq(in_memory->ops->read_blocks(in_memory, false, 4096, got, sizeof(got)), 0);
	cr_assert_arr_eq(got, expected + 4096, sizeof(got));
	in_memory->ops->close(in_memory);
}

Test(cache_disk, c8_a_file_cut_short_is_an_error_not_a_crash)
{
	observe();
	cr_assert_eq(ftruncate(writer, 10000), 0);
	/* Not observed yet: the size is still believed. */
	cr_expect_eq(read_data(8192, 4096), -EIO);
	cr_expect_eq(read_data(1 << 20, 4096), -EIO);
	cr_expect_eq(read_blocks(8192, 4096), -EIO);
	cr_expect_eq(read_data(0, 10000), 0);
	cr_expect_eq(observe().size_bytes, 10000);
	cr_expect_eq(read_blocks(8192, 10000 - 8192), 0);
}

/* ---- ring ---------------------------------------------------------------- */

static void expect_ring_reads(void)
{
	int fd = open(path, O_RDONLY | O_DIRECT);
	unsigned char *buffer = aligned_alloc(4096, 4U << 20);

	if (fd < 0)
		fd = open(path, O_RDONLY);
	for (uint64_t offset = 0; offset < FILE_BYTES; offset += 1U << 20) {
		uint64_t left = FILE_BYTES - offset;
		ssize_t got = ring_read(fd, offset, buffer, 4U << 20);

		cr_assert_eq((uint64_t)got, left);
		cr_expect_eq(memcmp(buffer, expected + offset, left), 0);
	}
	cr_expect_eq(ring_read(fd, 1U << 20, buffer, 4096), 4096);
	cr_expect_eq(ring_read(fd, 8U << 20, buffer, 4096), 0);
	cr_expect_lt(ring_read(-1, 0, buffer, 4096), 0);
	close(fd);
	free(buffer);
}

Test(cache_disk, ring_reads_are_whole)
{
	expect_ring_reads();
}

Test(cache_disk, ring_reads_are_whole_without_io_uring)
{
	setenv("IMAGEFS_NO_IO_URING", "1", 1);
	cr_expect_not(ring_available());
	expect_ring_reads();
	observe();
	drop_page_cache();
	expect_all_bytes();
}
