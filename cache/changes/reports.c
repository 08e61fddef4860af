/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reports: the log of what was written where, and what may be concluded from it.
 *
 * Why a write that is only announced moves no generation: nothing of it is in
 * the image yet, and when it has ended it moves one. What is read in between is
 * told apart by the writes in flight, which every answer here includes.
 */
#include "cache/changes/reports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cache/changes/reports_inside.h"

/* A reporter with more writes in flight than any server has is not believed. */
#define IN_FLIGHT_MAX 1024
#define IN_FLIGHT_MAX_NS (5 * INT64_C(1000000000))

/* A file's time stamp may be taken from a clock that ticks, and that a server's end of a write is ahead of. */
#define STAMP_MARGIN_NS (20 * INT64_C(1000000))

static int64_t monotonic_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

/* What the other clock showed then. */
static int64_t real_time_ns(const struct reports *reports, int64_t at_ns)
{
	return clock_now_ns(CLOCK_REALTIME) - (reports->monotonic_ns() - at_ns);
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- life ---------------------------------------------------------------- */

int reports_new(struct company *company, struct reports **out)
{
	struct reports *reports = calloc(1, sizeof(*reports));

	if (!reports) {
		if (company)
			company->ops->close(company);
		return -ENOMEM;
	}
	atomic_store(&reports->references, 1);
	reports->company = company;
	reports->generation = reports->floor = 1;
	reports->monotonic_ns = monotonic_ns;
	pthread_mutex_init(&reports->lock, NULL);
	*out = reports;
	return 0;
}

struct reports *reports_ref(struct reports *reports)
{
	atomic_fetch_add(&reports->references, 1);
	return reports;
}

void reports_unref(struct reports *reports)
{
	if (!reports || atomic_fetch_sub(&reports->references, 1) != 1)
		return;
	if (reports->company)
		reports->company->ops->close(reports->company);
	pthread_mutex_destroy(&reports->lock);
	free(reports->flights);
	free(reports->dull);
	free(reports->log);
	free(reports);
}

/* ---- the log; all under the lock ----------------------------------------- */

static bool overlap(const struct cache_range *a, const struct cache_range *b)
{
	return a->offset_bytes < b->offset_bytes + b->length_bytes && b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static bool inside(const struct cache_range *inner, const struct cache_range *outer)
{
	return inner->offset_bytes >= outer->offset_bytes &&
	       inner->offset_bytes + inner->length_bytes <= outer->offset_bytes + outer->length_bytes;
}

bool reports_is_dull(const struct reports *reports, const struct cache_range *range)
{
	for (size_t i = 0; i < reports->dull_count; i++)
		if (inside(range, &reports->dull[i]))
			return true;
	return false;
}

/* Anything may have changed. */
void reports_start_over(struct reports *reports)
{
	reports->floor = ++reports->generation;
	reports->epoch++;
	reports->log_count = 0;
	reports->floor_ns = reports->monotonic_ns();
}

const struct log_entry *reports_log_entry(const struct reports *reports, size_t back)
{
	return &reports->log[(reports->log_first + reports->log_count - 1 - back) % LOG_ENTRIES];
}

/* What several reporters posted is taken one after the other: no entry is to be older than the one before. */
static void log_write(struct reports *reports, const struct cache_range *range, int64_t begun_ns, int64_t ended_ns)
{
	struct log_entry *entry;

	if (reports->log_count > 0 && reports_log_entry(reports, 0)->ended_ns > ended_ns)
		ended_ns = reports_log_entry(reports, 0)->ended_ns;

	if (reports->log_count == LOG_ENTRIES) {
		reports->floor = reports->log[reports->log_first].generation;
		reports->floor_ns = reports->log[reports->log_first].ended_ns;
		reports->log_first = (reports->log_first + 1) % LOG_ENTRIES;
		reports->log_count--;
	}
	entry = &reports->log[(reports->log_first + reports->log_count++) % LOG_ENTRIES];
	*entry = (struct log_entry){ ++reports->generation, *range, begun_ns, ended_ns };
}

/* ---- writes in flight; all under the lock -------------------------------- */

/* It was not waited with until the old bytes were kept, or its reporter died before it was done. */
static void lose_unkept(struct reports *reports, const struct cache_range *range)
{
	for (struct guard *guard = reports->guards; guard; guard = guard_link(guard)->next)
		if (extents_touch(guard_extents(guard), range))
			reports->lost += guard_lose(guard, range);
}

static void end_flight(struct reports *reports, size_t index, int64_t at_ns)
{
	struct flight *flight = &reports->flights[index];

	if (flight->unkept)
		lose_unkept(reports, &flight->range);
	if (!flight->dull) {
		log_write(reports, &flight->range, flight->begun_ns, at_ns);
		reports->busy_count--;
	}
	flight->reporter->flights--;
	*flight = reports->flights[--reports->flight_count];
}

void reports_end_flights(struct reports *reports, const struct reporter *reporter, bool all, uint64_t id, int64_t at_ns)
{
	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = reports->flight_count; i-- > 0;)
		if (reports->flights[i].reporter == reporter && (all || reports->flights[i].id == id))
			end_flight(reports, i, at_ns);
	reports->last_end_ns = max_i64(reports->last_end_ns, at_ns);
	reports->window_end_ns = max_i64(reports->window_end_ns, real_time_ns(reports, at_ns));
}

void reports_distrust(struct reports *reports, struct reporter *reporter)
{
	if (reporter->distrusted)
		return;
	reporter->distrusted = true;
	reports->distrusted++;
	reports_end_flights(reports, reporter, true, 0, reports->monotonic_ns());
	reports_start_over(reports);
}

bool reports_add_flight(struct reports *reports, const struct flight *flight)
{
	int64_t begun_ns;

	if (reports->flight_count == reports->flight_capacity) {
		size_t capacity = reports->flight_capacity ? reports->flight_capacity * 2 : 16;
		struct flight *grown = capacity > IN_FLIGHT_MAX ?
					       NULL :
					       reallocarray(reports->flights, capacity, sizeof(*reports->flights));

		if (!grown)
			return false;
		reports->flights = grown;
		reports->flight_capacity = capacity;
	}
	/* What several reporters posted is not taken in its order. */
	begun_ns = real_time_ns(reports, flight->begun_ns);
	if (reports->flight_count == 0 || begun_ns < reports->window_begin_ns)
		reports->window_begin_ns = begun_ns;
	reports->flights[reports->flight_count++] = *flight;
	flight->reporter->flights++;
	reports->busy_count += !flight->dull;
	return true;
}

void reports_flush(struct reports *reports)
{
	LOCK_SCOPE(&reports->lock);
	reports_start_over(reports);
}

void reports_set_clock(struct reports *reports, int64_t (*clock)(void))
{
	reports->monotonic_ns = clock;
}

/* ---- what the image asks ------------------------------------------------- */

/*
 * A write that takes so long may never end: its client may be gone, and its
 * server wait for the data. Until it does, what it reaches is as if nobody reported.
 */
static bool is_lasting(const struct flight *flight, int64_t now_ns)
{
	return now_ns - flight->begun_ns > IN_FLIGHT_MAX_NS;
}

bool reports_is_stuck(const struct reports *reports, int64_t now_ns)
{
	for (size_t i = 0; i < reports->flight_count; i++)
		if (!reports->flights[i].dull && is_lasting(&reports->flights[i], now_ns))
			return true;
	return false;
}

/* May something be written at this moment? */
static bool executing(const struct reports *reports, int64_t now_ns)
{
	for (size_t i = 0; i < reports->flight_count; i++)
		if (!is_lasting(&reports->flights[i], now_ns))
			return true;
	return false;
}

/* A time stamp that no reported write explains: somebody writes without a sign. */
static bool unexplained(struct reports *reports, const struct cache_observation *seen)
{
	bool moved = seen->stamp_ns != reports->stamp_ns;

	reports->stamp_ns = seen->stamp_ns;
	if (!moved || seen->stamp_ns <= reports->window_end_ns + STAMP_MARGIN_NS)
		return false;
	return !executing(reports, seen->now_ns) || seen->stamp_ns < reports->window_begin_ns - STAMP_MARGIN_NS;
}

/* A device has no time stamp, but counters; they move by themselves while what was reported is written back. */
#define WRITEBACK_NS (60 * INT64_C(1000000000))

static bool moved_at_rest(const struct reports *reports, const struct cache_observation *seen)
{
	return seen->stamp_ns == 0 && seen->generation != reports->device_generation &&
	       !executing(reports, seen->now_ns) && seen->now_ns - reports->last_end_ns > WRITEBACK_NS;
}

/* It takes the census this long at most, where there are not very many processes; open files wait for it. */
#define DOUBT_MAX_NS (350 * INT64_C(1000000))

static enum reports_state judge(struct reports *reports, const struct company_state *company,
				const struct cache_observation *seen)
{
	/* When the last reporter went and nobody else came, nobody writes: as good as a report of it. */
	if ((reports->speaking == 0 && reports->state == REPORTS_INEXACT) || reports->distrusted > 0 || seen->blind ||
	    reports_is_stuck(reports, seen->now_ns))
		return REPORTS_INEXACT;
	if (company->alone)
		return REPORTS_EXACT;
	if (!company->in_doubt || reports->state == REPORTS_INEXACT)
		return REPORTS_INEXACT;
	/* Of this doubt: between two looks one may have ended, and another begun. */
	return seen->now_ns - company->doubt_ns <= DOUBT_MAX_NS ? REPORTS_IN_DOUBT : REPORTS_INEXACT;
}

/*
 * A doubt moves the generation, so that what is asked for now is looked at, but
 * takes nothing back: if it was for nothing, what was known is still true.
 */
void reports_observe(struct reports *reports, struct cache_observation *seen)
{
	struct company_state company = { 0 };
	enum reports_state state;

	/* What happened before the device was looked at is in the queue by now. */
	if (reports->company)
		reports->company->ops->look(reports->company, &company);
	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	state = judge(reports, &company, seen);
	if ((state == REPORTS_INEXACT) != (reports->state == REPORTS_INEXACT) || company.foreign != reports->foreign ||
	    seen->size_bytes != reports->size_bytes ||
	    (state == REPORTS_INEXACT ? seen->generation != reports->device_generation :
					unexplained(reports, seen) || moved_at_rest(reports, seen)))
		reports_start_over(reports);
	if (state == REPORTS_IN_DOUBT)
		reports->generation++;
	reports->state = state;
	reports->blind = seen->blind;
	reports->foreign = company.foreign;
	reports->size_bytes = seen->size_bytes;
	reports->stamp_ns = seen->stamp_ns;
	reports->device_generation = seen->generation;
	seen->generation = reports->generation;
	seen->in_flight = state == REPORTS_INEXACT ? 0 : (unsigned)reports->busy_count;
	seen->exact = state == REPORTS_EXACT;
	seen->in_doubt = state != REPORTS_EXACT && reports->speaking > 0 && company.in_doubt;
	if (state == REPORTS_EXACT)
		seen->steady = true;
	else if (state == REPORTS_IN_DOUBT)
		seen->steady = false;
}

int reports_changes(struct reports *reports, uint64_t generation, struct cache_range *ranges, size_t capacity,
		    size_t *in_flight)
{
	size_t count = 0;

	*in_flight = 0;
	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	if (reports->state != REPORTS_EXACT || generation < reports->floor || reports->busy_count > capacity)
		return -1;
	for (size_t i = 0; i < reports->flight_count; i++)
		if (!reports->flights[i].dull)
			ranges[count++] = reports->flights[i].range;
	*in_flight = count;
	for (size_t back = 0; back < reports->log_count; back++) {
		const struct log_entry *entry = reports_log_entry(reports, back);

		if (entry->generation <= generation)
			break;
		if (count == capacity)
			return -1;
		ranges[count++] = entry->range;
	}
	return (int)count;
}

/* What is in flight in `where`: when the first of it began; `now_ns` when there is nothing. */
static int64_t first_in_flight_ns(const struct reports *reports, const struct cache_range *where, int64_t now_ns)
{
	for (size_t i = 0; i < reports->flight_count; i++) {
		const struct flight *flight = &reports->flights[i];

		if (!flight->dull && (!where || overlap(&flight->range, where)) && flight->begun_ns < now_ns)
			now_ns = flight->begun_ns;
	}
	return now_ns;
}

static bool any_in_flight(const struct reports *reports, const struct cache_range *where)
{
	for (size_t i = 0; i < reports->flight_count; i++)
		if (!reports->flights[i].dull && (!where || overlap(&reports->flights[i].range, where)))
			return true;
	return false;
}

int reports_burst(struct reports *reports, const struct cache_range *where, int64_t rest_ns, int64_t now_ns,
		  struct reports_burst *burst)
{
	bool in_flight;

	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	if (reports->state != REPORTS_EXACT)
		return -ENOTSUP;
	in_flight = any_in_flight(reports, where);
	*burst = (struct reports_burst){
		.quiet_ns = in_flight ? 0 : now_ns - reports->floor_ns,
		.start_ns = first_in_flight_ns(reports, where, now_ns),
		.generation = reports->generation,
	};
	/* Back in time, to the first rest that was long enough. */
	for (size_t back = 0; back < reports->log_count; back++) {
		const struct log_entry *entry = reports_log_entry(reports, back);

		if (where && !overlap(&entry->range, where))
			continue;
		if (!in_flight && now_ns - entry->ended_ns < burst->quiet_ns)
			burst->quiet_ns = now_ns > entry->ended_ns ? now_ns - entry->ended_ns : 0;
		if (burst->start_ns - entry->ended_ns >= rest_ns)
			return 0;
		if (entry->begun_ns < burst->start_ns)
			burst->start_ns = entry->begun_ns;
		burst->generation = entry->generation - 1;
	}
	if (burst->start_ns - reports->floor_ns < rest_ns)
		burst->generation = 0;
	return 0;
}

void reports_set_dull(struct reports *reports, const struct cache_range *ranges, size_t count)
{
	struct cache_range *copy = count > 0 ? reallocarray(NULL, count, sizeof(*copy)) : NULL;

	if (!copy)
		count = 0;
	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	if (count == reports->dull_count && (count == 0 || memcmp(ranges, reports->dull, count * sizeof(*ranges)) == 0)) {
		free(copy);
		return;
	}
	if (count > 0)
		memcpy(copy, ranges, count * sizeof(*ranges));
	free(reports->dull);
	reports->dull = copy;
	reports->dull_count = count;
	/* What was dull until now was not remembered, and what is in flight was judged by it. */
	reports->busy_count = 0;
	for (size_t i = 0; i < reports->flight_count; i++) {
		reports->flights[i].dull = reports_is_dull(reports, &reports->flights[i].range);
		reports->busy_count += !reports->flights[i].dull;
	}
	reports_start_over(reports);
}

bool reports_exact(struct reports *reports)
{
	struct company_state company = { 0 };
	bool exact, followed;

	pthread_mutex_lock(&reports->lock);
	exact = reports->state == REPORTS_EXACT;
	followed = reports->speaking > 0 && reports->distrusted == 0 && !reports->blind;
	pthread_mutex_unlock(&reports->lock);
	/* A reporter may have come since the last look. */
	if (!exact && followed && reports->company)
		reports->company->ops->look(reports->company, &company);
	return exact || company.alone;
}
