/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/kernel.c: what the kernel itself says of the writes to a file. Root, Linux 6.14; skipped
 * elsewhere. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/changes/kernel.h"
#include "cache/changes/write_log.h"
#include "cache/device/disk.h"
#include "cache/device/opener.h"
#include "cache/device/watch.h"

#define IMAGE_BYTES ((size_t)1 << 20)
#define SECOND WAIT_S

/* ---- an image that is listened to ------------------------------------------- */

static char source[64], elsewhere[64], path[96];
static struct kernel_events *events;
static struct write_log *told;
static int before_fd = -1; /* opened before there was a mark */
static int writer_fd = -1; /* opened after it */
static int image_fd = -1;  /* the feed's */
static struct watch *watch;
static bool as_before;

static _Atomic int64_t jumped_ns;

/* The log's clock can be put forward. */
static int64_t test_clock(void)
{
	return clock_now_ns(CLOCK_MONOTONIC) + jumped_ns;
}

static void make_file(const char *name)
{
	static char bytes[IMAGE_BYTES];
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(bytes, 'o', sizeof(bytes));
	cr_assert_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	cr_assert_eq(fsync(fd), 0);
	close(fd);
}

static int open_rw(const char *name)
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

static struct kernel_events *start_events(void)
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

static struct write_log *feed_of(struct kernel_events *of, int fd)
{
	struct write_log *log;

	cr_assert_eq(write_log_new(&log), 0);
	write_log_set_clock(log, test_clock);
	cr_assert_eq(kernel_feed_new(of, fd, log), 0);
	return log;
}

/*
 * A look, as the image does it. The device under it saw something, as it does of every write, so that the kernel's
 * events are asked for, and not when.
 */
static struct cache_observation look_at(struct write_log *log)
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

static struct cache_observation look(void)
{
	return look_at(told);
}

static void start(void)
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

/* As if Linux was 6.16 (cache/changes/marks.h). */
static void start_as_before(void)
{
	as_before = true;
	start();
}

TestSuite(cache_kernel, .init = start, .timeout = 20);
TestSuite(cache_kernel_before, .init = start_as_before, .timeout = 20);

#define EACH_TEST(name)                                                                                                \
	static void name(void);                                                                                        \
	Test(cache_kernel, name)                                                                                       \
	{                                                                                                              \
		name();                                                                                                \
	}                                                                                                              \
	Test(cache_kernel_before, name)                                                                                \
	{                                                                                                              \
		name();                                                                                                \
	}                                                                                                              \
	static void name(void)


static struct write_log_status status_of(struct write_log *log)
{
	struct write_log_status status;

	write_log_status(log, &status);
	return status;
}

/* So many announcements, of reads too. */
static uint64_t announced(void)
{
	return status_of(told).writes;
}

static struct cache_range ranges[2048];
static size_t in_flight;

static int changes_since(uint64_t generation)
{
	return write_log_changes(told, generation, ranges, 2048, &in_flight);
}

static void write_at(int fd, uint64_t offset_bytes, size_t length_bytes, char byte)
{
	char bytes[8192];

	memset(bytes, byte, length_bytes);
	cr_assert_eq(pwrite(fd, bytes, length_bytes, (off_t)offset_bytes), (ssize_t)length_bytes);
}

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

/* Does a write raise an event? */
static bool is_told(void)
{
	uint64_t told_before = announced();

	write_at(writer_fd, 0, 512, 'n');
	return announced() != told_before;
}

/* The thread sweeps once a second. */
static bool becomes_silent(void)
{
	int64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + 10 * SECOND;

	while (is_told())
		if (clock_now_ns(CLOCK_MONOTONIC) > until_ns)
			return false;
	return true;
}

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

static struct guard *guard_of(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes)
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

static struct cache_device *open_device(void)
{
	struct disk_options options = { .ctime_lag_ns = WAIT_CTIME_LAG_NS,
					.silent_fd = silent_fd,
					.context = events };
	struct cache_device *device;

