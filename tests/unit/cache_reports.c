/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/reports.c: what follows from what servers report; company and clock are the test's. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/company.h"
#include "cache/reports.h"
#include "cache/reports_inside.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define MIB (UINT64_C(1) << 20)

static struct company_state others;
static unsigned known;
static int64_t now_ns;

static void look(struct company *company, struct company_state *state)
{
	(void)company;
	*state = others;
}

static void know(struct company *company, pid_t process)
{
	(void)company;
	(void)process;
	known++;
}

static void forget(struct company *company, pid_t process, bool in_flight)
{
	(void)company;
	(void)process;
	(void)in_flight;
	known--;
}

static void leave(struct company *company)
{
	(void)company;
}

static int64_t test_clock(void)
{
	return now_ns;
}

static struct reports *reports;
static struct reporter *reporter;
static struct cache_observation device;

static void tell(struct reporter *to, const char *text)
{
	cr_assert_null(reporter_take(to, getpid(), text, strlen(text)));
}

/* Time goes on with each look. */
static struct cache_observation observe(void)
{
	struct cache_observation seen = device;

	now_ns += MS;
	seen.now_ns = now_ns;
	reports_observe(reports, &seen);
	return seen;
}

/* One who reports, and nobody else. */
static void start(void)
{
	static const struct company_ops ops = { look, know, forget, leave };
	static struct company company = { &ops };

	others = (struct company_state){ .alone = true };
	now_ns = 1000 * SECOND;
	device = (struct cache_observation){ .generation = 1, .size_bytes = 100 * MIB, .stamp_ns = 5 };
	cr_assert_eq(reports_new(&company, &reports), 0);
	reports_set_clock(reports, test_clock);
	cr_assert_eq(reporter_new(reports, &reporter), 0);
	observe();
	tell(reporter, "done\n");
	observe();
}

static void end(void)
{
	reporter_free(reporter);
	reports_unref(reports);
}

static bool is_exact(void)
{
	struct reports_status status;

	reports_status(reports, &status);
	return status.exact;
}

/* How many ranges were written since; -1: anything. */
static int changes_since(uint64_t generation)
{
	static struct cache_range ranges[2048];
	size_t in_flight;

	return reports_changes(reports, generation, ranges, 2048, &in_flight);
}

/* -1: not known. */
static int64_t quiet_ns(const struct cache_range *where)
{
	struct reports_burst burst;

	return reports_burst(reports, where, 200 * MS, now_ns, &burst) == 0 ? burst.quiet_ns : -1;
}

TestSuite(cache_reports, .init = start, .fini = end);

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

/* ---- ledgers ---------------------------------------------------------------- */

static struct ledger *ledger_of_reporter(void)
{
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(ledger, MAP_FAILED);
	reporter_use_ledger(reporter, ledger);
	return ledger;
}

Test(cache_reports, c5_whoever_asks_knows_what_was_posted)
{
	uint64_t before = observe().generation;
	struct ledger *ledger = ledger_of_reporter();
	struct cache_range ranges[8];
	size_t in_flight;

	ledger_post(ledger, 1, 4096, 512, now_ns);
	ledger_post(ledger, 2, MIB, 8192, now_ns);
	ledger_post(ledger, 1, 0, 0, now_ns);
	cr_assert_eq(reports_changes(reports, before, ranges, 8, &in_flight), 2);
	cr_expect_eq(in_flight, 1);
	cr_expect_eq(ranges[0].offset_bytes, MIB);
	cr_expect_eq(ranges[1].offset_bytes, 4096);
	cr_expect_eq(ledger_untaken(ledger), 0);
	ledger_post(ledger, 2, 0, 0, now_ns);
	cr_expect_eq(observe().in_flight, 0);
	cr_expect_gt(observe().generation, before);
	ledger_post(ledger, 3, 0, 512, now_ns);
	cr_expect_eq(quiet_ns(NULL), 0);
}

Test(cache_reports, c5_what_was_posted_is_as_old_as_it_is)
{
	struct ledger *ledger = ledger_of_reporter();

	now_ns += 10 * SECOND;
	ledger_post(ledger, 1, 4096, 512, now_ns);
	ledger_post(ledger, 1, 0, 0, now_ns + MS);
	now_ns += 500 * MS;
	observe();
	cr_expect_eq(quiet_ns(NULL), 500 * MS);
	/* But no younger than now, and no older than what was taken before it. */
	ledger_post(ledger, 2, 4096, 512, now_ns + SECOND);
	ledger_post(ledger, 2, 0, 0, now_ns + SECOND);
	cr_expect_eq(quiet_ns(NULL), 0);
	now_ns += 10 * MS;
	ledger_post(ledger, 2, 4096, 512, 5);
	ledger_post(ledger, 2, 0, 0, 5);
	cr_expect_eq(quiet_ns(NULL), 10 * MS);
}

