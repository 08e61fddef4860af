/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/guards.c, guard.c, write_log.c: guards, who reports, and status. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/waits.h"
#include "cache_told.h"
#include "cache/changes/guards.h"
#include "cache/changes/trust.h"

#define TELLER (&feed.feed)
#define FILE_BYTES ((uint64_t)128 << 10)

static struct guard *guard;

static void start(void)
{
	told_start_feed();
	memset(guarded_bytes, 'o', sizeof(guarded_bytes));
	guard = guard_of(MIB, FILE_BYTES);
}

static void end(void)
{
	write_log_unguard(told, guard);
	guard_unref(guard);
	told_end();
}

TestSuite(cache_write_log_guards, .init = start, .fini = end);

/* What is to be preserved before the write. */
static struct saving *saving_of(uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cache_range range = { offset_bytes, length_bytes };
	struct saving *saving = NULL;

	cr_assert(write_log_begin(told, TELLER, 9, &range, &saving));
	return saving;
}

static int guard_now(void)
{
	return write_log_guard(told, guard, observe().generation);
}

Test(cache_write_log_guards, c5_what_a_write_replaces_is_preserved_before_it)
{
	unsigned char bytes[4];
	struct saving *saving;

	cr_assert_eq(guard_now(), 0);
	cr_expect(write_log_is_guarded(told));
	cr_expect(guard_is_pristine(guard));
	saving = saving_of(MIB + 4096, 512);
	cr_assert_not_null(saving);
	saving_run(saving);
	saving_free(saving);
	memset(guarded_bytes + MIB, 'n', FILE_BYTES);
	cr_expect_eq(guard_state(guard, 0), GUARD_SAVED);
	cr_expect_eq(guard_state(guard, 1), GUARD_IN_IMAGE);
	cr_expect_eq(guard_read(guard, 4096, bytes, 4), 0);
	cr_expect_eq(memcmp(bytes, "oooo", 4), 0);
	cr_expect_eq(write_log_guard_stands(told, guard), 0);
	/* A chunk is preserved once: what is there now is not what it was. */
	saving = saving_of(MIB, 512);
	cr_assert(saving_run_now(saving));
	saving_free(saving);
	cr_expect_eq(guard_read(guard, 0, bytes, 4), 0);
	cr_expect_eq(memcmp(bytes, "oooo", 4), 0);
	cr_expect_null(saving_of(0, 4096), "elsewhere");
	cr_expect_null(saving_of(MIB + FILE_BYTES, 4096), "just behind it");
}

Test(cache_write_log_guards, c5_what_was_given_up_is_lost)
{
	struct saving *saving;

	cr_assert_eq(guard_now(), 0);
	saving = saving_of(MIB, 512);
	cr_assert_not_null(saving);
	cr_expect_eq(saving_give_up(saving), 1);
	saving_run(saving); /* too late */
	saving_free(saving);
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
	cr_expect_eq(guard_state(guard, 1), GUARD_IN_IMAGE);
	cr_expect_not(guard_is_pristine(guard));
}

Test(cache_write_log_guards, c5_what_cannot_be_read_is_lost)
{
	struct saving *saving;

	cr_assert_eq(guard_now(), 0);
	guarded_device.fail_data = guarded_device.fail_blocks = -EIO;
	saving = saving_of(MIB, 512);
	cr_expect_not(saving_run_now(saving));
	saving_run(saving);
	saving_free(saving);
	cr_expect_eq(guard_state(guard, 0), GUARD_LOST);
}

Test(cache_write_log_guards, c6_more_than_a_moment_s_work_is_for_a_thread_of_its_own)
{
	struct saving *saving;

	cr_assert_eq(guard_now(), 0);
	saving = saving_of(0, 5 * MIB);
	cr_assert_not_null(saving);
	cr_expect_not(saving_run_now(saving));
	saving_run(saving);
	cr_expect_eq(guard_state(guard, 1), GUARD_SAVED);
	saving_free(saving);
}

Test(cache_write_log_guards, c5_no_guard_while_its_bytes_are_written)
{
	begin(TELLER, 1, MIB, 512);
	cr_expect_eq(guard_now(), -EAGAIN);
	begin(TELLER, 2, MIB + 8192, 512);
	cr_expect_eq(write_log_end(told, TELLER, 2), 1);
	cr_expect_eq(guard_now(), -EAGAIN);
	/* One whose end nobody tells is mostly over; that it may land yet is told to who asks for changes. */
	write_log_end_unknown(told, TELLER, 1);
	cr_expect_eq(guard_now(), 0);
	cr_expect_eq(changes_since(observe().generation), 1);
	write_log_unguard(told, guard);
}