	cr_assert_eq(disk_new(open(path, O_RDONLY | O_CLOEXEC), watch, &options, &device), 0);
	cr_assert_eq(disk_silent_error(device), 0);
	return device;
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

/* ---- others, and elsewhere ----------------------------------------------------------- */

EACH_TEST(two_daemons_on_one_directory_are_both_told)
{
	struct kernel_events *second = start_events();
	int fd = open_rw(path), silent = kernel_silent_fd(events, image_fd);
	struct write_log *log = feed_of(second, image_fd);
	uint64_t before, before_first;
	char byte;

	before = look_at(log).generation;
	before_first = look().generation;
	for (int i = 0; i < 10; i++)
		write_at(fd, 4096, 4096, 'n');
	cr_expect(look_at(log).exact);
	cr_expect(look().exact);
	cr_expect_eq(write_log_changes(log, before, ranges, 2048, &in_flight), 10);
	cr_expect_eq(changes_since(before_first), 10);
	/* The one's silent descriptors are silent for the other. */
	before = status_of(log).writes;
	cr_assert_eq(pread(silent, &byte, 1, 0), 1);
	cr_expect_eq(status_of(log).writes, before);
	write_log_close_feed(log);
	write_log_unref(log);
}

EACH_TEST(two_users_of_an_image_are_both_told)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct write_log *log = feed_of(events, fd);
	uint64_t before = look().generation;

	/* A new one beside one that looks takes nothing away. */
	write_at(writer_fd, 0, 512, 'n');
	look();
	cr_expect_eq(changes_since(before), 1);
	cr_expect_eq(status_of(log).writes, 0, "it did not look");
	look_at(log);
	write_at(writer_fd, 0, 512, 'n');
	cr_expect_eq(status_of(log).writes, 1);
	write_log_close_feed(log);
	write_log_unref(log);
	write_at(writer_fd, 0, 512, 'n');
	look();
	cr_expect_eq(changes_since(before), 3, "nor does one that goes");
}

EACH_TEST(c8_an_image_that_is_moved_out_is_told_of)
{
	uint64_t before = look().generation;
	char to[96];
	int fd;

	snprintf(to, sizeof(to), "%s/moved.img", elsewhere);
	cr_assert_eq(rename(path, to), 0);
	fd = open_rw(to);
	write_at(fd, 4096, 4096, 'n');
	write_at(writer_fd, 8192, 4096, 'n');
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), 2);
}

EACH_TEST(c8_an_image_that_is_moved_in_is_told_of_from_then_on)
{
	char from[96], to[96];
	struct write_log *log;
	int old_fd, new_fd, fd;

	snprintf(from, sizeof(from), "%s/b.img", elsewhere);
	snprintf(to, sizeof(to), "%s/b.img", source);
	make_file(from);
	old_fd = open_rw(from);
	cr_assert_eq(rename(from, to), 0);
	new_fd = open_rw(to);
	fd = open(to, O_RDONLY | O_CLOEXEC);
	log = feed_of(events, fd);
	look_at(log);
	write_at(new_fd, 0, 4096, 'n');
	cr_expect(look_at(log).exact);
	cr_expect_eq(status_of(log).writes, 1);
	/* Who wrote to it before goes on with the old descriptor. */
	write_at(old_fd, 0, 4096, 'n');
	cr_expect_not(look_at(log).exact);
	write_log_close_feed(log);
	write_log_unref(log);
}

/* ---- what is left behind ---------------------------------------------------------------- */

/* How many fanotify marks of this process are on the inode, with that text in their line. */
static unsigned marks_of(uint64_t inode, const char *text)
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

/* How many there are. */
static unsigned marks_in_all(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		char name[64], line[256];
		FILE *info;

		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
		info = fopen(name, "re");
		while (info && fgets(line, sizeof(line), info))
			count += strncmp(line, "fanotify ino:", strlen("fanotify ino:")) == 0;
		if (info)
			fclose(info);
	}
	return count;
}

/* FAN_MARK_EVICTABLE, and that it stays when it is modified: such a mark keeps no inode in memory. */
#define KEEPS_NOTHING " mflags:240 mask:0 "

EACH_TEST(s5_an_image_that_nobody_uses_is_let_go)
{
	struct stat st;

	cr_assert_eq(fstat(image_fd, &st), 0);
	cr_expect_eq(marks_of(st.st_ino, ""), 1);
	cr_expect_eq(marks_of(st.st_ino, KEEPS_NOTHING), 0);
	write_log_close_feed(told);
	write_log_unref(told);
	cr_expect_eq(marks_of(st.st_ino, KEEPS_NOTHING), 1);
	cr_assert_eq(unlink(path), 0);
	close(writer_fd);
	close(before_fd);
	close(image_fd);
	cr_expect_eq(marks_of(st.st_ino, ""), 0);
}