Test(cache_reports, p_what_was_posted_when_its_reporter_went_is_written)
{
	struct ledger *ledger = ledger_of_reporter();
	uint64_t before = observe().generation;

	ledger_post(ledger, 1, 4096, 512, now_ns);
	reporter_free(reporter);
	cr_expect_eq(changes_since(before), 1);
	cr_assert_eq(reporter_new(reports, &reporter), 0);
}

/* A memfd for imagefs to find by its number. */
static int offer_ledger(struct ledger **ledger)
{
	int fd = memfd_create("ledger", MFD_ALLOW_SEALING);

	cr_assert_eq(ftruncate(fd, sizeof(**ledger)), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	*ledger = mmap(NULL, sizeof(**ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(*ledger, MAP_FAILED);
	atomic_store(&(*ledger)->magic, LEDGER_MAGIC);
	atomic_store(&(*ledger)->made_ns, (uint64_t)now_ns);
	return fd;
}

/* Offered in a line of `to`, in time or too late: is it served? */
static bool serves(struct reporter *to, int fd, const struct ledger *ledger, bool late)
{
	char line[32];

	snprintf(line, sizeof(line), "ledger %d\n", fd);
	if (late)
		reporter_take_late(to, getpid(), line, strlen(line));
	else
		tell(to, line);
	return atomic_load(&ledger->imagefs_serves);
}

Test(cache_reports, p_a_ledger_alone_speaks_for_its_process)
{
	struct ledger *ledger;
	int fd = offer_ledger(&ledger);

	reporter_free(reporter);
	cr_assert_eq(known, 0);
	cr_assert_eq(reporter_new(reports, &reporter), 0);
	cr_expect(serves(reporter, fd, ledger, false));
	cr_expect_eq(known, 1);
	observe();
	cr_expect(is_exact());
}

Test(cache_reports, s2_a_second_offer_is_not_looked_at)
{
	struct ledger *ledger;
	int fd = offer_ledger(&ledger);

	tell(reporter, "ledger 999999\n");
	cr_expect_not(serves(reporter, fd, ledger, false));
}

Test(cache_reports, p_a_ledger_that_was_offered_too_late_is_not_looked_at)
{
	struct ledger *ledger;
	int fd = offer_ledger(&ledger);

	cr_expect_not(serves(reporter, fd, ledger, true));
	cr_expect_not(serves(reporter, fd, ledger, false), "nor is what comes afterwards");
}

Test(cache_reports, s2_an_image_has_so_many_ledgers)
{
	struct reporter *more[20];
	unsigned served = 0;

	for (size_t i = 0; i < 20; i++) {
		struct ledger *ledger;
		int fd = offer_ledger(&ledger);

		cr_assert_eq(reporter_new(reports, &more[i]), 0);
		served += serves(more[i], fd, ledger, false);
	}
	cr_expect_eq(served, 16);
	for (size_t i = 0; i < 20; i++)
		reporter_free(more[i]);
}

/* What several posted is taken one after the other: the one who began first may come last. */
Test(cache_reports, c5_a_time_stamp_is_explained_by_whoever_began_first)
{
	struct ledger *ledger = ledger_of_reporter(), *others_ledger;
	struct reporter *other;
	int fd = offer_ledger(&others_ledger);
	struct timespec real;
	uint64_t before;

	cr_assert_eq(reporter_new(reports, &other), 0);
	cr_assert(serves(other, fd, others_ledger, false));
	now_ns += SECOND;
	before = observe().generation;
	ledger_post(ledger, 1, 0, 512, now_ns);
	now_ns += 100 * MS;
	ledger_post(others_ledger, 1, MIB, 512, now_ns);
	clock_gettime(CLOCK_REALTIME, &real);
	device.stamp_ns = real.tv_sec * SECOND + real.tv_nsec - 90 * MS;
	reports->window_end_ns = 0; /* the real clock has not moved since something ended */
	observe();
	cr_expect_eq(changes_since(before), 2);
	reporter_free(other);
}

Test(cache_reports, s1_more_than_a_ledger_holds_is_not_believed)
{
	struct ledger *ledger = ledger_of_reporter();

	atomic_store(&ledger->posted, LEDGER_RECORDS + 1);
	observe();
	cr_expect_not(is_exact());
	cr_expect_eq(ledger_untaken(ledger), 0);
}

Test(cache_reports, s1_a_posted_range_is_cut_at_the_end_of_the_numbers)
{
	struct ledger *ledger = ledger_of_reporter();
	uint64_t before = observe().generation;
	struct cache_range ranges[8];
	size_t in_flight;

	ledger_post(ledger, 1, UINT64_MAX - 4096, UINT64_MAX, now_ns);
	cr_assert_eq(reports_changes(reports, before, ranges, 8, &in_flight), 1);
	cr_expect_eq(ranges[0].offset_bytes + ranges[0].length_bytes, UINT64_MAX);
}
