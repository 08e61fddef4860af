/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares of what users hold open (CONTRACT S5): what is equal is there once, and past a share the oldest
 * goes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuse/process/handles.h"
#include "fuse/process/holds.h"

#define MIB ((size_t)1 << 20)

static struct handles *handles;

static void make_handles(void)
{
	handles = handles_new();
	cr_assert_not_null(handles);
}

static size_t bytes_in_use(void)
{
	struct handles_status status;

	handles_status(handles, &status);
	return status.content_bytes;
}

static void open_one(struct handle *handle, uid_t uid, uint64_t key)
{
	cr_assert_eq(handle_open(handles, uid, key, handle), 0);
}

/* A text of that size and letter. Was there another before? */
static bool fill(struct handle *handle, char letter, size_t length_bytes)
{
	char *bytes = malloc(length_bytes);
	struct content *content;
	bool another;

	memset(bytes, letter, length_bytes);
	content = handle_fill(handle, bytes, length_bytes, &another);
	cr_assert_not_null(content);
	content_put(content);
	return another;
}

/* The letter of its text; 0: it has none (any more). */
static char letter_of(struct handle *handle)
{
	struct content *content = handle_content(handle);
	size_t length_bytes;
	char letter = content ? *content_bytes(content, &length_bytes) : 0;

	content_put(content);
	return letter;
}

Test(handles, equal_texts_of_one_user_and_key_are_there_once, .init = make_handles)
{
	static struct handle some[200], other, stranger;

	for (size_t i = 0; i < 200; i++) {
		open_one(&some[i], 1000, 7);
		cr_assert_not(fill(&some[i], 'a', 2 * MIB));
	}
	cr_assert_lt(bytes_in_use(), 3 * MIB);
	open_one(&other, 1000, 8);
	fill(&other, 'a', MIB);
	open_one(&stranger, 1001, 7);
	fill(&stranger, 'a', MIB);
	cr_assert_gt(bytes_in_use(), 4 * MIB);
	for (size_t i = 0; i < 200; i++) {
		cr_assert_eq(letter_of(&some[i]), 'a');
		handle_close(&some[i]);
	}
	handle_close(&other);
	handle_close(&stranger);
	cr_assert_eq(bytes_in_use(), 0);
}

Test(handles, past_a_users_share_the_users_oldest_goes, .init = make_handles)
{
	static struct handle neighbour, some[20];
	size_t there = 0;

	open_one(&neighbour, 1001, 1);
	fill(&neighbour, 'n', MIB);
	for (size_t i = 0; i < 20; i++) {
		open_one(&some[i], 1000, i);
		fill(&some[i], 'a', 2 * MIB);
	}
	cr_assert_leq(bytes_in_use(), HANDLES_USER_BYTES + 2 * MIB);
	cr_assert_eq(letter_of(&neighbour), 'n');
	cr_assert_eq(letter_of(&some[0]), 0);
	cr_assert_eq(letter_of(&some[19]), 'a');
	for (size_t i = 0; i < 20; i++)
		there += letter_of(&some[i]) == 'a';
	cr_assert_geq(there, HANDLES_USER_BYTES / (2 * MIB) - 1);
	/* Made anew: the same as before, or not. */
	cr_assert_not(fill(&some[0], 'a', 2 * MIB));
	cr_assert_eq(letter_of(&some[0]), 'a');
	cr_assert(fill(&some[1], 'b', 2 * MIB));
}

Test(handles, past_the_share_of_all_the_oldest_of_all_goes, .init = make_handles)
{
	static struct handle some[64];

	for (size_t i = 0; i < 64; i++) {
		open_one(&some[i], (uid_t)(1000 + i), 1);
		fill(&some[i], 'a', 2 * MIB);
		cr_assert_leq(bytes_in_use(), HANDLES_ALL_BYTES);
	}
	cr_assert_eq(letter_of(&some[0]), 0);
	cr_assert_eq(letter_of(&some[63]), 'a');
}

Test(handles, what_is_being_read_stays_until_it_was, .init = make_handles)
{
	static struct handle read, more[20];
	struct content *content;
	const char *bytes;
	size_t length_bytes;

	open_one(&read, 1000, 99);
	fill(&read, 'r', 2 * MIB);
	content = handle_content(&read);
	for (size_t i = 0; i < 20; i++) {
		open_one(&more[i], 1000, i);
		fill(&more[i], 'a', 2 * MIB);
	}
	cr_assert_eq(letter_of(&read), 0);
	bytes = content_bytes(content, &length_bytes);
	cr_assert_eq(bytes[0], 'r');
	cr_assert_eq(bytes[length_bytes - 1], 'r');
	fill(&read, 'x', 1);
	cr_assert_eq(bytes[length_bytes - 1], 'r');
	content_put(content);
	cr_assert_eq(letter_of(&read), 'x');
}

