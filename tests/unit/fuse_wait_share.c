/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* C6: what one image can make a single-threaded server wait is at most half of any second. On a clock of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/process/wait_share.h"

#define MS WAIT_MS
#define SERVER 4711
#define START (1000 * WAIT_S + 7 * MS)

static const uint64_t image = 17, other = 18;

/* It waits from `at_ns` for as long as it may, at most `length_ns`. Returns for how long. */
static int64_t wait_at(struct wait_shares *share, int64_t at_ns, int64_t length_ns)
{
	int64_t left_ns = wait_share_left(share, image, SERVER, 0, at_ns);

	if (left_ns > length_ns)
		left_ns = length_ns;
	wait_share_count(share, image, SERVER, at_ns, at_ns + left_ns);
	return left_ns;
}

Test(wait_share, a_request_has_its_whole_wait_and_the_next_one_what_is_left)
{
	static struct wait_shares share;

	cr_assert_eq(wait_at(&share, START, WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	int64_t left_ns = wait_share_left(&share, image, SERVER, 0, START + WAIT_REQUEST_NS);

	cr_assert_leq(left_ns, WAIT_IMAGE_SHARE_NS - WAIT_REQUEST_NS);
	cr_assert_geq(left_ns, WAIT_IMAGE_SHARE_NS - WAIT_REQUEST_NS - 2 * WAIT_SHARE_SLOT_NS);
	/* A second after it all of it is there again. */
	cr_assert_eq(wait_share_left(&share, image, SERVER, 0, START + WAIT_REQUEST_NS + WAIT_IMAGE_SPAN_NS), WAIT_REQUEST_NS);
}

Test(wait_share, waits_side_by_side_count_once)
{
	static struct wait_shares share;

	for (int i = 0; i < 20; i++)
		wait_share_count(&share, image, SERVER, START + i * MS, START + (200 + i) * MS);
	/* 219 ms of it are gone, not 20 times 200. */
	cr_assert_geq(wait_share_left(&share, image, SERVER, 0, START + 219 * MS), 225 * MS);
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
		static struct wait_shares share;
		int64_t longest = 1 + random() % 400, pause = random() % 300;

		memset(&share, 0, sizeof(share));
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

Test(wait_share, nothing_is_inherited_by_another_image_or_thread)
{
	static struct wait_shares share;

	wait_at(&share, START, WAIT_REQUEST_NS);
	cr_assert_lt(wait_share_left(&share, image, SERVER, 0, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	cr_assert_eq(wait_share_left(&share, image, SERVER + 1, 0, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	cr_assert_eq(wait_share_left(&share, other, SERVER, 0, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
}

/* More threads and images than are told apart: who waited longest ago is forgotten, and nothing breaks. */
Test(wait_share, who_waited_last_is_remembered)
{
	static struct wait_shares share;

	for (pid_t thread = 1; thread < 4000; thread++)
		wait_share_count(&share, image, thread + 10000, START, START + thread * 1000);
	wait_share_count(&share, image, SERVER, START, START + WAIT_REQUEST_NS);
	cr_assert_lt(wait_share_left(&share, image, SERVER, 0, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
	cr_assert_eq(wait_share_left(&share, other, SERVER, 0, START + WAIT_REQUEST_NS), WAIT_REQUEST_NS);
}

Test(wait_share, what_was_waited_for_before_it_was_at_rest_does_not_count)
{
	static struct wait_shares share;
	int64_t rest_ns = START + WAIT_REQUEST_NS;

	wait_at(&share, START, WAIT_REQUEST_NS);
	cr_assert_eq(wait_share_left(&share, image, SERVER, rest_ns, rest_ns + MS), WAIT_REQUEST_NS);
	wait_share_count(&share, image, SERVER, rest_ns + 100 * MS, rest_ns + 400 * MS);
	cr_assert_leq(wait_share_left(&share, image, SERVER, rest_ns, rest_ns + 400 * MS), 200 * MS);
}

static int64_t start(void)
{
	return START;
}

static int64_t later(void)
{
	return START + WAIT_OTHER_IMAGE_NS;
}

/* A server of several images serves nobody while it waits: for it, rest forgives nothing. */
Test(wait_share, who_asks_of_other_images_too_is_not_forgiven)
{
	static struct wait_shares share;
	int64_t rest_ns = START + WAIT_REQUEST_NS;

	wait_share_asked(&share, image, SERVER, start);
	wait_share_asked(&share, image, SERVER + 1, start);
	wait_share_asked(&share, other, SERVER, start);
	wait_share_asked(&share, image, SERVER, start);
	cr_assert(wait_share_serves_others(&share, SERVER, rest_ns));
	cr_assert(!wait_share_serves_others(&share, SERVER + 1, rest_ns));
	for (pid_t thread = SERVER; thread <= SERVER + 1; thread++)
		wait_share_count(&share, image, thread, START, rest_ns);
	cr_assert_leq(wait_share_left(&share, image, SERVER, rest_ns, rest_ns), 100 * MS);
	cr_assert_eq(wait_share_left(&share, image, SERVER + 1, rest_ns, rest_ns), WAIT_REQUEST_NS);
}

Test(wait_share, a_server_of_several_images_that_asks_of_one_for_long_is_forgiven_again)
{
	static struct wait_shares share;

	wait_share_asked(&share, other, SERVER, start);
	wait_share_asked(&share, image, SERVER, start);
	wait_share_count(&share, image, SERVER, later() - WAIT_REQUEST_NS, later());
	cr_assert_eq(wait_share_left(&share, image, SERVER, later(), later()), WAIT_REQUEST_NS);
}

static int64_t clock_ns;

static int64_t now(void)
{
	return clock_ns;
}

/* One server, and so many images of which none is ever at rest, asked for in turn: by milliseconds, when does it wait? */
static int64_t most_for(uint64_t images, bool *waited, size_t count, bool in_vain)
{
	static struct wait_shares share;

	memset(&share, 0, sizeof(share));
	memset(waited, 0, count);
	for (size_t at = 0, turn = 0; at < count; turn++) {
		uint64_t asked = 100 + turn % images;
		int64_t start_ns, left_ns;

		clock_ns = start_ns = START + (int64_t)at * MS;
		wait_share_asked(&share, asked, SERVER, now);
		left_ns = wait_share_left(&share, asked, SERVER, 0, start_ns);
		if (in_vain)
			wait_share_count_in_vain(&share, asked, start_ns, start_ns + left_ns);
		wait_share_count(&share, asked, SERVER, start_ns, start_ns + left_ns);
		for (int64_t i = 0; i < left_ns / MS && at < count; i++)
			waited[at++] = true;
		at++;
	}
	/* The first time of each it is not known yet. */
	return most_in_a_second(waited + count / 2, count / 2);
}

Test(wait_share, images_that_are_never_at_rest_have_one_half_together)
{
	static bool waited[60000];

	for (uint64_t images = 2; images <= 16; images *= 2)
		cr_assert_leq(most_for(images, waited, sizeof(waited), true), WAIT_IMAGE_SHARE_NS + 25 * MS, "%d images",
			      (int)images);
	/* Those whose updates end are none of them. */
	cr_assert_geq(most_for(4, waited, sizeof(waited), false), 900 * MS);
}
