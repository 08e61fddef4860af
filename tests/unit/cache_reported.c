/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_reported.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "cache/changes/company.h"

struct company_state others;
unsigned known;
int64_t now_ns;

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

struct reports *reports;
struct reporter *reporter;
struct cache_observation device;

void tell(struct reporter *to, const char *text)
{
	cr_assert_null(reporter_take(to, getpid(), text, strlen(text)));
}

struct cache_observation observe(void)
{
	struct cache_observation seen = device;

	now_ns += MS;
	seen.now_ns = now_ns;
	reports_observe(reports, &seen);
	return seen;
}

void reported_start(void)
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

void reported_end(void)
{
	reporter_free(reporter);
	reports_unref(reports);
}

bool is_exact(void)
{
	struct reports_status status;

	reports_status(reports, &status);
	return status.exact;
}

int changes_since(uint64_t generation)
{
	static struct cache_range ranges[2048];
	size_t in_flight;

	return reports_changes(reports, generation, ranges, 2048, &in_flight);
}

int64_t quiet_ns(const struct cache_range *where)
{
	struct reports_burst burst;

	return reports_burst(reports, where, 200 * MS, now_ns, &burst) == 0 ? burst.quiet_ns : -1;
}