/* A file that is no image. */
static bool is_at_rest(ino_t inode)
{
	return kernel_events_arm_apart(events) ? marks_of(inode, "") == 0 : marks_of(inode, KEEPS_NOTHING) == 1;
}

/* By the marker, some time after an event. */
static bool becomes_ignored(ino_t inode)
{
	int64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + 10 * SECOND;

	while (!is_at_rest(inode))
		if (clock_now_ns(CLOCK_MONOTONIC) > until_ns)
			return false;
	return true;
}

/* The next event of a file that nobody looks at is one that has it rest. */
static void have_it_heeded(int fd)
{
	if (kernel_events_arm_apart(events))
		close(kernel_silent_fd(events, fd));
}

EACH_TEST(c5_other_files_raise_one_event_each_or_none)
{
	char name[96], byte;
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "%s/notes", source);
	make_file(name);
	fd = open_rw(name);
	cr_assert_eq(pread(fd, &byte, 1, 0), 1);
	cr_assert_eq(fstat(fd, &st), 0);
	look(); /* what is queued is taken in */
	cr_expect(becomes_ignored(st.st_ino));
	cr_assert_eq(pread(fd, &byte, 1, 0), 1);
	cr_assert_eq(unlink(name), 0);
	close(fd);
	cr_expect_eq(marks_of(st.st_ino, ""), 0);
}

/* Nor is the file that was tried at the start. */
EACH_TEST(s5_what_was_tried_is_let_go)
{
	cr_expect_eq(marks_in_all(), 2, "the directory's and the image's");
}

Test(cache_kernel, c5_what_a_new_kernel_has_is_used)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	cr_assert_eq(uname(&name), 0);
	cr_assert_eq(sscanf(name.release, "%u.%u", &major, &minor), 2);
	cr_expect_eq(kernel_events_arm_apart(events), major > 6 || (major == 6 && minor >= 17));
}

/* ---- an opener that does not answer ------------------------------------------------ */

static sem_t asked, goes_on;
static atomic_bool stops; /* at the next mark, once */

static void ask_who_stops(const struct opener_request *request, struct opener_answer *answer)
{
	if (request->what == OPENER_ASK_MARK && atomic_exchange(&stops, false)) {
		sem_post(&asked);
		sem_wait(&goes_on);
	}
	opener_perform(request, answer);
}

/* A file that nobody looks at, and one event of it. */
static int touch_file(const char *name, ino_t *inode)
{
	char file[96];
	struct stat st;
	int fd;

	snprintf(file, sizeof(file), "%s/%s", source, name);
	make_file(file);
	fd = open_rw(file);
	cr_assert_eq(fstat(fd, &st), 0);
	*inode = st.st_ino;
	have_it_heeded(fd);
	write_at(fd, 0, 512, 'n');
	return fd;
}

/* From now on the marker waits for the opener. */
static int stop_opener(void)
{
	ino_t inode;
	int fd;

	cr_assert_eq(sem_init(&asked, 0, 0), 0);
	cr_assert_eq(sem_init(&goes_on, 0, 0), 0);
	atomic_store(&stops, true);
	opener_ask_with(ask_who_stops);
	fd = touch_file("first", &inode);
	sem_wait(&asked);
	return fd;
}

static struct write_log *second_image(int *fd)
{
	char name[96];

	snprintf(name, sizeof(name), "%s/b.img", source);
	make_file(name);
	*fd = open_rw(name);
	return feed_of(events, *fd);
}

EACH_TEST(c5_no_writer_waits_for_an_opener_that_does_not_answer)
{
	uint64_t before = look().generation;
	int first = stop_opener();
	ino_t inode;

	/* Each of them would, until this test is ended from outside; and more files than the marker takes. */
	for (int i = 0; i < 30; i++) {
		char name[16];

		snprintf(name, sizeof(name), "notes%d", i);
		close(touch_file(name, &inode));
	}
	write_at(first, 0, 512, 'n');
	write_at(writer_fd, 8192, 4096, 'n');
	cr_expect(look().exact);
	cr_expect_eq(changes_since(before), 1);
	sem_post(&goes_on);
	/* The next event of what there was no room for tries again. */
	do
		close(touch_file("notes29", &inode));
	while (!is_at_rest(inode));
	close(first);
}

