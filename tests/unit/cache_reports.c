/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/reports.c, reporter.c: what follows from what servers write into a control file. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache_reported.h"

TestSuite(cache_reports, .init = reported_start, .fini = reported_end);

Test(cache_reports, c5_what_was_written_is_known_by_its_range)
{
	uint64_t before = observe().generation;
	struct cache_range ranges[8];
	size_t in_flight;

	cr_assert(is_exact());
	cr_expect_eq(changes_since(before), 0);
	tell(reporter, "write 4096 512 1\ndone 1\nwrite 0x100000 8192 2\n");
	cr_assert_eq(reports_changes(reports, before, ranges, 8, &in_flight), 2);
	cr_expect_eq(in_flight, 1);
	cr_expect_eq(ranges[0].offset_bytes, MIB);
	cr_expect_eq(ranges[0].length_bytes, 8192);
	cr_expect_eq(ranges[1].offset_bytes, 4096);
	cr_expect_eq(ranges[1].length_bytes, 512);
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(observe().in_flight, 1);
	tell(reporter, "done 2\n");
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(observe().generation), 0);
}

Test(cache_reports, c5_a_write_moves_the_generation_when_it_ends)
{
	uint64_t before = observe().generation;

	tell(reporter, "write 0 512 1\n");
	cr_expect_eq(observe().generation, before);
	tell(reporter, "done 1\n");
	cr_expect_gt(observe().generation, before);
}

Test(cache_reports, c4_the_device_s_own_signs_do_not_count_while_all_is_reported)
{
	uint64_t before = observe().generation;

	device.generation += 10;
	cr_expect_eq(observe().generation, before);
	cr_expect(observe().steady);
}

Test(cache_reports, c4_writes_to_a_dull_place_cost_nothing)
{
	struct cache_range dull = { 10 * MIB, 10 * MIB };
	uint64_t before;

	reports_set_dull(reports, &dull, 1);
	before = observe().generation;
	tell(reporter, "write 10485760 4096 1\nwrite 20967424 4096 2\n");
	cr_expect_eq(observe().in_flight, 0);
	tell(reporter, "done 1\ndone 2\n");
	cr_expect_eq(observe().generation, before);
	/* One byte over the edge. */
	tell(reporter, "write 20967425 4096 3\ndone 3\n");
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), 1);
}

Test(cache_reports, c5_what_was_dull_until_now_is_not_known)
{
	struct cache_range dull = { 10 * MIB, 10 * MIB };
	uint64_t before;

	reports_set_dull(reports, &dull, 1);
	before = observe().generation;
	tell(reporter, "write 10485760 4096 1\n");
	reports_set_dull(reports, NULL, 0);
	cr_expect_eq(changes_since(before), -1);
	cr_expect_eq(observe().in_flight, 1);
}

Test(cache_reports, c5_a_stranger_s_write_is_anything)
{
	uint64_t before = observe().generation;

	others.foreign++;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_reports, c5_with_company_the_device_s_signs_count)
{
	uint64_t before = observe().generation, then;

	others.alone = false;
	then = observe().generation;
	cr_expect_gt(then, before);
	cr_expect_eq(observe().generation, then);
	device.generation++;
	cr_expect_gt(observe().generation, then);
	cr_expect_eq(changes_since(observe().generation), -1);
	then = observe().generation;
	others.alone = true;
	cr_expect_gt(observe().generation, then, "what came before is not known");
	cr_expect(is_exact());
}

Test(cache_reports, c5_a_time_stamp_that_no_report_explains_is_a_stranger_s)
{
	struct timespec real;
	uint64_t before = observe().generation;

	clock_gettime(CLOCK_REALTIME, &real);
	device.stamp_ns = real.tv_sec * SECOND + real.tv_nsec;
	tell(reporter, "write 0 512 1\ndone 1\n");
	before = observe().generation;
	cr_expect_eq(changes_since(before), 0, "a stamp of the time of a report");
	device.stamp_ns += 10 * SECOND;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	/* One that comes while a write is being done may be of that. */
	before = observe().generation;
	tell(reporter, "write 0 512 2\n");
	device.stamp_ns += 10 * SECOND;
	cr_expect_eq(observe().generation, before);
}

