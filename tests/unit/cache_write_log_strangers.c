/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/trust.c: those who do not tell, and since when others do. */
#include <criterion/criterion.h>

#include "base/waits.h"
#include "cache_told.h"
#include "cache/changes/guards.h"

/* Nobody but the feed tells. */
TestSuite(cache_write_log_strangers, .init = told_start_feed, .fini = told_end);

#define TELLER (&feed.feed)

/* ---- strangers ---------------------------------------------------------------- */

Test(cache_write_log_strangers, c5_a_stranger_s_write_is_anything_until_there_was_none_for_a_while)
{
	uint64_t before = observe().generation, then;

	write_log_stranger(told);
	cr_expect_not(observe().exact);
	cr_expect_not(is_exact());
	then = observe().generation;
	cr_expect_gt(then, before);
	cr_expect_eq(changes_since(then), -1);
	cr_expect_eq(quiet_ns(NULL), -1);
	/* The device's signs count. */
	cr_expect_eq(observe().generation, then);
	device.generation++;
	cr_expect_gt(observe().generation, then);
	now_ns += WAIT_STRANGER_NS - 10 * MS;
	cr_expect_not(observe().exact);
	then = observe().generation;
	now_ns += 10 * MS;
	cr_expect(observe().exact);
	cr_expect(is_exact());
	cr_expect_eq(observe().generation, then, "nothing happened since");
	cr_expect_eq(changes_since(then), 0);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_write_log_strangers, c5_what_the_device_saw_while_a_stranger_was_about_is_anything)
{
	uint64_t before = observe().generation, then;

	write_log_stranger(told);
	then = observe().generation;
	cr_expect_gt(then, before);
	now_ns += WAIT_STRANGER_NS;
	device.generation++;
	device.quiet_ns = 70 * MS;
	cr_expect(observe().exact);
	cr_expect_eq(changes_since(then), -1);
	cr_expect_eq(quiet_ns(NULL), 70 * MS, "the device knows since when");
}

Test(cache_write_log_strangers, c5_a_change_time_that_no_write_explains_is_a_stranger_s)
{
	uint64_t before;

	begin(TELLER, 1, 0, 512);
	now_ns += 100 * MS;
	write_log_end(told, TELLER, 1);
	before = observe().generation;
	device.stamp_ns = now_ns - 50 * MS;
	observe();
	cr_expect_eq(changes_since(before), 0, "of the time of a write");
	device.stamp_ns = now_ns + 10 * MS;
	observe();
	cr_expect_eq(changes_since(before), 0, "clocks tick");
	now_ns += 100 * MS;
	device.stamp_ns = now_ns;
	cr_expect_gt(observe().generation, before);
	cr_expect_not(is_exact());
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_write_log_strangers, c5_a_change_while_a_write_is_executed_may_be_its)
{
	uint64_t before;

	device.stamp_ns = now_ns;
	now_ns += 3 * SECOND;
	observe(); /* a stranger's */
	now_ns += 3 * SECOND;
	before = observe().generation;
	begin(TELLER, 1, 0, 512);
	write_log_end_unknown(told, TELLER, 1);
	now_ns += 1500 * MS;
	device.stamp_ns = now_ns;
	observe();
	cr_expect_eq(changes_since(before), 1);
	cr_expect(is_exact());
	before = observe().generation;
	device.stamp_ns -= 1600 * MS;
	cr_expect_gt(observe().generation, before, "before it began");
	cr_expect_not(is_exact());
}

Test(cache_write_log_strangers, c5_several_times_of_writes_are_remembered)
{
	int64_t first_ns;
	uint64_t before;

	begin_and_end(TELLER, 0, 512);
	first_ns = now_ns;
	for (int i = 0; i < 5; i++) {
		now_ns += SECOND;
		begin_and_end(TELLER, 0, 512);
	}
	before = observe().generation;
	device.stamp_ns = first_ns;
	cr_expect_eq(observe().generation, before);
	device.stamp_ns = first_ns + 500 * MS;
	cr_expect_gt(observe().generation, before);
}

Test(cache_write_log_strangers, c5_a_device_without_time_stamps_has_counters)
{
	uint64_t before;

	device.stamp_ns = 0;
	observe();
	now_ns += 3 * SECOND;
	observe();
	begin_and_end(TELLER, 0, 512);
	before = observe().generation;
	now_ns += 50 * SECOND;
	device.generation++;
	cr_expect_eq(observe().generation, before, "its write is written back");
	now_ns += 11 * SECOND;
	device.generation++;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_write_log_strangers, c8_another_size_is_anything)
{
	uint64_t before = observe().generation;

	device.size_bytes += MIB;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	cr_expect(is_exact());
}

/* ---- since when ------------------------------------------------------------------ */

