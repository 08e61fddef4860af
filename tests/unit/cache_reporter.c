/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/reporter.c, status.c: what follows from what servers write into a control file. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cache/changes/guards.h"
#include "cache/changes/reporter.h"
#include "cache_told.h"

static struct reporter *reporter;

static void tell(struct reporter *to, const char *text)
{
	cr_assert_null(reporter_take(to, 7, text, strlen(text)));
}

static void start(void)
{
	told_start_reported();
	write_log_count_reporters(told, -1, 0);
	cr_assert_eq(reporter_new(told, &reporter), 0);
	tell(reporter, "done\n");
	observe();
}

static void end(void)
{
	reporter_free(reporter);
	told_end();
}

TestSuite(cache_reporter, .init = start, .fini = end);

Test(cache_reporter, p_writes_and_their_ends_come_from_what_is_written)
{
	uint64_t before = observe().generation;

	cr_assert(is_exact());
	tell(reporter, "write 4096 512 1\ndone 1\nwrite 0x100000 8192 2\n");
	cr_expect_eq(changes_since(before), 2);
	cr_expect_eq(in_flight_now(), 1);
	tell(reporter, "done 2\n");
	cr_expect_eq(in_flight_now(), 0);
}

Test(cache_reporter, p_two_servers_ids_are_their_own)
{
	struct reporter *second;

	cr_assert_eq(reporter_new(told, &second), 0);
	tell(reporter, "write 0 512 1\n");
	tell(second, "write 4096 512 1\ndone 1\n");
	cr_expect_eq(in_flight_now(), 1);
	reporter_free(second);
}

Test(cache_reporter, p_what_was_in_flight_when_its_reporter_went_is_written)
{
	struct reporter *second;
	uint64_t before;

	cr_assert_eq(reporter_new(told, &second), 0);
	tell(second, "write 0 512 1\n");
	cr_expect_eq(observe().in_flight, 1);
	before = observe().generation;
	reporter_free(second);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(changes_since(before), 1);
	cr_expect(is_exact());
	reporter_free(NULL);
}

Test(cache_reporter, p_when_the_last_one_went_nobody_tells)
{
	reporter_free(reporter);
	cr_expect_not(observe().exact);
	cr_assert_eq(reporter_new(told, &reporter), 0);
	cr_expect_not(observe().exact, "it has to say something");
	tell(reporter, "done\n");
	cr_expect(observe().exact);
}

Test(cache_reporter, p_who_only_says_flush_does_not_report)
{
	uint64_t before;

	reporter_free(reporter);
	cr_assert_eq(reporter_new(told, &reporter), 0);
	before = observe().generation;
	tell(reporter, "flush\n");
	cr_expect_not(observe().exact);
	tell(reporter, "write 0 512\n");
	cr_expect(observe().exact);
	cr_expect_gt(observe().generation, before);
}

Test(cache_reporter, p_flush_is_anything)
{
	uint64_t before = observe().generation;

	tell(reporter, "flush\n");
	cr_expect_gt(observe().generation, before);
	cr_expect_eq(changes_since(before), -1);
	cr_expect(is_exact());
}

Test(cache_reporter, p_a_stream_that_breaks_is_not_believed_until_it_is_closed)
{
	struct reporter *second;
	uint64_t before = observe().generation;

	cr_assert_eq(reporter_new(told, &second), 0);
	tell(second, "write 0 512 1\n");
	tell(second, "\x01\x02 nonsense\n");
	cr_expect_not(observe().exact);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_gt(observe().generation, before);
	tell(second, "write 0 512 1\n");
	cr_expect_not(observe().exact);
	reporter_free(second);
	cr_expect(observe().exact);
}

/* `count` times one of the two, with a number. */
static const char *many(unsigned count, bool ends)
{
	static char text[1 << 20];
	size_t length = 0;

	for (unsigned i = 0; i < count; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   ends ? "done %u\n" : "write 0 512 %u\n", i);
	return text;
}

Test(cache_reporter, s5_more_at_once_than_a_server_says_is_not_followed)
{
	struct reporter *second;

	tell(reporter, many(256, false));
	tell(reporter, many(256, true));
	cr_expect(observe().exact);
	cr_assert_eq(reporter_new(told, &second), 0);
	tell(second, many(257, false));
	cr_expect_not(observe().exact);
	reporter_free(second);
	cr_expect(observe().exact);
	cr_assert_eq(reporter_new(told, &second), 0);
	tell(second, many(257, true));
	cr_expect_not(observe().exact);
	reporter_free(second);
}

