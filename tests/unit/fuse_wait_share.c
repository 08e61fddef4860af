/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* C6: what one image can make a single-threaded server wait is at most half of any second. On a clock of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/process/wait_share.h"

#define MS WAIT_MS
#define START (1000 * WAIT_S + 7 * MS)

/* It waits from `at_ns` for as long as it may, at most `length_ns`. Returns for how long. */
static int64_t wait_at(struct wait_share *share, int64_t at_ns, int64_t length_ns)
{
	int64_t left_ns = wait_share_left(share, at_ns);

	if (left_ns > length_ns)
		left_ns = length_ns;
	wait_share_begin(share, at_ns, at_ns);
	wait_share_end(share, at_ns + left_ns);
	return left_ns;
}

Test(wait_share, a_request_has_its_whole_wait_and_the_next_one_what_is_left)
{
	struct wait_share share = { 0 };

	cr_assert_eq(wait_at(&share, START, WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	int64_t left_ns = wait_share_left(&share, START + WAIT_REQUEST_NS);

	cr_assert_leq(left_ns, WAIT_IMAGE_SHARE_NS - WAIT_REQUEST_NS);
	cr_assert_geq(left_ns, WAIT_IMAGE_SHARE_NS - WAIT_REQUEST_NS - 2 * WAIT_SHARE_SLOT_NS);
	/* A second after it all of it is there again. */
	cr_assert_eq(wait_share_left(&share, START + WAIT_REQUEST_NS + WAIT_IMAGE_SPAN_NS), WAIT_REQUEST_NS);
}

Test(wait_share, waits_side_by_side_count_once)
{
	struct wait_share share = { 0 };

	for (int i = 0; i < 20; i++)
		wait_share_begin(&share, START + i * MS, START + i * MS);
	for (int i = 0; i < 20; i++)
		wait_share_end(&share, START + (200 + i) * MS);
	/* 219 ms of it are gone, not 20 times 200. */
	cr_assert_geq(wait_share_left(&share, START + 219 * MS), 225 * MS);
}

Test(wait_share, a_wait_that_lasts_counts_up_to_now)
{
	struct wait_share share = { 0 };

	wait_share_begin(&share, START, START);
	cr_assert_eq(wait_share_left(&share, START), WAIT_REQUEST_NS);
	cr_assert_leq(wait_share_left(&share, START + 300 * MS), 200 * MS);
	cr_assert_eq(wait_share_left(&share, START + 500 * MS), 0);
	/* Nothing leaves the span while it goes on. */
	cr_assert_eq(wait_share_left(&share, START + 5 * WAIT_S), 0);
	wait_share_end(&share, START + 5 * WAIT_S);
	cr_assert_eq(wait_share_left(&share, START + 5 * WAIT_S), 0);
	cr_assert_eq(wait_share_left(&share, START + 6 * WAIT_S + WAIT_SHARE_SLOT_NS), WAIT_REQUEST_NS);
}

Test(wait_share, it_waits_since_it_came)
{
	struct wait_share share = { 0 };

	wait_share_begin(&share, START, START + 150 * MS);
	wait_share_end(&share, START + 160 * MS);
	cr_assert_leq(wait_share_left(&share, START + 160 * MS), 340 * MS);
}

/* Exactly, by milliseconds: the most that was waited in any second. */
static int64_t most_in_a_second(const bool *waited, size_t count)
{
	size_t sum = 0, most = 0;

	for (size_t i = 0; i < count; i++) {
		sum += waited[i];
		sum -= i >= 1000 && waited[i - 1000];
		if (sum > most)
			most = sum;
	}
	return (int64_t)most * MS;
}

/* Whoever asks, however often: it is a sliding window, not a bucket that fills. */
Test(wait_share, never_more_than_half_of_any_second)
{
	static bool waited[60000];
	unsigned long total = 0;

	srandom(5);
	for (int round = 0; round < 40; round++) {
		struct wait_share share = { 0 };
		int64_t longest = 1 + random() % 400, pause = random() % 300;

		memset(waited, 0, sizeof(waited));
		for (size_t at = 0; at < 59000;) {
			int64_t length_ns = wait_at(&share, START + (int64_t)at * MS, (1 + random() % longest) * MS);

			for (int64_t i = 0; i < length_ns / MS; i++)
				waited[at + (size_t)i] = true;
			total += (unsigned long)(length_ns / MS);
			at += (size_t)(length_ns / MS) + (pause ? (size_t)(random() % pause) : 0) + (length_ns == 0);
		}
		cr_assert_leq(most_in_a_second(waited, 60000), WAIT_IMAGE_SHARE_NS, "round %d", round);
	}
	/* Nor much less, where it is asked for. */
	cr_assert_geq(total, 40UL * 59000 * 3 / 10);
}

Test(wait_share, a_device_is_waited_for_unless_it_was_late)
{
	struct wait_share share = { 0 };

	wait_at(&share, START, WAIT_REQUEST_NS);
	cr_assert_eq(wait_share_left_for_device(&share, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	wait_share_late(&share, START + 600 * MS, START + 1035 * MS);
	cr_assert_leq(wait_share_left_for_device(&share, START + 1035 * MS), 65 * MS);
	cr_assert_eq(wait_share_left_for_device(&share, START + 1500 * MS), wait_share_left(&share, START + 1500 * MS));
	cr_assert_eq(wait_share_left_for_device(&share, START + 2035 * MS), WAIT_REQUEST_NS);
}

Test(wait_share, a_final_retry_comes_at_once)
{
	struct wait_share share = { 0 };

	cr_assert(!wait_share_is_final_retry(&share, 5 * MS));
	wait_share_stale(&share, START);
	cr_assert(wait_share_is_final_retry(&share, START + MS));
	cr_assert(!wait_share_is_final_retry(&share, START + WAIT_FINAL_RETRY_NS));
}
