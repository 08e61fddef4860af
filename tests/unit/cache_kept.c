/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/kept.c: what is held for readers, in memory and past the budget. */
#include <criterion/criterion.h>
#include <errno.h>

#include "cache/device/kept.h"

static void expect_used(struct kept_budget *budget, uint64_t memory_expected, uint64_t file_expected)
{
	uint64_t memory_bytes, file_bytes;

	kept_budget_used(budget, &memory_bytes, &file_bytes);
	cr_expect_eq(memory_bytes, memory_expected);
	cr_expect_eq(file_bytes, file_expected);
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
	struct kept_budget *budget = kept_budget_new(150, "/tmp");
	struct kept *first, *second;

	cr_assert_eq(kept_new(budget, 100, KEPT_ANYWHERE, &first), 0);
	cr_assert_eq(kept_new(budget, 100, KEPT_ANYWHERE, &second), 0);
	expect_used(budget, 100, 100);
	cr_expect_not_null(kept_memory(first, 5));
	cr_expect_null(kept_memory(second, 5));
	expect_holds(first);
	expect_holds(second);
	kept_unref(first);
	expect_used(budget, 0, 100);
	cr_expect_eq(kept_ref(second), second);
	kept_unref(second);
	expect_used(budget, 0, 100);
	kept_unref(second);
	kept_unref(NULL);
	expect_used(budget, 0, 0);
	kept_budget_unref(budget);
}

Test(cache_kept, e_no_file_is_an_io_error)
{
	struct kept_budget *budget = kept_budget_new(0, "/nonexistent");
	struct kept *kept;

	cr_expect_eq(kept_new(budget, 100, KEPT_ANYWHERE, &kept), -EIO);
	expect_used(budget, 0, 0);
	kept_budget_unref(budget);
}

Test(cache_kept, e_a_full_file_system_is_an_io_error)
{
	struct kept_budget *budget = kept_budget_new(0, "/tmp");
	struct kept *kept;

	/* Beyond what any file may be long. */
	cr_assert_eq(kept_new(budget, UINT64_MAX, KEPT_ANYWHERE, &kept), 0);
	cr_expect_eq(kept_write(kept, (uint64_t)INT64_MAX - 10, "abc", 3), -EIO);
	kept_unref(kept);
	kept_budget_unref(budget);
}
