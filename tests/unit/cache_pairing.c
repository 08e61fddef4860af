/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/pairing.c: from threads that announce and have done to writes that began and ended. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/waits.h"
#include "cache/changes/guards.h"
#include "cache/changes/pairing.h"
#include "cache_told.h"

static struct pairing pairing;

static void start(void)
{
	told_start_feed();
	pairing_begin(&pairing, told, &feed.feed);
	now_ns += SECOND; /* what was under way then is over */
}

TestSuite(cache_pairing, .init = start, .fini = told_end);

static void announce(pid_t thread, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cache_range range = { offset_bytes, length_bytes };
	struct saving *saving = NULL;

	pairing_announced(&pairing, thread, &range, &saving);
	cr_assert_null(saving);
}

static void modified(pid_t thread)
{
	pairing_modified(&pairing, thread);
}

Test(cache_pairing, c5_threads_with_one_request_each_have_exact_ends)
{
	uint64_t before = observe().generation;

	for (int i = 0; i < 20; i++) {
		announce(1, 0, 4096);
		announce(65, 8192, 4096); /* the same slot */
		cr_expect_eq(in_flight_now(), 2);
		modified(65);
		cr_expect_eq(in_flight_now(), 1);
		modified(1);
		cr_expect_eq(in_flight_now(), 0);
	}
	cr_expect_eq(changes_since(before), 40);
	cr_expect(observe().exact);
	cr_expect_eq(quiet_ns(NULL), MS);
}

Test(cache_pairing, c5_a_write_waits_for_its_own_end)
{
	announce(1, 0, 4096);
	announce(2, 8192, 4096);
	modified(2);
	now_ns += 150 * MS;
	observe();
	cr_expect_eq(quiet_ns(NULL), 0, "the first one is executed still");
}

Test(cache_pairing, c4_reads_are_no_writes)
{
	uint64_t before = observe().generation;

	for (int i = 0; i < 5; i++) {
		announce(1, 0, 4096);
		pairing_accessed(&pairing, 1);
	}
	cr_expect_eq(in_flight_now(), 0);
	cr_expect_eq(changes_since(before), 0);
	/* Through a descriptor from before listening began. */
	pairing_accessed(&pairing, 2);
	cr_expect_eq(observe().generation, before);
	cr_expect(is_exact());
}

Test(cache_pairing, c5_a_thread_that_tells_no_ends_is_uncertain)
{
	struct cache_range first = { 0, 4096 };
	uint64_t before = observe().generation;

	/* libaio */
	announce(1, 0, 4096);
	announce(1, 8192, 4096);
	cr_expect_eq(in_flight_now(), 2);
	cr_expect_eq(quiet_ns(NULL), 0, "it began just now");
	now_ns += 300 * MS;
	cr_expect_eq(quiet_ns(&first), 300 * MS);
	announce(1, 16384, 4096);
	cr_expect_eq(in_flight_now(), 3);
	now_ns += WAIT_CTIME_LAG_NS - 150 * MS;
	cr_expect_eq(observe().in_flight, 1);
	now_ns += 150 * MS;
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 3);
	cr_expect(is_exact());
}

Test(cache_pairing, c5_a_merged_end_ends_none_of_them)
{
	/* io_uring */
	announce(1, 0, 4096);
	announce(1, 8192, 4096);
	modified(1);
	modified(1);
	cr_expect_eq(in_flight_now(), 2);
	announce(1, 16384, 4096);
	modified(1);
	cr_expect_eq(in_flight_now(), 3);
	cr_expect(observe().exact, "it is no stranger");
}

/* It tells now and then; the time counts from the last that was heard of it. */
Test(cache_pairing, c5_a_thread_with_several_requests_stays_one_while_it_is_heard_of)
{
	announce(1, 0, 4096);
	announce(1, 8192, 4096);
	now_ns += WAIT_CTIME_LAG_NS - 10 * MS;
	modified(1);
	now_ns += WAIT_CTIME_LAG_NS - 10 * MS;
	announce(1, 0, 4096);
	modified(1);
	observe();
	cr_expect_eq(in_flight_now(), 1, "no end is believed");
	now_ns += WAIT_CTIME_LAG_NS - 10 * MS;
	pairing_accessed(&pairing, 1);
	now_ns += WAIT_CTIME_LAG_NS - 10 * MS;
	announce(1, 0, 4096);
	modified(1);
	observe();
	cr_expect_eq(in_flight_now(), 1);
	now_ns += WAIT_CTIME_LAG_NS;
	observe();
	announce(1, 0, 4096);
	modified(1);
	cr_expect_eq(in_flight_now(), 0, "after a silence it is");
	cr_expect(is_exact());
}

Test(cache_pairing, c5_a_write_that_failed_tells_no_end)
{
	uint64_t before = observe().generation;

	announce(1, 0, 4096);
	now_ns += 10 * MS;
	announce(1, 8192, 4096);
	modified(1);
	cr_expect_eq(in_flight_now(), 2);
	now_ns += WAIT_CTIME_LAG_NS;
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 2);
	cr_expect(is_exact());
}

