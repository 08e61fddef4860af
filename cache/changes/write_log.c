/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * write_log: what is told is taken in here, and what follows is asked here. What it is made of is in log_state.h.
 *
 * Why a write that a server has only announced moves no generation: when it has
 * ended it moves one. What is read in between is told apart by the flights, which
 * every answer here includes. Of the kernel's writes the end may not be told, so
 * each look at the image is of another generation as long as one is in flight.
 */
#include "cache/changes/write_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cache/changes/guards.h"
#include "cache/changes/log_state.h"
#include "cache/changes/trust.h"

static int64_t monotonic_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

static int64_t real_time_ns(void)
{
	return clock_now_ns(CLOCK_REALTIME);
}

/* ---- life ---------------------------------------------------------------- */

int write_log_new(struct write_log **out)
{
	struct write_log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	atomic_store(&log->references, 1);
	history_init(&log->history);
	log->monotonic_ns = monotonic_ns;
	log->real_time_ns = real_time_ns;
	pthread_mutex_init(&log->lock, NULL);
	*out = log;
	return 0;
}

struct write_log *write_log_ref(struct write_log *log)
{
	atomic_fetch_add(&log->references, 1);
	return log;
}

void write_log_unref(struct write_log *log)
{
	if (!log || atomic_fetch_sub(&log->references, 1) != 1)
		return;
	pthread_mutex_destroy(&log->lock);
	history_free(&log->history);
	flights_free(&log->flights);
	untracked_free(&log->untracked);
	free(log);
}

void write_log_set_clock(struct write_log *log, int64_t (*clock_ns)(void))
{
	log->monotonic_ns = log->real_time_ns = clock_ns;
}

int64_t write_log_now_ns(const struct write_log *log)
{
	return log->monotonic_ns();
}

void write_log_set_feed(struct write_log *log, struct write_feed *feed)
{
	log->feed = feed;
}

void write_log_no_feed(struct write_log *log, const char *why)
{
	log->why_no_feed = why;
}

void write_log_close_feed(struct write_log *log)
{
	if (log->feed)
		log->feed->ops->close(log->feed);
}

bool write_log_is_told_late(const struct write_log *log)
{
	return log_state_is_told_late(log);
}

bool write_log_has_feed(const struct write_log *log)
{
	return log->feed != NULL;
}

/* ---- for those who tell ---------------------------------------------------- */

bool write_log_begin(struct write_log *log, const void *teller, uint64_t id, const struct cache_range *range,
		     struct saving **saving)
{
	struct flight flight = { .teller = teller, .id = id, .range = *range, .begun_ns = log->monotonic_ns() };

	LOCK_SCOPE(&log->lock);
	log->writes++;
	log->written_bytes += range->length_bytes;
	flight.generation = log->history.generation;
	flight.untracked = untracked_hold(&log->untracked, range);
	if (!flight.untracked)
		guards_save_before(log, range, saving);
	if (history_prepare(&log->history) && flights_add(&log->flights, &flight))
		return true;
	log_state_start_over(log);
	return false;
}

/* What becomes of the teller's flights of one id, or (NULL) of all. Returns how many there were. */
static unsigned each_flight(struct write_log *log, const void *teller, const uint64_t *id,
			    void (*become)(struct write_log *log, size_t index))
{
	unsigned count = 0;

	LOCK_SCOPE(&log->lock);
	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flights.count; i-- > 0;) {
		if (log->flights.all[i].teller != teller || (id && log->flights.all[i].id != *id))
			continue;
		become(log, i);
		count++;
	}
	return count;
}

static void end_flight(struct write_log *log, size_t index)
{
	int64_t now_ns = log->monotonic_ns();

	log_state_land(log, index, now_ns, now_ns);
}

unsigned write_log_end(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, end_flight);
}

/* It was counted as a write. */
static void forget_read(struct write_log *log, size_t index)
{
	log->writes--;
	log->written_bytes -= log->flights.all[index].range.length_bytes;
	flights_remove(&log->flights, index);
}

unsigned write_log_was_read(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, forget_read);
}