Test(cache_write_log_strangers, c5_what_was_under_way_when_somebody_began_to_tell_is_waited_for)
{
	uint64_t before;

	/* A gap, and the device's last change is young. */
	feed.since_ns = now_ns;
	device.steady = false;
	device.generation++;
	before = observe().generation;
	for (int i = 0; i < 3; i++) {
		struct cache_observation seen = observe();

		cr_expect_gt(seen.generation, before, "looked at each time");
		cr_expect_not(seen.exact);
		cr_expect_not(seen.steady);
		cr_expect_eq(changes_since(before), -1);
		before = seen.generation;
	}
	now_ns = feed.since_ns + WAIT_CTIME_LAG_NS - 2 * MS;
	cr_expect_not(observe().steady);
	cr_expect_not(is_exact());
	now_ns += MS;
	observe();
	before = observe().generation;
	cr_expect(observe().steady && observe().exact);
	cr_expect_eq(observe().generation, before);
	cr_expect_eq(changes_since(before), 0);
}

Test(cache_write_log_strangers, c5_a_gap_in_which_nothing_changed_takes_nothing_back)
{
	uint64_t before = observe().generation;

	feed.since_ns = now_ns;
	cr_expect_eq(observe().generation, before);
	cr_expect_eq(changes_since(before), 0);
	cr_expect(observe().steady);
	feed.since_ns = now_ns;
	device.generation++;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_write_log_strangers, c5_when_nobody_tells_the_device_s_signs_count)
{
	uint64_t before = observe().generation, then;

	feed.since_ns = 0;
	feed.why_not = "for a reason";
	then = observe().generation;
	cr_expect_eq(then, before);
	cr_expect_not(observe().exact);
	device.steady = false;
	cr_expect_not(observe().steady);
	device.generation++;
	cr_expect_gt(observe().generation, then);
	cr_expect_eq(changes_since(then), -1);
}

/* What servers report means nothing there, so it cannot stand in. */
Test(cache_write_log_strangers, c5_servers_do_not_stand_in_for_a_feed_that_ended)
{
	write_log_count_reporters(told, 1, 0);
	cr_expect(observe().exact);
	feed.since_ns = 0;
	feed.why_not = "for a reason";
	cr_expect_not(observe().exact);
	cr_expect_not(is_exact());
}

Test(cache_write_log_strangers, c5_nor_does_one_who_begins_to_report_take_anything_back)
{
	struct guard *guard = guard_of(0, 4096);

	device.steady = false;
	write_log_count_reporters(told, 1, 0);
	cr_expect(observe().steady);
	cr_expect_eq(write_log_guard(told, guard, observe().generation), 0);
	write_log_count_reporters(told, 0, 1);
	cr_expect_eq(write_log_guard_stands(told, guard), 0);
	write_log_unguard(told, guard);
	guard_unref(guard);
}

Test(cache_write_log_strangers, c7_a_blind_device_is_never_exact)
{
	device.blind = true;
	cr_expect_not(observe().exact);
	cr_expect_not(is_exact());
	device.blind = false;
	cr_expect(observe().exact);
}

Test(cache_write_log_strangers, c5_what_an_old_stranger_began_is_waited_for)
{
	uint64_t before;

	write_log_stranger(told);
	observe();
	now_ns += WAIT_STRANGER_NS - 100 * MS;
	/* A change of its that is looked at while nothing is believed. */
	device.stamp_ns = now_ns;
	device.generation++;
	device.steady = false;
	observe();
	now_ns += 100 * MS;
	before = observe().generation;
	cr_expect_not(observe().exact);
	cr_expect_not(is_exact());
	cr_expect_not(observe().steady);
	cr_expect_gt(observe().generation, before);
	now_ns += WAIT_CTIME_LAG_NS;
	observe();
	cr_expect(observe().steady);
}

/* They may be under way already: then their first announcement was not heard. */
Test(cache_write_log_strangers, c5_a_change_just_after_listening_began_is_looked_at_again)
{
	uint64_t before, after;

	now_ns += 10 * SECOND;
	feed.since_ns = now_ns;
	before = observe().generation;
	cr_expect(observe().steady);
	begin_and_end(TELLER, 0, 512);
	device.stamp_ns = now_ns;
	device.steady = false;
	after = observe().generation;
	cr_expect_gt(after, before);
	cr_expect_eq(changes_since(after), 0);
	cr_expect_eq(changes_since(before), -1);
	cr_expect_gt(observe().generation, after);
	cr_expect_not(observe().steady);
	cr_expect_not(observe().exact);
	cr_expect_not(is_exact());
	now_ns += WAIT_SETTLE_NS;
	observe();
	before = observe().generation;
	cr_expect(observe().steady);
	begin_and_end(TELLER, 0, 512);
	cr_expect_eq(changes_since(before), 1, "and no later one");
	cr_expect(observe().steady);
}
