/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What came is held against what came before: other bytes, another length, gone in between are wrong. */
#include "tools/storm/truth.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct truth_asked kernel = { .path = "89025d75/kernel8.img",
					   .board = "89025d75",
					   .name = "kernel8.img" };
static const struct truth_asked other = { .path = "ffffffff/kernel8.img",
					  .board = "ffffffff",
					  .name = "kernel8.img" };

static XXH128_hash_t hash(uint64_t value)
{
	return (XXH128_hash_t){ .low64 = value, .high64 = 1 };
}

Test(storm_truth, the_same_again_is_right_and_another_path_is_another_file)
{
	struct truth truth = { 0 };
	struct figures figures = { 0 };

	truth_take_file(&truth, &kernel, hash(1), 10, &figures);
	truth_take_size(&truth, &kernel, 10, &figures);
	truth_take_file(&truth, &other, hash(2), 20, &figures);
	truth_take_file(&truth, &kernel, hash(1), 10, &figures);
	cr_assert_eq(truth_judge(&truth, NULL, &figures), 0);
	cr_assert_eq(figures_wrong(&figures), 0);
	truth_free(&truth);
}

Test(storm_truth, other_bytes_and_other_lengths_are_wrong)
{
	struct truth truth = { 0 };
	struct figures figures = { 0 };

	truth_take_size(&truth, &kernel, 10, &figures);
	truth_take_file(&truth, &kernel, hash(1), 10, &figures);
	truth_take_file(&truth, &kernel, hash(2), 10, &figures);
	cr_assert_eq(figures.differing, 1);
	truth_take_file(&truth, &kernel, hash(1), 11, &figures);
	cr_assert_eq(figures.differing, 2);
	truth_take_size(&truth, &kernel, 9, &figures);
	cr_assert_eq(figures.differing, 3);
	cr_assert_eq(figures_wrong(&figures), 3);
	truth_free(&truth);
}

Test(storm_truth, not_found_is_right_unless_it_was_there)
{
	struct truth truth = { 0 };
	struct figures figures = { 0 };

	truth_take_absent(&truth, &kernel);
	truth_take_file(&truth, &other, hash(1), 10, &figures);
	cr_assert_eq(truth_judge(&truth, NULL, &figures), 0);
	cr_assert_eq(figures_wrong(&figures), 0);
	truth_take_size(&truth, &kernel, 10, &figures);
	cr_assert_eq(truth_judge(&truth, NULL, &figures), 0);
	cr_assert_eq(figures.missing, 1);
	truth_free(&truth);
}

Test(storm_truth, times_are_by_nearest_rank)
{
	struct figures figures = { .seconds = 2, .bytes = 3000000 };
	struct figures_about about = { .server = "s", .asks = "a", .boards = 1, .rounds = 1 };
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	for (int64_t i = 100; i > 0; i--)
		figures_take(&figures, TIME_ANSWER, 0, i * 1000);
	figures_print_json(&figures, &about, out);
	fclose(out);
	cr_assert(strstr(text, "\"answer\": {\"count\": 100, \"p50\": 50.0, \"p95\": 95.0, \"p99\": 99.0, "
			       "\"max\": 100.0}"),
		  "%s", text);
	cr_assert(strstr(text, "\"mb_per_second\": 1.500"), "%s", text);
	free(text);
	figures_free(&figures);
}
