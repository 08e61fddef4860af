/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/write_log.c: what follows from what is told of the writes to one image. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/waits.h"
#include "cache_told.h"
#include "cache/changes/burst.h"

/* Nobody but the feed tells. */
TestSuite(cache_write_log, .init = told_start_feed, .fini = told_end);

#define TELLER (&feed.feed)

Test(cache_write_log, c5_what_was_written_is_known_by_its_range)
{
	uint64_t before = observe().generation;
	struct cache_range ranges[8];
	size_t in_flight;

	cr_assert(is_exact());
	cr_expect_eq(changes_since(before), 0);
	begin(TELLER, 1, 4096, 512);
	cr_expect_eq(write_log_end(told, TELLER, 1), 1);
	begin(TELLER, 2, MIB, 8192);
	cr_assert_eq(write_log_changes(told, before, ranges, 8, &in_flight), 2);
	cr_expect_eq(in_flight, 1);
	cr_expect_eq(ranges[0].offset_bytes, MIB);
	cr_expect_eq(ranges[0].length_bytes, 8192);
	cr_expect_eq(ranges[1].offset_bytes, 4096);
	cr_expect_eq(ranges[1].length_bytes, 512);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(observe().in_flight, 1);
	cr_expect_eq(write_log_end(told, TELLER, 2), 1);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(observe().generation), 0);
}

Test(cache_write_log, c5_more_ranges_than_there_is_room_for_are_anything)
{
	uint64_t before = observe().generation;
	struct cache_range ranges[2];
	size_t in_flight;

	begin_and_end(TELLER, 0, 512);
	begin(TELLER, 2, 4096, 512);
	cr_expect_eq(write_log_changes(told, before, ranges, 1, &in_flight), -1);
	cr_expect_eq(write_log_changes(told, before, ranges, 2, &in_flight), 2);
	cr_expect_eq(write_log_changes(told, observe().generation, ranges, 0, &in_flight), -1);
}

Test(cache_write_log, c5_a_write_moves_the_generation_when_it_ends)
{
	uint64_t before = observe().generation;

	begin_and_end(TELLER, 0, 512);
	cr_expect_gt(observe().generation, before);
}

Test(cache_write_log, c5_no_two_looks_are_of_one_moment_while_a_write_may_be_executed)
{
	struct cache_range untracked = { 10 * MIB, 10 * MIB };
	uint64_t before;

	write_log_set_untracked(told, &untracked, 1);
	before = observe().generation;
	begin(TELLER, 1, 0, 512);
	for (int i = 0; i < 3; i++) {
		struct cache_observation seen = observe();

		cr_expect_gt(seen.generation, before);
		cr_expect_eq(changes_since(seen.generation), 1);
		before = seen.generation;
	}
	write_log_end(told, TELLER, 1);
	before = observe().generation;
	begin(TELLER, 2, 10 * MIB, 512);
	cr_expect_eq(observe().generation, before, "nobody reads there");
}

Test(cache_write_log, c5_all_writes_of_one_id_end_together_and_no_others)
{
	begin(TELLER, 1, 0, 512);
	begin(TELLER, 1, 4096, 512);
	begin(TELLER, 2, 8192, 512);
	begin(server, 1, 8192, 512);
	cr_expect_eq(write_log_end(told, TELLER, 1), 2);
	cr_expect_eq(observe().in_flight, 2);
	cr_expect_eq(write_log_end(told, TELLER, 1), 0);
	cr_expect(write_log_end_all(told, TELLER));
	cr_expect_not(write_log_end_all(told, TELLER));
	cr_expect_eq(observe().in_flight, 1);
}

Test(cache_write_log, c4_the_device_s_own_signs_do_not_count_while_all_is_told)
{
	uint64_t before = observe().generation;

	device.generation += 10;
	device.steady = false;
	cr_expect_eq(observe().generation, before);
	cr_expect(observe().steady);
	cr_expect(observe().exact);
}

