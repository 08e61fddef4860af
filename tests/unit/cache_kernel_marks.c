/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/kernel.c, marks.c: two who listen, images that are moved, and which marks are left behind. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cache_kernel_image.h"

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
