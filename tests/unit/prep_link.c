/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/prep/link.c: what a board's link is called, and that it is made, moved and taken away. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/prep/link.h"

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))

Test(prep_link, spellings)
{
	static const struct {
		const char *board, *name;
		enum link_kind kind;
	} cases[] = {
		{ "89025d75", "89025d75", LINK_SERIAL },
		{ "89025D75", "89025d75", LINK_SERIAL },
		{ "1000000089025d75", "89025d75", LINK_SERIAL },
		{ "0000000089025D75", "89025d75", LINK_SERIAL },
		{ "C7D4A9F189025d75", "89025d75", LINK_SERIAL }, /* a Pi 5's */
		{ "0x89025d75", "89025d75", LINK_SERIAL },
		{ "0X5d75", "00005d75", LINK_SERIAL },
		{ "0x1000000089025d75", "89025d75", LINK_SERIAL },
		{ "dc-a6-32-01-36-c2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "DC:A6:32:01:36:C2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "dca6320136c2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "DCA6.3201.36C2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "dc:a6:32:1:36:c2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "01-dc-a6-32-01-36-c2", "dc-a6-32-01-36-c2", LINK_MAC },
		{ "pi7", "pi7", LINK_NAME },
		{ "Kitchen Pi", "Kitchen Pi", LINK_NAME },
		{ "cafe", "cafe", LINK_NAME }, /* no serial: those have eight digits */
		{ "89025d7", "89025d7", LINK_NAME },
		{ "89025d75a", "89025d75a", LINK_NAME },
		{ "192.168.1.5", "192.168.1.5", LINK_NAME },
		{ "12.34.56", "12.34.56", LINK_NAME },
		{ "dc-a6-32-01-36-c2-00", "dc-a6-32-01-36-c2-00", LINK_NAME },
		{ "dc:a6-32:01:36:c2", "dc:a6-32:01:36:c2", LINK_NAME },
		{ "dc::a6:32:01:36:c2", "dc::a6:32:01:36:c2", LINK_NAME },
		{ "0xg", "0xg", LINK_NAME },
		{ "0x", "0x", LINK_NAME },
		{ "M\xc3\xbcnster", "M\xc3\xbcnster", LINK_NAME },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char name[LINK_NAME_BYTES];
		enum link_kind kind;

		cr_assert_eq(link_board(cases[i].board, name, &kind), 0, "%s", cases[i].board);
		cr_assert_str_eq(name, cases[i].name);
		cr_assert_eq(kind, cases[i].kind, "%s", cases[i].board);
	}
}

Test(prep_link, names_that_no_link_can_have)
{
	static const char *const boards[] = { "", ".", "..", ".x", "a/b", "/", "jammy:2", "dc:a6:32:01:36", "a\nb", "\x01", "\x7f", "pi.img", "pi.raw", "pi.d" };
	char name[LINK_NAME_BYTES], board[LINK_NAME_BYTES + 1];
	enum link_kind kind;

	for (size_t i = 0; i < COUNT(boards); i++)
		cr_assert_eq(link_board(boards[i], name, &kind), -EINVAL, "case %zu", i);
	memset(board, 'a', sizeof(board));
	board[LINK_NAME_BYTES] = '\0';
	cr_assert_eq(link_board(board, name, &kind), -ENAMETOOLONG);
	board[LINK_NAME_BYTES - 1] = '\0';
	cr_assert_eq(link_board(board, name, &kind), 0);
}

Test(prep_link, targets)
{
	char target[LINK_NAME_BYTES];

	cr_assert_eq(link_target("jammy.img", 0, target), 0);
	cr_assert_str_eq(target, "jammy.img");
	cr_assert_eq(link_target("jammy.img", 3, target), 0);
	cr_assert_str_eq(target, "jammy:3");
	cr_assert_eq(link_target("x.raw", 12, target), 0);
	cr_assert_str_eq(target, "x:12");
	cr_assert_eq(link_target("plain", 1, target), 0);
	cr_assert_str_eq(target, "plain:1");
	cr_assert_eq(link_target(".img", 1, target), 0);
	cr_assert_str_eq(target, ".img:1");
}

static char directory[] = "/tmp/prep_link.XXXXXX";
static int images_fd;

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(directory));
	images_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(images_fd, 0);
}

static void tear_down(void)
{
	unlinkat(images_fd, "pi", 0);
	unlinkat(images_fd, "file", 0);
	close(images_fd);
	cr_assert_eq(rmdir(directory), 0, "nothing is left behind");
}

static const char *target_of(const char *name)
{
	static char target[PATH_MAX];
	ssize_t length = readlinkat(images_fd, name, target, sizeof(target) - 1);

	target[length > 0 ? length : 0] = '\0';
	return target;
}

TestSuite(prep_link_made, .init = set_up, .fini = tear_down);

Test(prep_link_made, made_kept_refused_moved)
{
	char present[PATH_MAX];
	bool made;

	cr_assert_eq(link_make(images_fd, "pi", "jammy.img", false, present, &made), 0);
	cr_assert(made && !*present);
	cr_assert_str_eq(target_of("pi"), "jammy.img");
	cr_assert_eq(link_make(images_fd, "pi", "jammy.img", false, present, &made), 0);
	cr_assert(!made);
	cr_assert_eq(link_make(images_fd, "pi", "jammy", true, present, &made), 0);
	cr_assert(!made, "the same image");
	cr_assert_eq(link_make(images_fd, "pi", "noble.img", false, present, &made), -EEXIST);
	cr_assert(!made);
	cr_assert_str_eq(present, "jammy.img");
	cr_assert_str_eq(target_of("pi"), "jammy.img");
	cr_assert_eq(link_make(images_fd, "pi", "jammy.raw", false, present, &made), -EEXIST);
	cr_assert_eq(link_make(images_fd, "pi", "jammy:2", false, present, &made), -EEXIST);
	cr_assert_eq(link_make(images_fd, "pi", "noble.img", true, present, &made), 0);
	cr_assert(made);
	cr_assert_str_eq(present, "jammy.img");
	cr_assert_str_eq(target_of("pi"), "noble.img");
}

Test(prep_link_made, a_file_is_not_replaced)
{
	int fd = openat(images_fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	char present[PATH_MAX];
	struct stat st;
	bool made;

	close(fd);
	cr_assert_eq(link_make(images_fd, "file", "jammy.img", true, present, &made), -ENOTUNIQ);
	cr_assert_eq(link_remove(images_fd, "file", present), -ENOTUNIQ);
	cr_assert_eq(fstatat(images_fd, "file", &st, AT_SYMLINK_NOFOLLOW), 0);
	cr_assert(S_ISREG(st.st_mode));
}

/* One who was killed in between left a link of the same number. */
Test(prep_link_made, what_was_left_is_no_obstacle)
{
	char present[PATH_MAX], left[64];
	bool made;

	snprintf(left, sizeof(left), ".imagefs-link.%d", (int)getpid());
	cr_assert_eq(symlinkat("x", images_fd, left), 0);
	cr_assert_eq(symlinkat("old", images_fd, "pi"), 0);
	cr_assert_eq(link_make(images_fd, "pi", "new", true, present, &made), 0);
	cr_assert_str_eq(target_of("pi"), "new");
}

Test(prep_link_made, removed)
{
	char present[PATH_MAX];

	cr_assert_eq(symlinkat("jammy.img", images_fd, "pi"), 0);
	cr_assert_eq(link_remove(images_fd, "pi", present), 0);
	cr_assert_str_eq(present, "jammy.img");
	cr_assert_eq(link_remove(images_fd, "pi", present), -ENOENT);
}
