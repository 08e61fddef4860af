/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/kept.c: what is held for readers, in memory and past the budget. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cache/device/kept.h"

static pthread_t closed_by; /* whoever closed something last */

/* In libc's place. */
int close(int fd)
{
	closed_by = pthread_self();
	return (int)syscall(SYS_close, fd);
}

static struct kept_budget *budget_of(uint64_t memory_bytes, uint64_t file_bytes, const char *directory)
{
	return kept_budget_new(&(struct kept_amount){ memory_bytes, file_bytes, 100 }, directory);
}

/* What is large is given back by a thread. */
static void expect_used(struct kept_budget *budget, uint64_t memory_expected, uint64_t file_expected)
{
	struct kept_amount used, limit = { 0 };

	for (int i = 0; i < 5000; i++) {
		used = (struct kept_amount){ 0 };
		kept_budget_add(budget, &used, &limit);
		if (used.memory_bytes == memory_expected && used.file_bytes == file_expected)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	cr_expect_eq(used.memory_bytes, memory_expected);
	cr_expect_eq(used.file_bytes, file_expected);
}

static void expect_holds(struct kept *kept)
{
	char buffer[4];

	cr_assert_eq(kept_write(kept, 0, "abc", 3), 0);
	cr_assert_eq(kept_write(kept, 3, "defg", 4), 0);
	cr_assert_eq(kept_read(kept, 2, buffer, 4), 0);
	cr_expect_arr_eq(buffer, "cdef", 4);
	cr_expect_eq(kept_write(kept, 98, "abc", 3), -EIO);
	cr_expect_eq(kept_read(kept, 98, buffer, 3), -EIO);
	cr_expect_eq(kept_read(kept, UINT64_MAX, buffer, 3), -EIO);
}

Test(cache_kept, c2_in_memory_within_the_budget_else_in_a_file)
{
	struct kept_budget *budget = budget_of(150, 7, "/tmp");
	struct kept *first, *second;

	cr_assert_eq(kept_new(budget, 100, KEPT_ANYWHERE, &first), 0);
	cr_assert_eq(kept_new(budget, 100, KEPT_ANYWHERE, &second), 0);
	expect_used(budget, 100, 0);
	cr_expect_not_null(kept_memory(first, 5));
	cr_expect_null(kept_memory(second, 5));
	expect_holds(first);
	expect_holds(second);
	expect_used(budget, 100, 7);
	cr_expect_eq(kept_write(second, 50, "a", 1), -EIO, "more is in files than may be");
	kept_unref(first);
	expect_used(budget, 0, 7);
	cr_expect_eq(kept_ref(second), second);
	kept_unref(second);
	expect_used(budget, 0, 7);
	kept_unref(second);
	kept_unref(NULL);
	expect_used(budget, 0, 0);
	kept_budget_unref(budget);
}

Test(cache_kept, e_no_file_is_an_io_error)
{
	struct kept_budget *budget = budget_of(0, 100, "/nonexistent");
	struct kept *kept;

	cr_expect_eq(kept_new(budget, 100, KEPT_ANYWHERE, &kept), -EIO);
	expect_used(budget, 0, 0);
	kept_budget_unref(budget);
}

Test(cache_kept, e_a_full_file_system_is_an_io_error)
{
	struct kept_budget *budget = budget_of(0, 100, "/tmp");
	struct kept *kept;

	/* Beyond what any file may be long. */
	cr_assert_eq(kept_new(budget, UINT64_MAX, KEPT_ANYWHERE, &kept), 0);
	cr_expect_eq(kept_write(kept, (uint64_t)INT64_MAX - 1, "abc", 3), -EIO);
	kept_unref(kept);
	kept_budget_unref(budget);
}

Test(cache_kept, s5_one_image_is_refused_past_its_share_and_another_is_not)
{
	struct kept_budget *whole = budget_of(1000, 1000, "/tmp");
	struct kept_budget *greedy = kept_budget_share(whole, &(struct kept_amount){ 100, 10, 100 });
	struct kept_budget *modest = kept_budget_share(whole, &(struct kept_amount){ 100, 10, 100 });
	struct kept *first, *second, *third;

	cr_assert_eq(kept_new(greedy, 100, KEPT_IN_MEMORY, &first), 0);
	cr_expect_eq(kept_new(greedy, 1, KEPT_IN_MEMORY, &second), -EAGAIN);
	/* A file may be as large as it likes: what is written of it counts. */
	cr_assert_eq(kept_new(greedy, UINT64_C(4) << 30, KEPT_ANYWHERE, &second), 0);
	cr_expect_eq(kept_write(second, 0, "0123456789", 10), 0);
	cr_expect_eq(kept_write(second, 1 << 30, "a", 1), -EIO);
	cr_assert_eq(kept_new(modest, 100, KEPT_IN_FILE, &third), 0);
	cr_expect_eq(kept_write(third, 0, "a", 1), 0);
	expect_used(greedy, 100, 10);
	expect_used(modest, 0, 1);
	expect_used(whole, 100, 11);
	/* A share lives as long as what is kept in it, and the whole as long as they do. */
	kept_budget_unref(greedy);
	kept_budget_unref(modest);
	kept_unref(first);
	kept_unref(second);
	expect_used(whole, 0, 1);
	kept_unref(third);
	expect_used(whole, 0, 0);
	kept_budget_unref(whole);
}

Test(cache_kept, s5_together_they_have_no_more_than_the_whole)
{
	struct kept_budget *whole = budget_of(150, 15, "/tmp");
	struct kept_budget *shares[2];
	struct kept *kept[2], *files[2];

	for (int i = 0; i < 2; i++)
		shares[i] = kept_budget_share(whole, &(struct kept_amount){ 100, 10, 100 });
	cr_assert_eq(kept_new(shares[0], 100, KEPT_IN_MEMORY, &kept[0]), 0);
	cr_expect_eq(kept_new(shares[1], 100, KEPT_IN_MEMORY, &kept[1]), -EAGAIN);
	expect_used(shares[1], 0, 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(kept_new(shares[i], 100, KEPT_IN_FILE, &files[i]), 0);
	cr_expect_eq(kept_write(files[0], 0, "0123456789", 10), 0);
	cr_expect_eq(kept_write(files[1], 0, "0123456789", 10), -EIO);
	cr_expect_eq(kept_write(files[1], 0, "01234", 5), 0);
	expect_used(whole, 100, 15);
	kept_unref(kept[0]);
	for (int i = 0; i < 2; i++) {
		kept_unref(files[i]);
		kept_budget_unref(shares[i]);
	}
	expect_used(whole, 0, 0);
	kept_budget_unref(whole);
}

/* However little is written to each: descriptors are few. */
Test(cache_kept, s5_files_have_a_share_too)
{
	struct kept_budget *whole = kept_budget_new(&(struct kept_amount){ 0, 1000, 10 }, "/tmp");
	struct kept_budget *greedy = kept_budget_share(whole, &(struct kept_amount){ 100, 1000, 2 });
	struct kept_budget *modest = kept_budget_share(whole, &(struct kept_amount){ 100, 1000, 2 });
	struct kept *kept[3], *other;
	struct kept_amount used = { 0 }, limit = { 0 };

	for (int i = 0; i < 2; i++)
		cr_assert_eq(kept_new(greedy, 1, KEPT_IN_FILE, &kept[i]), 0);
	cr_expect_eq(kept_new(greedy, 1, KEPT_IN_FILE, &kept[2]), -EIO);
	cr_expect_eq(kept_new(greedy, 101, KEPT_ANYWHERE, &kept[2]), -EIO);
	cr_assert_eq(kept_new(modest, 1, KEPT_IN_FILE, &other), 0);
	kept_budget_add(whole, &used, &limit);
	cr_expect_eq(used.files, 3);
	cr_expect_eq(limit.files, 10);
	kept_unref(kept[0]);
	cr_assert_eq(kept_new(greedy, 1, KEPT_IN_FILE, &kept[0]), 0);
	kept_unref(kept[0]);
	kept_unref(kept[1]);
	kept_unref(other);
	kept_budget_unref(greedy);
	kept_budget_unref(modest);
	used = limit = (struct kept_amount){ 0 };
	kept_budget_add(whole, &used, &limit);
	cr_expect_eq(used.files, 0);
	kept_budget_unref(whole);
}

/* What could not be had is not counted. */
Test(cache_kept, s5_a_file_that_was_not_made_is_not_counted)
{
	struct kept_budget *whole = budget_of(0, 1000, "/nowhere");
	struct kept_amount used = { 0 }, limit = { 0 };
	struct kept *kept;

	for (int i = 0; i < 200; i++)
		cr_expect_eq(kept_new(whole, 1, KEPT_IN_FILE, &kept), -EIO);
	kept_budget_add(whole, &used, &limit);
	cr_expect_eq(used.files, 0);
	kept_budget_unref(whole);
}

/* Milliseconds for each that is large, and as many as nobody waits for. */
Test(cache_kept, c6_what_is_large_is_given_back_by_a_thread)
{
	struct kept_budget *budget = budget_of(0, 1 << 30, "/tmp");
	struct kept *small, *large[3];

	cr_assert_eq(kept_new(budget, 1 << 20, KEPT_IN_FILE, &small), 0);
	cr_expect_eq(kept_write(small, 0, "small", 5), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(kept_new(budget, 2 << 20, KEPT_IN_FILE, &large[i]), 0);
		cr_expect_eq(kept_write(large[i], 0, "large", 5), 0);
	}
	kept_unref(small);
	cr_expect(pthread_equal(closed_by, pthread_self()));
	for (int i = 0; i < 3; i++)
		kept_unref(large[i]);
	expect_used(budget, 0, 0);
	cr_expect_not(pthread_equal(closed_by, pthread_self()));
	kept_budget_unref(budget);
}
