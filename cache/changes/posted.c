/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * posted: what a reporter posted in its ledger, taken in. All under the reports' lock.
 *
 * It is taken before anything is concluded, by whoever wants to conclude something.
 * What a watched write is about to overwrite is kept only by its reporter's own
 * request (reporter.c), since that is what the write waits for.
 */
#include "base/checked.h"
#include "cache/changes/reports_inside.h"

static bool touches_a_guard(const struct reports *reports, const struct cache_range *range)
{
	for (struct guard *guard = reports->guards; guard; guard = guard_link(guard)->next)
		if (extents_touch(guard_extents(guard), range))
			return true;
	return false;
}

/* It posted this after what was taken before it, and it cannot be later than now. */
static int64_t time_of(const struct reporter *reporter, struct ledger_record *record, int64_t now_ns)
{
	uint64_t time_ns = atomic_load_explicit(&record->time_ns, memory_order_relaxed);

	if (time_ns > (uint64_t)now_ns)
		return now_ns;
	return time_ns < (uint64_t)reporter->taken_ns ? reporter->taken_ns : (int64_t)time_ns;
}

/*
 * Of a write that is watched the reporter waits for its answer: that keeps what is
 * about to be overwritten. If it does not wait, that is lost.
 */
static void take_record(struct reporter *reporter, struct ledger_record *record, int64_t now_ns, unsigned *begun)
{
	struct reports *reports = reporter->reports;
	struct flight flight = {
		.id = atomic_load_explicit(&record->id, memory_order_relaxed),
		.range = { atomic_load_explicit(&record->offset_bytes, memory_order_relaxed),
			   atomic_load_explicit(&record->length_bytes, memory_order_relaxed) },
		.begun_ns = time_of(reporter, record, now_ns),
	};

	if (flight.range.length_bytes == 0) {
		reports_end_flights(reports, reporter, false, flight.id, flight.begun_ns);
		return;
	}
	/* Bytes from a stranger: a range never goes round the end of the numbers. */
	flight.range.length_bytes = min_u64(flight.range.length_bytes, UINT64_MAX - flight.range.offset_bytes);
	flight.unkept = reports->guards && touches_a_guard(reports, &flight.range);
	*begun += flight.unkept;
	reporter_begin_write(reporter, &flight, *begun <= REPORTS_EVENTS_MAX);
}

void reporter_take_posted(struct reporter *reporter)
{
	struct reports *reports = reporter->reports;
	uint64_t posted = ledger_posted(reporter->ledger);
	int64_t now_ns;
	unsigned begun = 0;

	if (posted == reporter->taken)
		return;
	now_ns = reports->monotonic_ns();
	if (posted - reporter->taken > LEDGER_RECORDS) {
		reports_distrust(reports, reporter);
		reporter->taken = posted;
	}
	while (reporter->taken != posted)
		take_record(reporter, &reporter->ledger->records[reporter->taken++ % LEDGER_RECORDS], now_ns, &begun);
	reporter->taken_ns = now_ns;
	atomic_store_explicit(&reporter->ledger->taken, posted, memory_order_release);
}

void reports_take_posted(struct reports *reports)
{
	for (struct reporter *reporter = reports->reporters; reporter; reporter = reporter->next)
		if (reporter->ledger)
			reporter_take_posted(reporter);
}

void reporter_use_ledger(struct reporter *reporter, struct ledger *ledger)
{
	struct cache_range watch = reporter->reports->watch;

	reporter->ledger = ledger;
	reporter->taken = ledger_posted(ledger);
	reporter->taken_ns = reporter->reports->monotonic_ns();
	ledger_watch(ledger, watch.offset_bytes, watch.offset_bytes + watch.length_bytes);
	atomic_store(&ledger->imagefs_serves, 1);
}