Test(cache_reports, c8_another_size_is_anything)
{
	uint64_t before = observe().generation;

	device.size_bytes += MIB;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_reports, p_what_was_in_flight_when_its_reporter_went_is_written)
{
	struct reporter *second;
	uint64_t before;

	cr_assert_eq(reporter_new(reports, &second), 0);
	tell(second, "write 0 512 1\n");
	cr_expect_eq(known, 2);
	cr_expect_eq(observe().in_flight, 1);
	before = observe().generation;
	reporter_free(second);
	cr_expect_eq(known, 1);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 1);
	cr_expect(is_exact());
}

Test(cache_reports, c5_a_doubt_for_nothing_takes_nothing_back)
{
	uint64_t before = observe().generation, during;

	tell(reporter, "write 0 512 1\ndone 1\n");
	others = (struct company_state){ .in_doubt = true, .doubt_ns = now_ns };
	during = observe().generation;
	cr_expect_gt(during, before);
	cr_expect_gt(observe().generation, during, "looked at each time");
	cr_expect_eq(changes_since(before), -1);
	cr_expect_eq(quiet_ns(NULL), -1);
	device.generation++;
	observe();
	others = (struct company_state){ .alone = true };
	observe();
	cr_expect_eq(changes_since(before), 1);
}

Test(cache_reports, c5_a_doubt_that_lasts_is_company)
{
	uint64_t before = observe().generation;

	others = (struct company_state){ .in_doubt = true, .doubt_ns = now_ns };
	observe();
	now_ns += SECOND;
	observe();
	others = (struct company_state){ .alone = true };
	observe();
	cr_expect_eq(changes_since(before), -1);
}

Test(cache_reports, c5_doubts_with_an_end_between_them_are_no_company)
{
	uint64_t before = observe().generation;

	others = (struct company_state){ .in_doubt = true, .doubt_ns = now_ns };
	observe();
	/* The first one ends, and nobody looks. */
	now_ns += SECOND;
	others.doubt_ns = now_ns - SECOND / 100;
	observe();
	others = (struct company_state){ .alone = true };
	observe();
	cr_expect_eq(changes_since(before), 0);
}

Test(cache_reports, c5_when_all_have_gone_and_nobody_came_nothing_is_written)
{
	uint64_t before = observe().generation;

	reporter_free(reporter);
	device.generation++;
	cr_expect_eq(observe().generation, before);
	cr_expect_eq(changes_since(before), 0);
	cr_assert_eq(reporter_new(reports, &reporter), 0);
	others.alone = false;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	others.alone = true;
	observe();
	cr_expect_eq(changes_since(observe().generation), -1, "somebody has to report first");
	cr_expect_eq(quiet_ns(NULL), -1);
}

Test(cache_reports, p_who_only_says_flush_does_not_report)
{
	struct reporter *mute;

	reporter_free(reporter);
	others.alone = false;
	observe();
	others.alone = true;
	cr_assert_eq(reporter_new(reports, &mute), 0);
	tell(mute, "flush\n");
	cr_expect_eq(changes_since(observe().generation), -1);
	cr_expect_not(is_exact());
	cr_assert_eq(reporter_new(reports, &reporter), 0);
	reporter_free(mute);
}

Test(cache_reports, p_flush_is_anything)
{
	uint64_t before = observe().generation;

	tell(reporter, "flush\n");
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	before = observe().generation;
	reports_flush(reports);
	cr_expect_gt(observe().generation, before);
}

Test(cache_reports, p_a_stream_that_breaks_is_not_trusted_until_it_is_closed)
{
	struct reporter *second;

	cr_assert_eq(reporter_new(reports, &second), 0);
	tell(second, "write 0 512 1\n");
	tell(second, "\x01\x02 nonsense\n");
	observe();
	cr_expect_not(is_exact());
	cr_expect_eq(observe().in_flight, 0);
	tell(second, "write 0 512 1\n");
	observe();
	cr_expect_not(is_exact());
	reporter_free(second);
	observe();
	cr_expect(is_exact());
}

Test(cache_reports, p_a_stream_is_one_process_s)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		pause();
	cr_assert_null(reporter_take(reporter, child, "done\n", 5));
	observe();
	cr_expect_not(is_exact());
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

Test(cache_reports, p_a_write_that_never_ends_is_not_waited_for)
{
	uint64_t before;

	tell(reporter, "write 0 512 1\n");
	cr_expect_eq(observe().in_flight, 1);
	now_ns += 4 * SECOND;
	cr_expect_eq(observe().in_flight, 1);
	before = observe().generation;
	now_ns += 2 * SECOND;
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_not(is_exact());
	cr_expect_eq(changes_since(before), -1);
	/* A slow disk is no liar. */
	tell(reporter, "done 1\n");
	before = observe().generation;
	cr_expect(is_exact());
	cr_expect_eq(changes_since(before), 0);
}

