/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/hints.c: which ranges a filesystem was asked to read ahead. */
#include <criterion/criterion.h>

#include "cache/device/hints.h"

#define STEP UINT64_C(524288)

static struct hints hints = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void add(uint64_t offset_bytes, uint64_t length_bytes)
{
	hints_add(&hints, &(struct cache_range){ offset_bytes, length_bytes });
}

static bool cover(uint64_t offset_bytes, uint64_t length_bytes)
{
	return hints_cover(&hints, &(struct cache_range){ offset_bytes, length_bytes });
}

Test(cache_hints, c6_what_was_asked_for_is_covered_and_nothing_else)
{
	cr_expect(!cover(0, 4096));
	cr_expect(!cover(0, 0));
	add(STEP, STEP);
	cr_expect(cover(STEP, STEP));
	cr_expect(cover(2 * STEP - 4096, 4096));
	cr_expect(!cover(STEP - 4096, 8192));
	cr_expect(!cover(2 * STEP - 4096, 8192));
	cr_expect(!cover(0, 4096));
}

Test(cache_hints, c6_steps_that_follow_each_other_are_one_range)
{
	/* A file begins at any sector; the kernel reads whole blocks. */
	for (uint64_t at = 512; at < 100 * STEP; at += STEP)
		add(at, STEP);
	cr_expect(cover(0, 100 * STEP + 512));
	cr_expect(!cover(0, 100 * STEP + 4096 + 1));
}

Test(cache_hints, s1_there_are_so_many_of_them_and_no_more)
{
	for (uint64_t i = 0; i < HINTS_MAX + 1; i++)
		add(i * 10 * STEP, STEP);
	cr_expect(!cover(0, 4096), "the oldest one went");
	for (uint64_t i = 1; i < HINTS_MAX + 1; i++)
		cr_expect(cover(i * 10 * STEP, STEP));
	add(UINT64_MAX - 4096, 4096);
	cr_expect(!cover(UINT64_MAX - 4096, 4096), "it would end behind all numbers");
}
