/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse/names/tables: what a listing remembers of images that rest, and what it does not. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/device/opener.h"
#include "fuse/names/tables.h"

static struct tables *tables; /* as the daemon's, for as long as the process lasts */

static void start(void)
{
	tables = tables_new(true, NULL);
	cr_assert_not_null(tables);
}

TestSuite(tables, .init = start);

static const struct stat file = { .st_dev = 7, .st_ino = 11, .st_size = 4096, .st_mode = S_IFREG, .st_ctim = { 1000, 5 } };

/* Of `st`, with partitions 1 and 5. */
static struct tables_of two_of(const struct stat *st)
{
	struct tables_of of = {
		.rests = true,
		.file = { st->st_dev, st->st_ino, st->st_size, st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec },
		.numbers = malloc(2 * sizeof(unsigned)),
		.count = 2,
	};

	of.numbers[0] = 1;
	of.numbers[1] = 5;
	return of;
}

static bool is_found(const struct stat *st)
{
	struct tables_found *last = tables_last(tables);
	struct tables_of of = { 0 };
	bool found = tables_find(last, st, &of);

	tables_put(last);
	if (found)
		cr_expect(of.rests && of.count == 2 && of.numbers[0] == 1 && of.numbers[1] == 5);
	free(of.numbers);
	return found;
}

static void keep(struct tables_of *of)
{
	const struct tables_of *const all[] = { of };

	tables_keep(tables, all, 1);
	free(of->numbers);
}

Test(tables, c1_a_file_is_known_by_all_that_a_change_of_it_changes)
{
	struct tables_of of = two_of(&file);
	struct stat other;

	cr_expect_not(is_found(&file), "nothing was listed yet");
	keep(&of);
	cr_expect(is_found(&file));
	other = file, other.st_ctim.tv_nsec++;
	cr_expect_not(is_found(&other), "written");
	other = file, other.st_size++;
	cr_expect_not(is_found(&other), "grown");
	other = file, other.st_ino++;
	cr_expect_not(is_found(&other), "replaced");
	other = file, other.st_dev++;
	cr_expect_not(is_found(&other), "of another filesystem that is mounted there");
}

Test(tables, s5_no_more_is_remembered_than_the_last_listing_found)
{
	struct stat next = { .st_dev = 7, .st_ino = 3, .st_size = 1, .st_mode = S_IFREG };
	struct tables_of first = two_of(&file), second = two_of(&next), third = two_of(&file);
	struct tables_found *before;

	keep(&first);
	before = tables_last(tables);
	keep(&second);
	cr_expect_not(is_found(&file));
	cr_expect(is_found(&next));
	/* Who began before has what there was. */
	first = (struct tables_of){ 0 };
	cr_expect(tables_find(before, &file, &first));
	free(first.numbers);
	tables_put(before);
	third.rests = false;
	keep(&third);
	cr_expect_not(is_found(&file), "what does not rest is not remembered");
	cr_expect_not(is_found(&next));
}

static char path[] = "/tmp/imagefs-tables-XXXXXX";

static void open_it(const struct opener_request *request, struct opener_answer *answer)
{
	cr_expect_eq(request->what, (unsigned)OPENER_ASK_OPEN);
	*answer = (struct opener_answer){ .fds = { open(path, O_RDONLY | O_CLOEXEC), -1 } };
}

Test(tables, c1_what_has_just_changed_is_for_the_image_to_say)
{
	struct tables_of of = { 0 };
	struct stat st;
	int fd = mkstemp(path);

	opener_ask_with(open_it);
	cr_assert(fd >= 0 && ftruncate(fd, 1 << 20) == 0 && fstat(fd, &st) == 0);
	cr_expect_not(tables_read(tables, "any.img", &st, &of));
	/* Nor what it was before, when that is long ago. */
	st.st_ctim.tv_sec -= 1000;
	cr_expect_not(tables_read(tables, "any.img", &st, &of));
	unlink(path);
	close(fd);
}