EACH_TEST(c6_a_look_that_may_not_wait_asks_no_opener)
{
	struct write_log *second;
	int fd;

	second = second_image(&fd);
	cr_expect_eq(write_log_listen(second, false), -EAGAIN);
	write_at(fd, 0, 512, 'n');
	cr_expect_eq(status_of(second).writes, 0);
	look_at(second);
	cr_expect_eq(write_log_listen(second, false), 0, "it listens");
	write_log_close_feed(second);
	write_log_unref(second);
	close(fd);
}

EACH_TEST(c5_what_is_looked_at_by_now_is_not_ignored)
{
	struct write_log *second;
	int fd, first, last;
	ino_t inode;

	second = second_image(&fd);
	have_it_heeded(fd);
	first = stop_opener();
	write_at(fd, 0, 512, 'n'); /* nobody looks: it is to be ignored */
	look_at(second);
	sem_post(&goes_on);
	last = touch_file("last", &inode); /* after that one */
	cr_expect(becomes_ignored(inode));
	write_at(fd, 0, 512, 'n');
	cr_expect_eq(status_of(second).writes, 1);
	write_log_close_feed(second);
	write_log_unref(second);
	close(first);
	close(last);
	close(fd);
}

static void read_a_byte(void *fd)
{
	char byte;

	cr_assert_eq(pread(*(int *)fd, &byte, 1, 0), 1);
}

EACH_TEST(c5_what_is_only_visited_is_not_ignored)
{
	char made[96], name[96];
	struct stat st;
	ino_t inode;
	int fd, last;

	/* Who makes it is not seen. */
	snprintf(made, sizeof(made), "%s/visited", elsewhere);
	snprintf(name, sizeof(name), "%s/visited", source);
	make_file(made);
	cr_assert_eq(rename(made, name), 0);
	fd = open_rw(name);
	cr_assert_eq(fstat(fd, &st), 0);
	have_it_heeded(fd);
	/* The end of each may be told while it lasts, or after it. */
	for (int i = 0; i < 100; i++)
		kernel_events_while(events, &st, read_a_byte, &fd);
	last = touch_file("last", &inode); /* after that one */
	cr_expect(becomes_ignored(inode));
	cr_expect_not(is_at_rest(st.st_ino), "nor is the end of the visit, told later, a reason");
	read_a_byte(&fd);
	cr_expect(becomes_ignored(st.st_ino), "it is when somebody else comes");
	cr_assert_eq(unlink(name), 0);
	close(last);
	close(fd);
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

/* ---- few descriptors ------------------------------------------------------------------------ */

static void start_with_few(void)
{
	struct rlimit few = { 400, 400 };

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	start();
}

TestSuite(cache_kernel_few, .init = start_with_few, .timeout = 20);

static void *write_once(void *argument)
{
	ssize_t *wrote = argument;

	*wrote = pwrite(writer_fd, "n", 1, 0);
	return NULL;
}

#define FEW_LEFT (400 - 64) /* those from there on are kept back */

/* As whoever keeps it: one that is handed out while the limit is raised for an event is given back. -1: there is none. */
static int take_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= FEW_LEFT) {
		close(fd);
		return -1;
	}
	cr_assert(fd >= 0 || errno == EMFILE);
	return fd;
}

static void fill_descriptors(void)
{
	while (take_descriptor() >= 0)
		;
}

/* The kernel denies the write that it cannot give a descriptor for. */
Test(cache_kernel_few, s5_no_descriptors_left_never_make_a_write_fail)
{
	pthread_t threads[32];
	ssize_t wrote[32];

	write_at(writer_fd, 0, 512, 'n'); /* while there are many left */
	fill_descriptors();
	for (int round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 32; i++)
			cr_assert_eq(pthread_create(&threads[i], NULL, write_once, &wrote[i]), 0);
		for (unsigned i = 0; i < 32; i++) {
			pthread_join(threads[i], NULL);
			cr_expect_eq(wrote[i], 1);
		}
	}
	cr_expect(look().exact);
	cr_expect(take_descriptor() < 0, "what is kept back is nobody else's");
}

/* In the moment in which the limit is raised, for events. */
Test(cache_kernel_few, s5_what_is_kept_back_stays_with_nobody_who_opens_something)
{
	struct rlimit limit, raised;

	fill_descriptors();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	raised = (struct rlimit){ limit.rlim_max, limit.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &raised), 0);
	cr_expect_eq(opener_reopen(writer_fd, 0), -EMFILE);
	cr_expect_eq(opener_temporary("/var/tmp"), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
}