Test(cache_write_log, c4_a_read_was_no_write)
{
	uint64_t before = observe().generation;

	begin(TELLER, 1, 0, 512);
	cr_expect_eq(write_log_was_read(told, TELLER, 1), 1);
	cr_expect_eq(observe().generation, before);
	cr_expect_eq(observe().in_flight, 0);
	/* Nor does it explain a change. */
	device.stamp_ns = now_ns;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_write_log, c3_what_is_not_remembered_was_told_all_the_same)
{
	uint64_t before = observe().generation;

	cr_expect(write_log_told_since(told, before));
	for (uint64_t i = 0; i < 1200; i++) {
		begin(TELLER, i, i * 4096, 4096);
		cr_expect_eq(write_log_end(told, TELLER, i), 1);
	}
	observe();
	cr_expect_eq(changes_since(before), -1);
	cr_expect(write_log_told_since(told, before));
	write_log_start_over(told);
	cr_expect_not(write_log_told_since(told, before));
	cr_expect(write_log_told_since(told, observe().generation));
}

/* ---- untracked ranges ------------------------------------------------------ */

Test(cache_write_log, c4_writes_to_an_untracked_range_cost_nothing)
{
	struct cache_range untracked = { 10 * MIB, 10 * MIB };
	uint64_t before;

	write_log_set_untracked(told, &untracked, 1);
	before = observe().generation;
	begin(TELLER, 1, 10 * MIB, 4096);
	begin(TELLER, 2, 20 * MIB - 4096, 4096);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(in_flight_now(), 0);
	cr_expect_gt(quiet_ns(NULL), 0);
	write_log_end(told, TELLER, 1);
	write_log_end(told, TELLER, 2);
	cr_expect_eq(observe().generation, before);
	/* One byte over the edge. */
	begin_and_end(TELLER, 20 * MIB - 4095, 4096);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), 1);
}

Test(cache_write_log, c5_what_was_untracked_until_now_is_not_known)
{
	struct cache_range untracked = { 10 * MIB, 10 * MIB };
	uint64_t before;

	write_log_set_untracked(told, &untracked, 1);
	before = observe().generation;
	begin(TELLER, 1, 10 * MIB, 4096);
	write_log_set_untracked(told, &untracked, 1);
	cr_expect_eq(changes_since(before), 0, "nothing is new");
	write_log_set_untracked(told, NULL, 0);
	cr_expect_eq(changes_since(before), -1);
	cr_expect_eq(observe().in_flight, 1);
}

Test(cache_write_log, c4_an_untracked_write_explains_a_change_all_the_same)
{
	struct cache_range untracked = { 10 * MIB, 10 * MIB };
	uint64_t before;

	write_log_set_untracked(told, &untracked, 1);
	before = observe().generation;
	begin(TELLER, 1, 10 * MIB, 4096);
	cr_expect_eq(write_log_end_unknown(told, TELLER, 1), 1);
	cr_expect_eq(write_log_end_all(told, TELLER), 0, "it needs no flight");
	now_ns += 150 * MS;
	device.stamp_ns = now_ns;
	cr_expect_eq(observe().generation, before);
	cr_expect(is_exact());
}

/* ---- uncertain flights ------------------------------------------------------ */

Test(cache_write_log, c5_a_write_without_a_known_end_is_looked_at_again_until_the_lag_is_over)
{
	struct cache_range one = { 0, MIB }, two = { MIB, MIB };
	uint64_t before;

	now_ns += 10 * SECOND;
	before = observe().generation;
	begin(TELLER, 1, 4096, 512);
	cr_expect_eq(write_log_end_unknown(told, TELLER, 1), 1);
	cr_expect_eq(write_log_end(told, TELLER, 1), 0, "no end of another ends it");
	now_ns += 300 * MS;
	cr_expect_eq(quiet_ns(&one), 300 * MS, "since it began");
	cr_expect_geq(quiet_ns(&two), SECOND);
	now_ns += 1600 * MS;
	cr_expect_eq(observe().in_flight, 1);
	cr_expect_eq(changes_since(before), 1);
	cr_expect_eq(in_flight_now(), 1);
	before = observe().generation;
	/* Then it is one that has ended: what was read meanwhile is looked at once more. */
	now_ns += 100 * MS;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 1);
	cr_expect_eq(changes_since(observe().generation), 0);
	cr_expect_eq(in_flight_now(), 0);
	cr_expect_geq(quiet_ns(&one), 2 * SECOND, "since it began");
	cr_expect(is_exact());
}