/* What nobody reads for needs no more than its window; the rest loses its id, so that no end of another ends it. */
static void become_uncertain(struct write_log *log, size_t index)
{
	struct flight *flight = &log->flights.all[index];

	flight->uncertain = true;
	flight->id = UINT64_MAX;
	if (flight->untracked)
		log_state_land_uncertain(log, index);
}

unsigned write_log_end_unknown(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, become_uncertain);
}

unsigned write_log_end_all(struct write_log *log, const void *teller)
{
	return each_flight(log, teller, NULL, end_flight);
}

void write_log_stranger(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	log_state_stranger(log);
}

void write_log_start_over(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	log->last_end_ns = log->monotonic_ns();
	log_state_start_over(log);
}

void write_log_count_lost(struct write_log *log, unsigned lost)
{
	LOCK_SCOPE(&log->lock);
	log->lost += lost;
}

void write_log_count_reporters(struct write_log *log, int speaking, int distrusted)
{
	/* Where a feed tells, servers are not asked: then they cannot stand in for it either. */
	if (log->feed)
		return;
	LOCK_SCOPE(&log->lock);
	if (log->speaking == 0 && speaking > 0)
		log->began_ns = log->monotonic_ns();
	/* Until now it may have written, too. */
	if (speaking > 0)
		log->last_end_ns = log->monotonic_ns();
	log->speaking += speaking;
	log->distrusted += distrusted;
	/* What was in flight with one that cannot be followed may be anything. */
	if (distrusted > 0)
		log_state_start_over(log);
}

/* ---- told after the fact --------------------------------------------------------- */

static bool is_among(const struct cache_range *range, const struct cache_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cache_ranges_equal(range, &ranges[i]))
			return true;
	return false;
}

/*
 * Units of counting are coarse, and one has a bit of another file system: what is untracked of the range is left out.
 * From the untracked range `at` on: each call goes one further, and what is left are as many pieces as it makes turns.
 */
static void append_tracked(struct write_log *log, const struct cache_range *range, int64_t begun_ns, int64_t ended_ns,
			   size_t at)
{
	uint64_t end = range->offset_bytes + range->length_bytes, untracked_end;
	struct cache_range untracked, piece;

	at = untracked_next(&log->untracked, range, at);
	if (at == log->untracked.count) {
		history_append(&log->history, range, begun_ns, ended_ns);
		return;
	}
	untracked = log->untracked.ranges[at];
	untracked_end = untracked.offset_bytes + untracked.length_bytes;
	if (range->offset_bytes < untracked.offset_bytes) {
		piece = (struct cache_range){ range->offset_bytes, untracked.offset_bytes - range->offset_bytes };
		append_tracked(log, &piece, begun_ns, ended_ns, at + 1);
	}
	if (untracked_end < end) {
		piece = (struct cache_range){ untracked_end, end - untracked_end };
		append_tracked(log, &piece, begun_ns, ended_ns, at + 1);
	}
}

/*
 * What is in flight now may have begun at any time since the look before, and what was read since then may be half of it: it
 * is of the generation of that look, so before anything is appended.
 */
bool write_log_news(struct write_log *log, const struct write_news *news)
{
	struct flight flight = { .teller = log, .begun_ns = news->since_ns };
	int64_t now_ns = log->monotonic_ns();

	LOCK_SCOPE(&log->lock);
	flight.generation = log->history.generation;
	log->writes += news->writes;
	if (!history_prepare(&log->history))
		return false;
	for (size_t i = 0; i < news->in_flight_count; i++) {
		flight.range = news->in_flight[i];
		flight.untracked = untracked_hold(&log->untracked, &flight.range);
		if (!flights_have(&log->flights, &flight.range) && !flights_add(&log->flights, &flight))
			return false;
	}
	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flights.count; i-- > 0;)
		if (!is_among(&log->flights.all[i].range, news->in_flight, news->in_flight_count))
			log_state_land(log, i, now_ns, now_ns);
	for (size_t i = 0; i < news->written_count; i++)
		append_tracked(log, &news->written[i], news->since_ns, now_ns, 0);
	if (news->writes > 0)
		log->last_end_ns = now_ns;
	return true;
}

