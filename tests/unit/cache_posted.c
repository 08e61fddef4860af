/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/posted.c: what follows from what a reporter posts in its ledger. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cache/changes/reports_inside.h"
#include "cache_reader.h"
#include "cache_reported.h"
#include "cache_volume.h"

TestSuite(cache_posted, .init = reported_start, .fini = reported_end);

static struct ledger *ledger_of_reporter(void)
{
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(ledger, MAP_FAILED);
	reporter_use_ledger(reporter, ledger);
	return ledger;
}

Test(cache_posted, c5_whoever_asks_knows_what_was_posted)
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

Test(cache_posted, c5_what_was_posted_is_as_old_as_it_is)
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

Test(cache_posted, p_what_was_posted_when_its_reporter_went_is_written)
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

Test(cache_posted, p_a_ledger_alone_speaks_for_its_process)
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

Test(cache_posted, s2_a_second_offer_is_not_looked_at)
{
	struct ledger *ledger;
	int fd = offer_ledger(&ledger);

	tell(reporter, "ledger 999999\n");
	cr_expect_not(serves(reporter, fd, ledger, false));
}

Test(cache_posted, p_a_ledger_that_was_offered_too_late_is_not_looked_at)
{
	struct ledger *ledger;
	int fd = offer_ledger(&ledger);

	cr_expect_not(serves(reporter, fd, ledger, true));
	cr_expect_not(serves(reporter, fd, ledger, false), "nor is what comes afterwards");
}

Test(cache_posted, s2_an_image_has_so_many_ledgers)
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
Test(cache_posted, c5_a_time_stamp_is_explained_by_whoever_began_first)
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

Test(cache_posted, s1_more_than_a_ledger_holds_is_not_believed)
{
	struct ledger *ledger = ledger_of_reporter();

	atomic_store(&ledger->posted, LEDGER_RECORDS + 1);
	observe();
	cr_expect_not(is_exact());
	cr_expect_eq(ledger_untaken(ledger), 0);
}

Test(cache_posted, s1_a_posted_range_is_cut_at_the_end_of_the_numbers)
{
	struct ledger *ledger = ledger_of_reporter();
	uint64_t before = observe().generation;
	struct cache_range ranges[8];
	size_t in_flight;

	ledger_post(ledger, 1, UINT64_MAX - 4096, UINT64_MAX, now_ns);
	cr_assert_eq(reports_changes(reports, before, ranges, 8, &in_flight), 1);
	cr_expect_eq(ranges[0].offset_bytes + ranges[0].length_bytes, UINT64_MAX);
}

/* No step of the device, and so none of the model's, is between the look at the log and the guard. */
Test(cache_posted, c5_what_was_posted_before_a_guard_could_be_seen_is_in_flight)
{
	static const struct file small = { "SMALL   BIN", NULL, 0, { 2, 4, 3 }, 10000, 1, 1 };
	struct small_volume volume = small_volume_new(4096);
	struct ledger *ledger = ledger_of_reporter();
	struct memory_device memory;
	struct reader reader;
	struct cache_node held;
	struct kept_budget *budget = kept_budget_new(1 << 20, "/tmp");
	struct extents_run *run = malloc(sizeof(*run));
	struct extents *extents;
	struct guard *guard;
	uint64_t first;

	small_volume_put(&volume, &small);
	memory_device_init(&memory, DEVICE_REPORTED, volume.bytes, volume.size_bytes);
	memory.now_ns = now_ns += SECOND;
	reader_init(&reader, &memory);
	cache_image_report_to(reader.image, reports_ref(reports));
	cr_assert_eq(reader_walk(&reader, "small.bin", &held), 0);
	cr_assert_eq(reader_open(&reader, held.version), 0);
	cr_assert(is_exact());

	first = small_volume_offset(&volume, small.clusters[0]);
	*run = (struct extents_run){ first, 512, 0 };
	cr_assert_eq(extents_new(run, 1, 512, &extents), 0);
	cr_assert_eq(guard_new(extents, &memory.device, budget, &guard), 0);
	ledger_post(ledger, 1, first, 512, now_ns);
	cr_expect_eq(reports_guard(reports, guard, UINT64_MAX), -EAGAIN);
	ledger_post(ledger, 1, 0, 0, now_ns);
	cr_expect_eq(reports_guard(reports, guard, UINT64_MAX), 0);
	cr_expect(ledger_is_watched(ledger, first, 512));
	reports_unguard(reports, guard);
	guard_unref(guard);
	extents_unref(extents);
	kept_budget_unref(budget);
	cache_version_close(held.version);
	cache_version_put(held.version);
	reader_end(&reader);
	small_volume_free(&volume);
}