Test(cache_reports, p_nor_does_it_matter_in_a_dull_place)
{
	struct cache_range dull = { 10 * MIB, 10 * MIB };
	struct timespec real;
	uint64_t before;

	reports_set_dull(reports, &dull, 1);
	tell(reporter, "write 10485760 4096 1\n");
	now_ns += 6 * SECOND;
	before = observe().generation;
	cr_expect(is_exact());
	cr_expect_eq(changes_since(before), 0);
	tell(reporter, "write 0 512 2\ndone 2\n");
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), 1);
	/* But it explains nothing. */
	clock_gettime(CLOCK_REALTIME, &real);
	before = observe().generation;
	device.stamp_ns = (real.tv_sec + 10) * SECOND;
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	/* Until there is no partition there any more. */
	reports_set_dull(reports, NULL, 0);
	observe();
	cr_expect_not(is_exact());
	tell(reporter, "done 1\n");
	cr_expect(is_exact());
}

Test(cache_reports, p_a_flood_of_begun_writes_is_not_followed)
{
	char line[64];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(line, sizeof(line), "write %u 512 %u\n", i * 512, i);
		tell(reporter, line);
	}
	cr_expect_leq(observe().in_flight, 4096);
	cr_expect_not(is_exact());
}

Test(cache_reports, c5_more_writes_than_are_remembered_are_anything)
{
	uint64_t first = observe().generation, later;
	char line[64];

	for (unsigned i = 0; i < 1500; i++) {
		snprintf(line, sizeof(line), "write %u 512 1\ndone 1\n", i * 512);
		tell(reporter, line);
	}
	later = observe().generation;
	cr_expect_eq(changes_since(first), -1);
	cr_expect_eq(changes_since(later), 0);
	cr_expect_eq(changes_since(later - 5), 5);
	cr_expect_eq(changes_since(later - 1000), 1000);
}

Test(cache_reports, c5_each_partition_is_quiet_by_itself)
{
	struct cache_range one = { 0, MIB }, two = { MIB, MIB };

	now_ns += 10 * SECOND;
	tell(reporter, "write 4096 512 1\n");
	cr_expect_eq(quiet_ns(&one), 0);
	cr_expect_eq(quiet_ns(NULL), 0);
	cr_expect_geq(quiet_ns(&two), SECOND);
	now_ns += SECOND;
	cr_expect_eq(quiet_ns(&one), 0, "however long it takes");
	tell(reporter, "done 1\n");
	now_ns += 300 * MS;
	cr_expect_eq(quiet_ns(&one), 300 * MS);
	tell(reporter, "write 1048576 512 1\ndone 1\n");
	now_ns += 100 * MS;
	cr_expect_eq(quiet_ns(&one), 400 * MS);
	cr_expect_eq(quiet_ns(&two), 100 * MS);
	cr_expect_eq(quiet_ns(NULL), 100 * MS);
}

Test(cache_reports, c5_what_is_older_than_a_burst_is_told_from_what_is_not)
{
	struct reports_burst burst;
	uint64_t before, after;
	int64_t start;

	now_ns += 10 * SECOND;
	tell(reporter, "write 0 512 1\ndone 1\n");
	now_ns += 300 * MS;
	before = observe().generation;
	cr_assert_eq(reports_burst(reports, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.start_ns, now_ns, "a rest");
	cr_expect_eq(burst.generation, before);
	start = now_ns;
	for (int i = 0; i < 5; i++) { /* each is followed by the next before the rest is over, but for how long they take */
		tell(reporter, "write 4096 512 1\n");
		now_ns += 400 * MS;
		tell(reporter, "done 1\n");
		now_ns += 150 * MS;
	}
	after = observe().generation;
	cr_assert_eq(reports_burst(reports, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.start_ns, start);
	cr_expect_geq(burst.generation, before);
	cr_expect_lt(burst.generation, after - 4);
	cr_expect_eq(changes_since(burst.generation), 5);
	/* After a stranger nobody knows how it began. */
	others.foreign++;
	observe();
	now_ns += 100 * MS;
	cr_assert_eq(reports_burst(reports, NULL, 200 * MS, now_ns, &burst), 0);
	cr_expect_eq(burst.generation, 0);
	cr_expect_eq(burst.quiet_ns, 100 * MS);
}