Test(cache_pairing, c8_a_size_that_is_set_may_be_anything_behind_it)
{
	struct cache_range front = { 0, MIB }, behind = { 2 * MIB, UINT64_C(1) << 40 };
	uint64_t before;

	now_ns += 10 * SECOND;
	before = observe().generation;
	announce(1, MIB, 0);
	cr_expect_eq(in_flight_now(), 1);
	cr_expect_geq(quiet_ns(&front), SECOND);
	cr_expect_eq(quiet_ns(&behind), 0);
	/* A write of the same thread goes on beside it, with its end. */
	announce(1, 0, 4096);
	modified(1);
	cr_expect_eq(in_flight_now(), 1);
	cr_expect_eq(changes_since(before), 2);
	cr_expect(is_exact());
}

Test(cache_pairing, c5_a_thread_without_a_number_may_be_many)
{
	announce(0, 0, 4096);
	modified(0);
	cr_expect_eq(in_flight_now(), 1);
	modified(0);
	cr_expect(is_exact());
}

Test(cache_pairing, c5_an_end_of_what_was_not_announced_is_a_stranger_s)
{
	uint64_t before = observe().generation;

	modified(3);
	cr_expect_not(observe().exact);
	cr_expect_eq(changes_since(before), -1);
	now_ns += WAIT_STRANGER_NS;
	cr_expect(observe().exact);
	announce(4, 0, 4096);
	modified(4);
	cr_expect(observe().exact);
	modified(4);
	cr_expect_not(observe().exact, "its other descriptor is from before");
}

Test(cache_pairing, c5_what_was_under_way_when_listening_began_is_looked_at_again)
{
	uint64_t before;

	pairing_begin(&pairing, told, &feed.feed);
	before = observe().generation;
	now_ns += 100 * MS;
	modified(5);
	cr_expect(observe().exact);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	modified(6);
	cr_expect(observe().exact, "each thread's first");
	modified(5);
	cr_expect_not(observe().exact, "and no more");
}

Test(cache_pairing, c5_nothing_is_under_way_for_long)
{
	pairing_begin(&pairing, told, &feed.feed);
	now_ns += WAIT_SETTLE_NS;
	modified(5);
	cr_expect_not(observe().exact);
}

Test(cache_pairing, c5_who_was_heard_of_since_is_not_from_before)
{
	pairing_begin(&pairing, told, &feed.feed);
	announce(5, 0, 4096);
	modified(5);
	cr_expect(observe().exact);
	modified(5);
	cr_expect_not(observe().exact);
	now_ns += WAIT_STRANGER_NS;
	pairing_begin(&pairing, told, &feed.feed);
	announce(5, MIB, 0);
	modified(5);
	cr_expect_not(observe().exact, "the size was set, so it is not that");
}

Test(cache_pairing, c5_an_end_that_comes_after_the_lag_is_nobody_s)
{
	uint64_t before = observe().generation;

	announce(1, 0, 4096);
	now_ns += WAIT_CTIME_LAG_NS - 100 * MS;
	observe();
	modified(1);
	cr_expect(observe().exact, "late, but its own");
	cr_expect_eq(changes_since(before), 1);
	announce(1, 0, 4096);
	now_ns += WAIT_CTIME_LAG_NS;
	observe();
	before = observe().generation;
	modified(1);
	cr_expect_not(observe().exact);
	cr_expect_gt(observe().generation, before, "what it has done is looked at");
}

/* More in flight than the log can follow: then it does not know all that may be written. */
Test(cache_pairing, s5_a_flood_without_ends_is_a_stranger_s)
{
	for (unsigned i = 0; i < 1024; i++)
		announce(1, (uint64_t)i * 4096, 4096);
	cr_expect(observe().exact);
	announce(1, 0, 4096);
	cr_expect_not(observe().exact);
	now_ns += WAIT_STRANGER_NS;
	cr_expect(observe().exact);
	announce(2, 0, 4096);
	modified(2);
	cr_expect(observe().exact);
}

Test(cache_pairing, s5_nor_can_sizes_be_followed_then)
{
	for (unsigned i = 0; i < 1024; i++)
		announce(1, (uint64_t)i * 4096, 4096);
	announce(2, MIB, 0);
	cr_expect_not(observe().exact);
}

Test(cache_pairing, c5_what_an_announced_write_replaces_is_preserved)
{
	struct guard *guard = guard_of(0, 4096);
	struct cache_range range = { 0, 512 }, size = { 100, 0 };
	struct saving *saving = NULL;

	cr_assert_eq(write_log_guard(told, guard, observe().generation), 0);
	pairing_announced(&pairing, 1, &range, &saving);
	cr_assert_not_null(saving);
	saving_free(saving);
	saving = NULL;
	pairing_announced(&pairing, 2, &size, &saving);
	cr_assert_not_null(saving);
	saving_free(saving);
	write_log_unguard(told, guard);
	guard_unref(guard);
}