Test(cache_write_log, c5_the_kernel_s_writes_grow_old)
{
	uint64_t before = observe().generation;

	begin(TELLER, 1, 4096, 512);
	now_ns += 198 * MS;
	observe();
	cr_expect_eq(quiet_ns(NULL), 0, "it is executed");
	observe();
	cr_expect_eq(quiet_ns(NULL), 200 * MS, "it may have been");
	cr_expect_eq(observe().in_flight, 1);
	before = observe().generation;
	now_ns = now_ns - 202 * MS + WAIT_CTIME_LAG_NS - MS;
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 1);
	cr_expect_eq(write_log_end(told, TELLER, 1), 0, "too late");
}

Test(cache_write_log, c5_an_end_within_the_lag_counts)
{
	uint64_t before = observe().generation;

	begin(TELLER, 1, 4096, 512);
	now_ns += 1500 * MS;
	observe();
	cr_expect_eq(write_log_end(told, TELLER, 1), 1);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(quiet_ns(NULL), MS);
}

Test(cache_write_log, c5_a_write_that_is_appended_late_is_no_older_than_the_one_before)
{
	struct cache_range late = { 0, 512 };
	struct write_burst burst;
	uint64_t before = observe().generation;

	begin(TELLER, 1, 0, 512);
	write_log_end_unknown(told, TELLER, 1);
	now_ns += 1900 * MS;
	begin_and_end(TELLER, MIB, 512);
	now_ns += 150 * MS;
	observe();
	cr_assert_eq(write_log_burst(told, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.quiet_ns, 151 * MS);
	cr_expect_eq(burst.generation, before, "the late one is part of the burst");
	cr_expect_geq(quiet_ns(&late), 150 * MS);
	cr_expect_eq(changes_since(before), 2);
}

/* ---- floods ------------------------------------------------------------------------ */

Test(cache_write_log, s5_a_flood_of_begun_writes_is_not_followed)
{
	uint64_t before = observe().generation;
	struct cache_range range = { 0, 512 };
	struct saving *saving = NULL;
	unsigned count = 0;

	while (count < 5000 && write_log_begin(told, TELLER, count, &range, &saving))
		count++;
	cr_expect_eq(count, 1024);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	cr_expect(write_log_end_all(told, TELLER));
	cr_expect(write_log_begin(told, TELLER, 1, &range, &saving));
}

Test(cache_write_log, c5_more_writes_than_are_remembered_are_anything)
{
	uint64_t first = observe().generation, later;
	struct write_burst burst;

	for (unsigned i = 0; i < 1500; i++)
		begin_and_end(TELLER, (uint64_t)i * 512, 512);
	later = observe().generation;
	cr_expect_eq(changes_since(first), -1);
	cr_expect_eq(changes_since(later), 0);
	cr_expect_eq(changes_since(later - 5), 5);
	cr_expect_eq(changes_since(later - 1000), 1000);
	cr_assert_eq(write_log_burst(told, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.generation, 0, "how it began is forgotten");
}

/* ---- bursts and quiet ------------------------------------------------------------- */

Test(cache_write_log, c5_each_partition_is_quiet_by_itself)
{
	struct cache_range one = { 0, MIB }, two = { MIB, MIB };

	now_ns += 10 * SECOND;
	begin(server, 1, 4096, 512);
	cr_expect_eq(quiet_ns(&one), 0);
	cr_expect_eq(quiet_ns(NULL), 0);
	cr_expect_geq(quiet_ns(&two), SECOND);
	now_ns += SECOND;
	observe();
	cr_expect_eq(quiet_ns(&one), 0, "a reported write, however long it takes");
	write_log_end(told, server, 1);
	now_ns += 300 * MS;
	cr_expect_eq(quiet_ns(&one), 300 * MS);
	begin_and_end(TELLER, MIB, 512);
	now_ns += 100 * MS;
	cr_expect_eq(quiet_ns(&one), 400 * MS);
	cr_expect_eq(quiet_ns(&two), 100 * MS);
	cr_expect_eq(quiet_ns(NULL), 100 * MS);
}

Test(cache_write_log, c5_what_is_older_than_a_burst_is_told_from_what_is_not)
{
	struct write_burst burst;
	uint64_t before, after;
	int64_t start;

	now_ns += 10 * SECOND;
	begin_and_end(TELLER, 0, 512);
	now_ns += 300 * MS;
	before = observe().generation;
	cr_assert_eq(write_log_burst(told, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.start_ns, now_ns, "a rest");
	cr_expect_eq(burst.generation, before);
	start = now_ns;
	for (int i = 0; i < 5;
	     i++) { /* each is followed by the next before the rest is over, but for how long they take */
		begin(TELLER, 1, 4096, 512);
		now_ns += 400 * MS;
		write_log_end(told, TELLER, 1);
		now_ns += 150 * MS;
	}
	after = observe().generation;
	cr_assert_eq(write_log_burst(told, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.start_ns, start);
	cr_expect_geq(burst.generation, before);
	cr_expect_lt(burst.generation, after - 4);
	cr_expect_eq(changes_since(burst.generation), 5);
	/* When all is looked at again nobody knows how it began. */
	write_log_start_over(told);
	now_ns += 100 * MS;
	cr_assert_eq(write_log_burst(told, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.generation, 0);
	cr_expect_eq(burst.quiet_ns, 100 * MS);
}

Test(cache_write_log, c5_a_write_in_flight_is_part_of_the_burst)
{
	struct cache_range where = { 0, MIB };
	struct write_burst burst;
	uint64_t before;
	int64_t start;

	now_ns += 10 * SECOND;
	before = observe().generation;
	begin(TELLER, 1, 4096, 512);
	start = now_ns;
	begin_and_end(TELLER, 5 * MIB, 512);
	cr_assert_eq(write_log_burst(told, &where, 200 * MS, now_ns + 10 * MS, &burst), 0);
	cr_expect_eq(burst.quiet_ns, 0);
	cr_expect_eq(burst.start_ns, start);
	cr_expect_eq(burst.generation, before);
}

/* Is the feed asked for what is queued by the next look? */
static bool drains(void)
{
	unsigned drained = feed.drained;

	observe();
	return feed.drained != drained;
}

Test(cache_write_log, c1_the_feed_is_drained_unless_it_can_have_nothing_to_tell)
{
	cr_expect_not(drains(), "at rest");
	begin(&feed, 1, 4096, 512);
	cr_expect(drains(), "its end may be queued");
	cr_expect_eq(write_log_end(told, &feed, 1), 1);
	cr_expect_not(drains(), "at rest again");
	device.generation++;
	cr_expect(drains(), "somebody wrote");
	device.steady = false;
	cr_expect(drains(), "a moment ago");
	device.steady = true;
	cr_expect_not(drains(), "at rest at last");
	write_log_stranger(told);
	cr_expect(drains(), "somebody does not tell");
}

Test(cache_write_log, r_the_feed_is_asked_and_closed)
{
	unsigned listened = feed.listened;

	observe();
	cr_expect_eq(feed.listened, listened + 1);
	cr_expect(write_log_has_feed(told));
	write_log_close_feed(told);
	cr_expect_eq(feed.closed, 1);
}