/* ---- what the image asks ---------------------------------------------------- */

int write_log_changes(struct write_log *log, uint64_t generation, struct cache_range *ranges, size_t capacity,
		      size_t *in_flight)
{
	const struct entry *entry;
	size_t count = 0;

	*in_flight = 0;
	LOCK_SCOPE(&log->lock);
	if (!log->exact || generation < log->history.floor || flights_count_tracked(&log->flights) > capacity)
		return -1;
	for (size_t i = 0; i < log->flights.count; i++)
		if (!log->flights.all[i].untracked)
			ranges[count++] = log->flights.all[i].range;
	*in_flight = count;
	for (size_t back = 0; (entry = history_since(&log->history, generation, back)); back++) {
		if (count == capacity)
			return -1;
		ranges[count++] = entry->range;
	}
	return (int)count;
}

bool write_log_untouched(struct write_log *log, uint64_t generation,
			 bool (*touches)(const void *what, const struct cache_range *range), const void *what)
{
	const struct entry *entry;

	LOCK_SCOPE(&log->lock);
	if (!log->exact || generation < log->history.floor)
		return false;
	for (size_t i = 0; i < log->flights.count; i++)
		if (!log->flights.all[i].untracked && touches(what, &log->flights.all[i].range))
			return false;
	for (size_t back = 0; (entry = history_since(&log->history, generation, back)); back++)
		if (touches(what, &entry->range))
			return false;
	return true;
}

bool write_log_told_since(struct write_log *log, uint64_t generation)
{
	LOCK_SCOPE(&log->lock);
	return log->exact && generation >= log->history.gap;
}

const char *write_log_source(struct write_log *log)
{
	if (!log_state_is_told_late(log))
		return NULL;
	LOCK_SCOPE(&log->lock);
	return log->exact ? log->feed->ops->source : NULL;
}

uint64_t write_log_tracked_end(struct write_log *log, uint64_t size_bytes, uint64_t piece_bytes)
{
	LOCK_SCOPE(&log->lock);
	return untracked_tail_begin(&log->untracked, size_bytes, piece_bytes);
}

uint64_t write_log_tracked_begin(struct write_log *log, uint64_t from_bytes)
{
	LOCK_SCOPE(&log->lock);
	return untracked_end_at(&log->untracked, from_bytes);
}

bool write_log_is_mapped(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	return log->untracked.known;
}

void write_log_set_untracked(struct write_log *log, const struct cache_range *ranges, size_t count)
{
	LOCK_SCOPE(&log->lock);
	if (!untracked_set(&log->untracked, ranges, count))
		return;
	/* What was untracked until now was not remembered, and what is in flight was judged by it. */
	for (size_t i = 0; i < log->flights.count; i++)
		log->flights.all[i].untracked = untracked_hold(&log->untracked, &log->flights.all[i].range);
	log_state_start_over(log);
}

/* ---- status ------------------------------------------------------------------ */

void write_log_status(struct write_log *log, struct write_log_status *status)
{
	int64_t now_ns = log->monotonic_ns();
	const char *feed_why_not = log->feed ? log->feed->ops->why_not(log->feed) : log->why_no_feed;
	bool late = log_state_is_told_late(log);

	*status = (struct write_log_status){ .kernel = log->feed && !late && !feed_why_not, .late = late,
					     .stranger_ns = -1, .quiet_ns = -1 };
	LOCK_SCOPE(&log->lock);
	status->exact = trust_now(log, now_ns, status->kernel, &status->why_not);
	if (!status->exact && !status->why_not)
		status->why_not = feed_why_not;
	if (log->stranger_ns != 0)
		status->stranger_ns = now_ns - log->stranger_ns;
	status->writes = log->writes;
	status->written_bytes = log->written_bytes;
	status->in_flight = (unsigned)log->flights.count;
	if (log->last_end_ns != 0)
		status->quiet_ns = now_ns - log->last_end_ns;
	status->lost = log->lost;
	status->guarded = guards_count(log, &status->saved_bytes);
}