Test(cache_write_log_guards, c5_a_write_elsewhere_is_nothing_to_a_guard)
{
	uint64_t before = observe().generation;

	begin(TELLER, 1, 0, 512);
	begin_and_end(TELLER, MIB + FILE_BYTES, 512);
	cr_expect_eq(write_log_guard(told, guard, before), 0);
}

Test(cache_write_log_guards, c5_no_guard_of_what_was_written_since)
{
	uint64_t before = observe().generation;

	begin_and_end(TELLER, MIB, 512);
	begin_and_end(TELLER, 0, 512);
	cr_expect_eq(write_log_guard(told, guard, before), -ESTALE);
	cr_expect_eq(write_log_guard(told, guard, before + 1), 0);
	write_log_unguard(told, guard);
	before = observe().generation;
	write_log_start_over(told);
	cr_expect_eq(write_log_guard(told, guard, before), -ESTALE);
}

Test(cache_write_log_guards, c5_no_guard_while_not_all_is_told)
{
	write_log_stranger(told);
	cr_expect_eq(guard_now(), -ENOTSUP);
	now_ns += WAIT_STRANGER_NS;
	cr_expect_eq(guard_now(), 0);
	write_log_unguard(told, guard);
	/* What was under way when somebody began to tell may land yet; against what is told a guard helps. */
	feed.since_ns = now_ns;
	device.steady = false;
	device.generation++;
	cr_expect_not(observe().exact);
	cr_expect_eq(guard_now(), 0);
}

Test(cache_write_log_guards, c5_a_guard_does_not_outlast_what_was_not_told)
{
	cr_assert_eq(guard_now(), 0);
	write_log_start_over(told);
	observe();
	cr_expect_eq(write_log_guard_stands(told, guard), -ENOTSUP);
	cr_expect_null(saving_of(MIB, 512), "it is no use to anybody");
}

Test(cache_write_log_guards, c5_a_gap_ends_a_guard_only_if_something_changed)
{
	cr_assert_eq(guard_now(), 0);
	feed.since_ns = now_ns;
	write_log_listen(told, true);
	cr_expect_eq(write_log_guard_stands(told, guard), -ENOTSUP, "before the look");
	observe();
	cr_expect_eq(write_log_guard_stands(told, guard), 0);
	feed.since_ns = now_ns;
	device.generation++;
	observe();
	cr_expect_eq(write_log_guard_stands(told, guard), -ENOTSUP);
}

Test(cache_write_log_guards, c5_one_write_may_be_about_several_files)
{
	struct guard *second = guard_of(MIB + FILE_BYTES, FILE_BYTES), *third = guard_of(0, 4096);
	struct saving *saving;

	cr_assert_eq(guard_now(), 0);
	cr_assert_eq(write_log_guard(told, second, observe().generation), 0);
	cr_assert_eq(write_log_guard(told, third, observe().generation), 0);
	saving = saving_of(MIB + FILE_BYTES - 512, 1024);
	cr_assert_not_null(saving);
	cr_expect(saving_run_now(saving));
	saving_free(saving);
	cr_expect_eq(guard_state(guard, 1), GUARD_SAVED);
	cr_expect_eq(guard_state(second, 0), GUARD_SAVED);
	cr_expect_eq(guard_state(third, 0), GUARD_IN_IMAGE);
	/* From the middle of the list. */
	write_log_unguard(told, second);
	write_log_unguard(told, second);
	cr_expect_null(saving_of(MIB + FILE_BYTES, 512));
	saving = saving_of(MIB, 512);
	cr_expect_not_null(saving);
	saving_free(saving);
	write_log_unguard(told, third);
	guard_unref(second);
	guard_unref(third);
}

/* ---- status ------------------------------------------------------------------ */

static struct write_log_status status_now(void)
{
	struct write_log_status status;

	write_log_status(told, &status);
	return status;
}