Test(handles, a_user_has_so_many_handles_and_root_has_more, .init = make_handles)
{
	static struct handle some[HANDLES_USER_MAX + 1], neighbour;
	struct handles_status status;

	for (size_t i = 0; i < HANDLES_USER_MAX; i++)
		open_one(&some[i], 1000, i);
	cr_assert_lt(handle_open(handles, 1000, 0, &some[HANDLES_USER_MAX]), 0);
	open_one(&neighbour, 1001, 0);
	handle_close(&some[0]);
	open_one(&some[0], 1000, 0);
	for (size_t i = 0; i < HANDLES_USER_MAX; i++)
		handle_close(&some[i]);
	for (size_t i = 0; i < HANDLES_USER_MAX + 1; i++)
		open_one(&some[i], 0, i);
	handles_status(handles, &status);
	cr_assert_eq(status.handles, HANDLES_USER_MAX + 2);
	cr_assert_eq(status.users, 2);
}

Test(handles, s5_a_user_reads_from_so_many_that_are_being_made, .init = make_handles)
{
	static struct handle mine[HANDLES_GROWING_MAX + 1], other;

	for (size_t i = 0; i <= HANDLES_GROWING_MAX; i++) {
		open_one(&mine[i], 0, 1);
		cr_assert_eq(handle_grow(&mine[i]), i < HANDLES_GROWING_MAX);
	}
	open_one(&other, 1000, 1);
	cr_assert(handle_grow(&other));
	handle_grown(&mine[3]);
	cr_assert(handle_grow(&mine[HANDLES_GROWING_MAX]));
}

Test(handles, a_moment_shares_what_was_just_made, .init = make_handles)
{
	static struct handle first, second, third;
	int64_t before_ns = clock_now_ns(CLOCK_MONOTONIC) - 1;

	open_one(&first, 1000, 3);
	fill(&first, 'a', 100);
	open_one(&second, 1000, 3);
	cr_assert(handle_share(&second, before_ns));
	cr_assert_eq(letter_of(&second), 'a');
	cr_assert_not(handle_share(&second, clock_now_ns(CLOCK_MONOTONIC)));
	open_one(&third, 1001, 3);
	cr_assert_not(handle_share(&third, before_ns));
	handle_close(&first);
	cr_assert_eq(letter_of(&second), 'a');
}

Test(holds, a_user_has_files_open_in_so_many_images_and_root_in_all)
{
	struct holds *holds = holds_new(3);
	struct hold *held[3], *again, *more;
	char images[4];

	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(hold_take(holds, 1000, &images[i], &held[i]), 0);
	cr_assert_lt(hold_take(holds, 1000, &images[3], &more), 0);
	/* One more file is no image more. */
	cr_assert_eq(hold_take(holds, 1000, &images[0], &again), 0);
	hold_put(holds, held[0]);
	cr_assert_lt(hold_take(holds, 1000, &images[3], &more), 0);
	hold_put(holds, again);
	cr_assert_eq(hold_take(holds, 1000, &images[3], &more), 0);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(hold_take(holds, 0, &images[i], &more), 0);
	cr_assert_eq(hold_take(holds, 1001, &images[0], &more), 0);
}

/* Whoever comes when others have taken all they can is served; and what all have is bounded. */
Test(holds, s5_many_users_leave_some_for_who_comes)
{
	struct holds *holds = holds_new(150);
	static char images[200];
	struct hold *held;
	size_t all = 0;

	for (uid_t uid = 1; uid <= 50; uid++) {
		size_t count = 0;

		while (count < sizeof(images) && hold_take(holds, uid, &images[count], &held) == 0)
			count++;
		cr_expect_geq(count, (size_t)HOLDS_LEAST, "user %u has %zu", uid, count);
		cr_expect_leq(count, 150U);
		if (uid == 4)
			cr_expect_geq(count, 16U, "the fourth has %zu", count);
		all += count;
	}
	cr_expect_leq(all, (size_t)(2 * 150 + 50 * HOLDS_LEAST), "%zu", all);
	for (size_t i = 0; i < sizeof(images); i++)
		cr_expect_eq(hold_take(holds, 0, &images[i], &held), 0);
	/* What is given back is there for others. */
	holds = holds_new(4);
	for (int round = 0; round < 100; round++) {
		cr_assert_eq(hold_take(holds, (uid_t)round + 1, &images[0], &held), 0);
		hold_put(holds, held);
	}
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(hold_take(holds, 1, &images[i], &held), 0);
}

Test(handles, s5_all_users_have_a_share_and_each_some, .init = make_handles)
{
	static struct handle one;
	struct handles_status status;

	for (uid_t uid = 1; uid <= 50; uid++) {
		unsigned count = 0;

		while (count <= HANDLES_USER_MAX && handle_open(handles, uid, count, &one) == 0)
			count++;
		cr_expect_geq(count, HANDLES_LEAST);
		cr_expect_leq(count, HANDLES_USER_MAX);
	}
	handles_status(handles, &status);
	cr_expect_leq(status.handles, HANDLES_ALL_MAX + 50 * HANDLES_LEAST);
	open_one(&one, 0, 0);
}
