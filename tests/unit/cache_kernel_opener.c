/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/kernel.c, marker.c, visits.c: an opener that does not answer, files that nobody looks at, and few descriptors. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/waits.h"
#include "cache/changes/trust.h"
#include "cache/device/opener.h"
#include "cache/device/opener_perform.h"
#include "cache_kernel_image.h"

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

/* ---- few descriptors ------------------------------------------------------------------------ */

static void start_with_few(void)
{
	struct rlimit few = { 400, 400 };

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	kernel_image_start();
}

TestSuite(cache_kernel_few, .init = start_with_few, .timeout = 20);

static void *write_once(void *argument)
{
	ssize_t *wrote = argument;

	*wrote = pwrite(writer_fd, "n", 1, 0);
	return NULL;
}

/* The kernel denies the write that it cannot give a descriptor for. */
Test(cache_kernel_few, s5_no_descriptors_left_never_make_a_write_fail)
{
	pthread_t threads[32];
	ssize_t wrote[32];

	write_at(writer_fd, 0, 512, 'n'); /* while there are many left */
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		;
	cr_assert_eq(errno, EMFILE);
	for (int round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 32; i++)
			cr_assert_eq(pthread_create(&threads[i], NULL, write_once, &wrote[i]), 0);
		for (unsigned i = 0; i < 32; i++) {
			pthread_join(threads[i], NULL);
			cr_expect_eq(wrote[i], 1);
		}
	}
	cr_expect(look().exact);
	cr_expect_eq(dup(0), -1, "what is kept back is nobody else's");
}
