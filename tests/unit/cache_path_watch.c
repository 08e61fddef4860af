/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/path_watch.c: the kernel tells of every name that decides where a path leads, and of those at its end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/device/path_watch.h"

static char top[] = "/tmp/cache_path_watch.XXXXXX";
static struct path_watch watch;

static const char *in_top(const char *name)
{
	static char paths[2][128];
	static int which;

	which = !which;
	snprintf(paths[which], sizeof(paths[which]), "%s/%s", top, name);
	return paths[which];
}

static void make_file(const char *name)
{
	int fd = open(in_top(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	close(fd);
}

/* top/link -> way/../way/end */
static void start(void)
{
	int error;

	cr_assert(mkdtemp(top));
	cr_assert_eq(mkdir(in_top("way"), 0700) | mkdir(in_top("way/end"), 0700), 0);
	cr_assert_eq(symlink("way/../way//end/.", in_top("link")), 0);
	error = path_watch_new(in_top("link"), &watch);
	if (error == -EOPNOTSUPP)
		cr_skip_test("not on this filesystem");
	cr_assert_eq(error, 0);
	cr_assert_eq(path_watch_read(&watch), PATH_SAME);
}

static void stop(void)
{
	char command[64];

	if (watch.fd >= 0)
		close(watch.fd);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	cr_expect_eq(system(command), 0);
}

TestSuite(cache_path_watch, .init = start, .fini = stop);

Test(cache_path_watch, n7_each_kind_of_change_of_a_name_is_told_at_once)
{
	make_file("way/end/a");
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "created");
	cr_expect_eq(path_watch_read(&watch), PATH_SAME);
	cr_assert_eq(rename(in_top("way/end/a"), in_top("way/end/b")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "renamed");
	make_file("c");
	path_watch_read(&watch);
	cr_assert_eq(rename(in_top("c"), in_top("way/end/b")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "replaced from elsewhere");
	cr_assert_eq(link(in_top("way/end/b"), in_top("way/end/d")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "linked");
	cr_assert_eq(unlink(in_top("way/end/d")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "removed");
	cr_assert_eq(symlink("b", in_top("way/end/e")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_NAMES, "a link");
}

Test(cache_path_watch, n8_what_others_do_beside_the_way_is_nothing)
{
	make_file("beside");
	make_file("way/beside");
	cr_assert_eq(unlink(in_top("beside")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_SAME);
}

Test(cache_path_watch, n8_a_directory_on_the_way_is_another)
{
	cr_assert_eq(rename(in_top("way"), in_top("was")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_ELSEWHERE);
}

Test(cache_path_watch, n8_a_link_on_the_way_is_replaced)
{
	cr_assert_eq(symlink("elsewhere", in_top("new")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_SAME);
	cr_assert_eq(rename(in_top("new"), in_top("link")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_ELSEWHERE);
}

/* Whoever stands in it keeps it alive, and its own end is not told. */
Test(cache_path_watch, n8_the_directory_is_removed_while_somebody_has_it_open)
{
	int fd = open(in_top("way/end"), O_PATH | O_CLOEXEC);

	cr_assert_eq(rmdir(in_top("way/end")), 0);
	cr_expect_eq(path_watch_read(&watch), PATH_ELSEWHERE);
	close(fd);
}

Test(cache_path_watch, n8_a_path_that_leads_nowhere_is_not_watched)
{
	struct path_watch none;

	cr_expect_eq(path_watch_new(in_top("link/none"), &none), -ENOENT);
	cr_expect_eq(none.fd, -1);
	cr_assert_eq(symlink("loop", in_top("loop")), 0);
	cr_expect_eq(path_watch_new(in_top("loop"), &none), -ELOOP);
	cr_expect_eq(path_watch_new("/proc/self", &none), -EOPNOTSUPP);
}