Test(cache_reporter, s5_a_flood_of_begun_writes_is_not_followed)
{
	struct reports_status status;
	char line[64];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(line, sizeof(line), "write %u 512 %u\n", i * 512, i);
		tell(reporter, line);
	}
	cr_expect_not(observe().exact);
	reports_status(told, &status);
	cr_expect_eq(status.log.in_flight, 0, "nor held against others");
}

Test(cache_reporter, c5_what_is_not_at_hand_is_preserved_before_the_answer)
{
	struct guard *guard = guard_of(0, 4096);
	struct saving *saving;

	cr_assert_eq(write_log_guard(told, guard, observe().generation), 0);
	guarded_device.not_at_hand = true;
	saving = reporter_take(reporter, 7, "write 0 512 1\n", 14);
	cr_assert_not_null(saving);
	saving_run(saving);
	saving_free(saving);
	cr_expect_eq(guard_state(guard, 0), GUARD_SAVED);
	write_log_unguard(told, guard);
	guard_unref(guard);
}

Test(cache_reporter, c5_what_is_at_hand_is_preserved_at_once)
{
	struct guard *guard = guard_of(0, 4096);

	cr_assert_eq(write_log_guard(told, guard, observe().generation), 0);
	tell(reporter, "write 0 512 1\n");
	cr_expect_eq(guard_state(guard, 0), GUARD_SAVED);
	write_log_unguard(told, guard);
	guard_unref(guard);
}

Test(cache_reporter, c5_what_was_answered_before_is_lost)
{
	struct guard *guard = guard_of(0, 4096);
	struct reports_status status;

	cr_assert_eq(write_log_guard(told, guard, observe().generation), 0);
	guarded_device.not_at_hand = true;
	reporter_take_late(reporter, 7, "write 0 512 1\n", 14);
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
	reports_status(told, &status);
	cr_expect_eq(status.log.lost, 1);
	write_log_unguard(told, guard);
	guard_unref(guard);
}

Test(cache_reporter, status_names_those_who_said_something)
{
	struct reporter *second, *silent;
	struct reports_status status;
	struct write_log *other;

	cr_assert_eq(reporter_new(told, &second), 0);
	cr_assert_eq(reporter_new(told, &silent), 0);
	cr_assert_null(reporter_take(second, 9, "write 0 1\nwrite 1 1\n", 20));
	reports_status(told, &status);
	cr_expect_eq(status.reporters, 2);
	cr_expect_eq(status.reporter[0].thread, 9);
	cr_expect_eq(status.reporter[0].form, NOTIFY_FORM_TEXT);
	cr_expect_eq(status.reporter[0].writes, 2);
	cr_expect_eq(status.reporter[1].thread, 7);
	tell(second, many(257, true));
	reports_status(told, &status);
	cr_expect_eq(status.reporters, 2);
	cr_expect_eq(status.reporter[0].form, NOTIFY_FORM_BROKEN);
	cr_assert_eq(write_log_new(&other), 0);
	reports_status(other, &status);
	cr_expect_eq(status.reporters, 0);
	write_log_unref(other);
	reporter_free(silent);
	reporter_free(second);
}

/* ---- where the kernel tells ------------------------------------------------- */

static void start_feed(void)
{
	told_start_feed();
	cr_assert_eq(reporter_new(told, &reporter), 0);
}

TestSuite(cache_reporter_kernel, .init = start_feed, .fini = end);

Test(cache_reporter_kernel, p_writes_are_taken_apart_for_status_only)
{
	uint64_t before = observe().generation;
	struct reports_status status;

	tell(reporter, "write 0 512 1\nwrite 0 512 2\ndone 2\n");
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_eq(observe().generation, before);
	reports_status(told, &status);
	cr_expect_eq(status.reporter[0].writes, 2);
	cr_expect_eq(status.log.writes, 0);
	tell(reporter, "nonsense\n");
	cr_expect(observe().exact);
	cr_expect_eq(observe().generation, before);
}

Test(cache_reporter_kernel, p_flush_is_anything)
{
	uint64_t before = observe().generation;

	tell(reporter, "flush\n");
	cr_expect_gt(observe().generation, before);
}