Test(cache_write_log_guards, status_counts)
{
	struct saving *saving;

	cr_expect_eq(status_now().quiet_ns, -1);
	cr_expect_eq(status_now().stranger_ns, -1);
	begin_and_end(TELLER, 0, 512);
	begin(TELLER, 1, 0, 4096);
	now_ns += 70 * MS;
	cr_expect_eq(status_now().writes, 2);
	cr_expect_eq(status_now().written_bytes, 4608);
	cr_expect_eq(status_now().in_flight, 1);
	cr_expect_eq(status_now().quiet_ns, 70 * MS);
	cr_expect(status_now().kernel);
	cr_expect(status_now().exact);
	cr_expect_null(status_now().why_not);
	cr_assert_eq(guard_now(), 0);
	cr_expect_eq(status_now().guarded, 1);
	saving = saving_of(MIB, 512);
	cr_expect(saving_run_now(saving));
	saving_free(saving);
	cr_expect_eq(status_now().saved_bytes, 65536);
	write_log_unguard(told, guard);
	cr_expect_eq(status_now().guarded, 0);
	cr_expect_eq(status_now().saved_bytes, 65536);
	write_log_count_lost(told, 3);
	cr_expect_eq(status_now().lost, 3);
	write_log_stranger(told);
	now_ns += 5 * MS;
	cr_expect_eq(status_now().stranger_ns, 5 * MS);
	cr_expect_not(status_now().exact);
	cr_expect_str_eq(status_now().why_not, "somebody writes who does not tell");
}

Test(cache_write_log_guards, status_says_what_would_be_if_somebody_looked)
{
	feed.since_ns = 0;
	observe();
	cr_expect(status_now().exact);
	write_log_stranger(told);
	cr_expect_not(status_now().exact);
	now_ns += WAIT_STRANGER_NS;
	cr_expect(status_now().exact);
	feed.why_not = "for a reason";
	cr_expect_not(status_now().exact);
	cr_expect_not(status_now().kernel);
	cr_expect_str_eq(status_now().why_not, "for a reason");
}

/* ---- who reports -------------------------------------------------------------- */

TestSuite(cache_write_log_reported, .init = told_start_reported, .fini = told_end);

Test(cache_write_log_reported, p_who_reports_is_believed)
{
	uint64_t before = observe().generation;

	cr_expect(is_exact());
	cr_expect_not(status_now().kernel);
	device.generation++;
	cr_expect_eq(observe().generation, before);
	write_log_count_reporters(told, -1, 0);
	cr_expect_not(observe().exact);
	write_log_no_feed(told, "for a reason");
	cr_expect_str_eq(status_now().why_not, "for a reason");
	/* Somebody else begins: what came before is not known. */
	device.generation++;
	before = observe().generation;
	write_log_count_reporters(told, 1, 0);
	device.generation++;
	device.steady = false;
	cr_expect_gt(observe().generation, before);
	cr_expect_not(observe().exact, "what was under way is waited for");
	now_ns += WAIT_CTIME_LAG_NS;
	observe();
	cr_expect(observe().exact);
}

Test(cache_write_log_reported, p_one_who_cannot_be_followed_spoils_it_for_all)
{
	uint64_t before = observe().generation;

	write_log_count_reporters(told, 1, 1);
	cr_expect_not(observe().exact);
	cr_expect_gt(observe().generation, before);
	cr_expect_str_eq(status_now().why_not, "a reporter cannot be followed");
	write_log_count_reporters(told, -1, -1);
	cr_expect(observe().exact);
}

Test(cache_write_log_reported, p_a_write_that_never_ends_is_not_waited_for)
{
	uint64_t before;

	begin(server, 1, 0, 512);
	cr_expect_eq(observe().in_flight, 1);
	now_ns += 4 * SECOND;
	cr_expect_eq(observe().in_flight, 1, "a server's end always comes");
	cr_expect_eq(quiet_ns(NULL), 0);
	before = observe().generation;
	now_ns += 2 * SECOND;
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_not(is_exact());
	cr_expect_eq(changes_since(before), -1);
	/* A slow disk is no liar. */
	write_log_end(told, server, 1);
	cr_expect(observe().exact);
	cr_expect_eq(changes_since(observe().generation), 0);
}

Test(cache_write_log_reported, p_nor_does_it_matter_in_an_untracked_range)
{
	struct cache_range untracked = { 10 * MIB, 10 * MIB };

	write_log_set_untracked(told, &untracked, 1);
	begin(server, 1, 10 * MIB, 4096);
	now_ns += 6 * SECOND;
	cr_expect(observe().exact);
	/* Until there is no partition there any more. */
	write_log_set_untracked(told, NULL, 0);
	cr_expect_not(observe().exact);
	write_log_end(told, server, 1);
	cr_expect(observe().exact);
}
