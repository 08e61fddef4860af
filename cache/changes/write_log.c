/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * write_log: entries are writes that have ended, flights those that have not, or
 * of which that is not known.
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
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/guard.h"

/* Writes that ended and are remembered; of what is older anything may be true. */
#define ENTRIES 1024

/* More writes in flight than any server has. */
#define FLIGHTS_MAX 1024

/* A reported write that takes so long may never end: its client may be gone, and its server wait for the data. */
#define STUCK_NS (5 * WAIT_S)

/* Times in which something was written, of which a change of ctime may tell. */
#define WINDOWS 8

/* A ctime may be taken from a clock that ticks, and the end of a write is told when it is over. */
#define STAMP_MARGIN_NS (20 * WAIT_MS)

/* A device's counters move by themselves while what was reported is written back. */
#define WRITEBACK_NS (60 * WAIT_S)

struct entry {
	uint64_t generation;
	struct cache_range range;
	int64_t begun_ns, ended_ns;
};

struct flight {
	const void *teller;
	uint64_t id;
	struct cache_range range;
	int64_t begun_ns;
	uint64_t generation; /* of the log, when it was announced */
	bool untracked;
	bool uncertain; /* it may be executed until the lag is over, and nobody will tell */
};

struct window {
	int64_t begin_ns, end_ns;
};

struct write_log {
	_Atomic unsigned references;
	int64_t (*monotonic_ns)(void), (*real_time_ns)(void); /* constant after the start, */
	struct write_feed *feed;	/* as is this; or NULL, and then */
	const char *why_no_feed;	/* likewise: constant text */
	pthread_mutex_t lock;	       /* protects all below; only guards' locks are taken under it */

	uint64_t generation;
	uint64_t floor;	      /* what was believed under an older generation may be anything */
	uint64_t gap;	      /* since this generation each write was told; `floor` or before it: what is not remembered was told, too */
	uint64_t epoch;	      /* how often that happened: guards do not outlast it */
	int64_t floor_ns;     /* since when all that was written is in the log */
	struct entry *entries; /* a ring of ENTRIES, ascending generations; there when somebody tells */
	size_t first, count;
	struct flight *flights;
	size_t flight_count, flight_capacity;
	struct cache_range *untracked;
	size_t untracked_count;
	bool mapped; /* it was told what is untracked, if anything is */
	struct guard *guards;
	struct window windows[WINDOWS]; /* [0] is the last one */

	/* What the last look saw. */
	int64_t listening_ns; /* since when the feed tells; 0: it does not */
	int64_t began_ns;     /* when somebody began to tell, or is believed again, if it is not judged yet; else 0 */
	int64_t settles_ns;   /* until then what nobody told of before may still be executed; 0: no more */
	bool exact, blind;
	uint64_t device_generation, size_bytes;
	int64_t stamp_ns;
	int64_t stranger_ns; /* when one was last noticed; 0: never */

	int speaking, distrusted;
	uint64_t writes, written_bytes, saved_bytes, lost;
	int64_t last_end_ns;
};

static int64_t monotonic_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

static int64_t real_time_ns(void)
{
	return clock_now_ns(CLOCK_REALTIME);
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- life ---------------------------------------------------------------- */

int write_log_new(struct write_log **out)
{
	struct write_log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	atomic_store(&log->references, 1);
	log->generation = log->floor = log->gap = 1;
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
	free(log->flights);
	free(log->untracked);
	free(log->entries);
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
	return log->feed && log->feed->ops->look;
}

bool write_log_has_feed(const struct write_log *log)
{
	return log->feed != NULL;
}

/* ---- ranges -------------------------------------------------------------- */

static bool overlap(const struct cache_range *a, const struct cache_range *b)
{
	return a->offset_bytes < b->offset_bytes + b->length_bytes && b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static bool inside(const struct cache_range *inner, const struct cache_range *outer)
{
	return inner->offset_bytes >= outer->offset_bytes &&
	       inner->offset_bytes + inner->length_bytes <= outer->offset_bytes + outer->length_bytes;
}

static bool is_untracked(const struct write_log *log, const struct cache_range *range)
{
	for (size_t i = 0; i < log->untracked_count; i++)
		if (inside(range, &log->untracked[i]))
			return true;
	return false;
}

/* ---- entries; all under the lock ----------------------------------------- */

static void start_over(struct write_log *log)
{
	log->floor = log->gap = ++log->generation;
	log->epoch++;
	log->count = 0;
	log->floor_ns = log->monotonic_ns();
}

static const struct entry *entry_back(const struct write_log *log, size_t back)
{
	return &log->entries[(log->first + log->count - 1 - back) % ENTRIES];
}

static void append(struct write_log *log, const struct flight *flight, int64_t ended_ns)
{
	struct entry *entry;

	/* One that was uncertain is appended late: no entry is to be older than the one before. */
	if (log->count > 0)
		ended_ns = max_i64(ended_ns, entry_back(log, 0)->ended_ns);
	if (log->count == ENTRIES) {
		log->floor = log->entries[log->first].generation;
		log->floor_ns = log->entries[log->first].ended_ns;
		log->first = (log->first + 1) % ENTRIES;
		log->count--;
	}
	entry = &log->entries[(log->first + log->count++) % ENTRIES];
	*entry = (struct entry){ ++log->generation, flight->range, flight->begun_ns, ended_ns };
}

/* ---- when something was written; all under the lock ----------------------- */

/* Windows that lie close together become one. */
static void note_window(struct write_log *log, int64_t begin_ns, int64_t end_ns)
{
	struct window *last = &log->windows[0];

	if (last->end_ns != 0 && begin_ns <= last->end_ns + 2 * STAMP_MARGIN_NS) {
		last->begin_ns = begin_ns < last->begin_ns ? begin_ns : last->begin_ns;
		last->end_ns = max_i64(last->end_ns, end_ns);
		return;
	}
	memmove(log->windows + 1, log->windows, sizeof(log->windows) - sizeof(log->windows[0]));
	log->windows[0] = (struct window){ begin_ns, end_ns };
}

/* Was an announced write executed at that time, or may one have been? */
static bool is_explained(const struct write_log *log, int64_t at_ns)
{
	for (size_t i = 0; i < log->flight_count; i++)
		if (at_ns >= log->flights[i].begun_ns - STAMP_MARGIN_NS)
			return true;
	for (size_t i = 0; i < WINDOWS; i++)
		if (log->windows[i].end_ns != 0 && at_ns >= log->windows[i].begin_ns - STAMP_MARGIN_NS &&
		    at_ns <= log->windows[i].end_ns + STAMP_MARGIN_NS)
			return true;
	return false;
}

/* ---- flights; all under the lock ------------------------------------------ */

static void remove_flight(struct write_log *log, size_t index)
{
	log->flights[index] = log->flights[--log->flight_count];
}

/* It counts as written at `ended_ns`; its ctime is of `stamped_ns` at the latest. */
static void land(struct write_log *log, size_t index, int64_t ended_ns, int64_t stamped_ns)
{
	struct flight flight = log->flights[index];

	note_window(log, flight.begun_ns, stamped_ns);
	log->last_end_ns = max_i64(log->last_end_ns, ended_ns);
	if (!flight.untracked)
		append(log, &flight, ended_ns);
	remove_flight(log, index);
}

static void end_flight(struct write_log *log, size_t index)
{
	int64_t now_ns = log->monotonic_ns();

	land(log, index, now_ns, now_ns);
}

/* The end of an uncertain flight is nobody's to tell: it counts as written when it began, and its ctime soon after. */
static void end_uncertain(struct write_log *log, size_t index)
{
	int64_t begun_ns = log->flights[index].begun_ns;

	land(log, index, begun_ns, begun_ns + WAIT_SETTLE_NS);
}

/*
 * The kernel's writes grow old: what has not ended within the settle time is
 * uncertain, what is uncertain for longer than the lag is over; and then what
 * was read meanwhile has to be looked at once more, which the entry says.
 */
static void age_flights(struct write_log *log)
{
	int64_t now_ns = log->monotonic_ns();

	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flight_count; i-- > 0;) {
		struct flight *flight = &log->flights[i];

		if (flight->teller != log->feed)
			continue;
		if (now_ns - flight->begun_ns >= WAIT_CTIME_LAG_NS)
			end_uncertain(log, i);
		else if (now_ns - flight->begun_ns >= WAIT_SETTLE_NS)
			flight->uncertain = true;
	}
}

static bool have_entries(struct write_log *log)
{
	if (!log->entries)
		log->entries = calloc(ENTRIES, sizeof(*log->entries));
	return log->entries != NULL;
}

static bool add_flight(struct write_log *log, const struct flight *flight)
{
	if (log->flight_count == log->flight_capacity) {
		size_t capacity = log->flight_capacity ? log->flight_capacity * 2 : 16;
		void *grown = capacity > FLIGHTS_MAX ? NULL :
						       reallocarray(log->flights, capacity, sizeof(*log->flights));

		if (!grown)
			return false;
		log->flights = grown;
		log->flight_capacity = capacity;
	}
	log->flights[log->flight_count++] = *flight;
	return true;
}

static void save_before(struct write_log *log, const struct cache_range *range, struct saving **saving)
{
	for (struct guard *guard = log->guards; guard; guard = guard_link(guard)->next)
		if (guard_link(guard)->epoch == log->epoch && extents_touch(guard_extents(guard), range))
			log->lost += saving_add(saving, guard, range);
}

/* ---- for those who tell ---------------------------------------------------- */

bool write_log_begin(struct write_log *log, const void *teller, uint64_t id, const struct cache_range *range,
		     struct saving **saving)
{
	struct flight flight = { .teller = teller, .id = id, .range = *range, .begun_ns = log->monotonic_ns() };

	LOCK_SCOPE(&log->lock);
	log->writes++;
	log->written_bytes += range->length_bytes;
	flight.generation = log->generation;
	flight.untracked = is_untracked(log, range);
	if (!flight.untracked)
		save_before(log, range, saving);
	if (have_entries(log) && add_flight(log, &flight))
		return true;
	start_over(log);
	return false;
}

/* What becomes of the teller's flights of one id, or (NULL) of all. Returns how many there were. */
static unsigned each_flight(struct write_log *log, const void *teller, const uint64_t *id,
			    void (*become)(struct write_log *log, size_t index))
{
	unsigned count = 0;

	LOCK_SCOPE(&log->lock);
	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flight_count; i-- > 0;) {
		if (log->flights[i].teller != teller || (id && log->flights[i].id != *id))
			continue;
		become(log, i);
		count++;
	}
	return count;
}

unsigned write_log_end(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, end_flight);
}

/* It was counted as a write. */
static void forget_read(struct write_log *log, size_t index)
{
	log->writes--;
	log->written_bytes -= log->flights[index].range.length_bytes;
	remove_flight(log, index);
}

unsigned write_log_was_read(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, forget_read);
}

/* What nobody reads for needs no more than its window; the rest loses its id, so that no end of another ends it. */
static void become_uncertain(struct write_log *log, size_t index)
{
	struct flight *flight = &log->flights[index];

	flight->uncertain = true;
	flight->id = UINT64_MAX;
	if (flight->untracked)
		end_uncertain(log, index);
}

unsigned write_log_end_unknown(struct write_log *log, const void *teller, uint64_t id)
{
	return each_flight(log, teller, &id, become_uncertain);
}

unsigned write_log_end_all(struct write_log *log, const void *teller)
{
	return each_flight(log, teller, NULL, end_flight);
}

/* ---- told after the fact --------------------------------------------------------- */

static bool same_range(const struct cache_range *a, const struct cache_range *b)
{
	return a->offset_bytes == b->offset_bytes && a->length_bytes == b->length_bytes;
}

static bool is_among(const struct cache_range *range, const struct cache_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (same_range(range, &ranges[i]))
			return true;
	return false;
}

static bool is_in_flight(const struct write_log *log, const struct cache_range *range)
{
	for (size_t i = 0; i < log->flight_count; i++)
		if (same_range(range, &log->flights[i].range))
			return true;
	return false;
}

/*
 * Units of counting are coarse, and one has a bit of another file system: what is untracked of the range is left out.
 * From the untracked range `at` on: each call goes one further, and what is left are as many pieces as it makes turns.
 */
static void append_tracked(struct write_log *log, const struct flight *written, size_t at, int64_t ended_ns)
{
	struct cache_range range = written->range, untracked;
	uint64_t end = range.offset_bytes + range.length_bytes, untracked_end;
	struct flight piece = *written;

	while (at < log->untracked_count && !overlap(&range, &log->untracked[at]))
		at++;
	if (at == log->untracked_count) {
		append(log, written, ended_ns);
		return;
	}
	untracked = log->untracked[at];
	untracked_end = untracked.offset_bytes + untracked.length_bytes;
	if (range.offset_bytes < untracked.offset_bytes) {
		piece.range.length_bytes = untracked.offset_bytes - range.offset_bytes;
		append_tracked(log, &piece, at + 1, ended_ns);
	}
	if (untracked_end < end) {
		piece.range = (struct cache_range){ untracked_end, end - untracked_end };
		append_tracked(log, &piece, at + 1, ended_ns);
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
	flight.generation = log->generation;
	log->writes += news->writes;
	if (!have_entries(log))
		return false;
	for (size_t i = 0; i < news->in_flight_count; i++) {
		flight.range = news->in_flight[i];
		flight.untracked = is_untracked(log, &flight.range);
		if (!is_in_flight(log, &flight.range) && !add_flight(log, &flight))
			return false;
	}
	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flight_count; i-- > 0;)
		if (!is_among(&log->flights[i].range, news->in_flight, news->in_flight_count))
			land(log, i, now_ns, now_ns);
	for (size_t i = 0; i < news->written_count; i++) {
		flight.range = news->written[i];
		append_tracked(log, &flight, 0, now_ns);
	}
	if (news->writes > 0)
		log->last_end_ns = now_ns;
	return true;
}

const char *write_log_source(struct write_log *log)
{
	if (!write_log_is_told_late(log))
		return NULL;
	LOCK_SCOPE(&log->lock);
	return log->exact ? log->feed->ops->source : NULL;
}

uint64_t write_log_tracked_end(struct write_log *log, uint64_t size_bytes, uint64_t piece_bytes)
{
	uint64_t end = size_bytes;
	bool again = true;

	LOCK_SCOPE(&log->lock);
	/* Each turn but the last takes `end` back to the begin of another one. */
	while (again) {
		again = false;
		for (size_t i = 0; i < log->untracked_count; i++) {
			const struct cache_range *range = &log->untracked[i];

			if (range->offset_bytes >= end || range->offset_bytes + range->length_bytes + piece_bytes < end)
				continue;
			end = range->offset_bytes;
			again = true;
		}
	}
	return end;
}

uint64_t write_log_tracked_begin(struct write_log *log, uint64_t from_bytes)
{
	uint64_t begin = from_bytes;
	bool again = true;

	LOCK_SCOPE(&log->lock);
	/* Each turn but the last takes `begin` on to the end of another one. */
	while (again) {
		again = false;
		for (size_t i = 0; i < log->untracked_count; i++) {
			const struct cache_range *range = &log->untracked[i];

			if (begin < range->offset_bytes || begin - range->offset_bytes >= range->length_bytes)
				continue;
			begin = range->offset_bytes + range->length_bytes;
			again = true;
		}
	}
	return begin;
}

bool write_log_is_mapped(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	return log->mapped;
}

/* What was told takes the place of the device's own signs, of which a block server gives none. */
static void judge_told(struct write_log *log, struct cache_observation *seen, bool told)
{
	if (!told || !log->exact || seen->size_bytes != log->size_bytes)
		start_over(log);
	if (told) {
		seen->blind = seen->signless = false;
		seen->steady = true;
	}
	log->exact = told;
	log->blind = seen->blind;
	log->listening_ns = told ? max_i64(log->listening_ns, 1) : 0;
	log->device_generation = seen->generation;
	log->size_bytes = seen->size_bytes;
}

static void stranger(struct write_log *log)
{
	log->stranger_ns = log->monotonic_ns();
	log->exact = false;
	start_over(log);
}

void write_log_stranger(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	stranger(log);
}

void write_log_start_over(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	log->last_end_ns = log->monotonic_ns();
	start_over(log);
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
		start_over(log);
}

/* ---- the look -------------------------------------------------------------- */

int write_log_listen(struct write_log *log, bool may_block)
{
	int64_t since_ns = log->feed ? log->feed->ops->listen(log->feed, may_block) : 0;

	if (write_log_is_told_late(log))
		return since_ns < 0 ? (int)since_ns : 0;
	if (since_ns < 0)
		return (int)since_ns;
	LOCK_SCOPE(&log->lock);
	if (since_ns == log->listening_ns)
		return 0;
	/* There was a gap: whether anything was written in it is for the device to say. */
	log->listening_ns = since_ns;
	log->exact = false;
	log->began_ns = since_ns != 0 ? since_ns : log->monotonic_ns();
	return 0;
}

bool write_log_listened(struct write_log *log, int64_t since_ns)
{
	LOCK_SCOPE(&log->lock);
	return !log->feed || (log->listening_ns != 0 && log->listening_ns < since_ns);
}

static bool is_stuck(const struct write_log *log, int64_t now_ns)
{
	for (size_t i = 0; i < log->flight_count; i++)
		if (log->flights[i].teller != log->feed && !log->flights[i].untracked &&
		    now_ns - log->flights[i].begun_ns > STUCK_NS)
			return true;
	return false;
}

/* Is every write announced, as far as is known? Else why not: constant text, or NULL when nobody tells. */
static bool all_announced(const struct write_log *log, int64_t now_ns, const char **why_not)
{
	*why_not = NULL;
	if (log->listening_ns == 0 && log->speaking == 0)
		return false;
	if (log->blind)
		*why_not = "writers on other machines cannot be seen";
	else if (log->stranger_ns != 0 && now_ns - log->stranger_ns < WAIT_STRANGER_NS)
		*why_not = "somebody writes who does not tell";
	else if (log->listening_ns == 0 && log->distrusted > 0)
		*why_not = "a reporter cannot be followed";
	else if (log->listening_ns == 0 && is_stuck(log, now_ns))
		*why_not = "a write has been in flight for too long";
	return !*why_not;
}

/* A change that no announced write explains. */
static bool is_unexplained(const struct write_log *log, const struct cache_observation *seen)
{
	/* A device has no time stamp, but counters. */
	if (seen->stamp_ns == 0)
		return seen->generation != log->device_generation && log->flight_count == 0 &&
		       seen->now_ns - log->last_end_ns > WRITEBACK_NS;
	return seen->stamp_ns != log->stamp_ns &&
	       !is_explained(log, seen->now_ns - (log->real_time_ns() - seen->stamp_ns));
}

/*
 * When somebody begins to tell, or is believed again, writes from before may still
 * be executed, and some of them never tell their end (libaio). If the device's last
 * change is younger than its lag, all is looked at again at each look until that is over.
 */
static void look_again_until_settled(struct write_log *log, struct cache_observation *seen)
{
	if (log->began_ns != 0)
		log->settles_ns = seen->steady ? 0 : log->began_ns + WAIT_CTIME_LAG_NS;
	else if (log->settles_ns == 0 && !seen->steady && seen->now_ns - log->listening_ns < WAIT_SETTLE_NS) {
		/* Something changes just after listening began: others may have been at it already, unannounced. */
		start_over(log);
		log->settles_ns = log->listening_ns + WAIT_SETTLE_NS;
	}
	log->began_ns = 0;
	if (log->settles_ns == 0)
		return;
	log->floor = log->gap = ++log->generation;
	if (seen->now_ns >= log->settles_ns)
		log->settles_ns = 0;
}

/*
 * What was believed before stands if every write since was announced, or if the
 * device saw no change since.
 */
static void judge(struct write_log *log, const struct cache_observation *seen)
{
	bool moved = seen->generation != log->device_generation || seen->size_bytes != log->size_bytes;
	bool was_exact = log->exact;
	const char *why_not;

	log->blind = seen->blind;
	if (was_exact && is_unexplained(log, seen))
		stranger(log);
	log->exact = all_announced(log, seen->now_ns, &why_not);
	/* Who did not tell until now may have begun a write just before. */
	if (log->began_ns == 0 && log->exact && !was_exact)
		log->began_ns = seen->now_ns;
	if (was_exact && log->exact) {
		if (seen->size_bytes != log->size_bytes)
			start_over(log);
	} else if (moved) {
		start_over(log);
		/* The device knows how long ago the last change was, also of what nobody announced. */
		log->floor_ns = seen->now_ns - seen->quiet_ns;
	}
	log->device_generation = seen->generation;
	log->size_bytes = seen->size_bytes;
	log->stamp_ns = seen->stamp_ns;
}

static unsigned tracked_flights(const struct write_log *log)
{
	unsigned count = 0;

	for (size_t i = 0; i < log->flight_count; i++)
		count += !log->flights[i].untracked;
	return count;
}

/*
 * Can the feed have something to tell? A write is executed only after its announcement was taken in: it is in
 * flight here until its end was, too. Whoever does not announce changes what the device shows. So where nothing
 * is in flight, and the device shows what it showed and is believed, what may be queued are announcements of
 * writes that have not begun.
 */
static bool has_news(struct write_log *log, const struct cache_observation *seen)
{
	LOCK_SCOPE(&log->lock);
	return !log->exact || log->settles_ns != 0 || log->flight_count > 0 || !seen->steady ||
	       seen->generation != log->device_generation;
}

void write_log_observe(struct write_log *log, struct cache_observation *seen)
{
	bool late = write_log_is_told_late(log), told = late && log->feed->ops->look(log->feed, seen);

	if (log->feed && !late && has_news(log, seen))
		log->feed->ops->drain(log->feed);
	LOCK_SCOPE(&log->lock);
	age_flights(log);
	if (late)
		judge_told(log, seen, told);
	else
		judge(log, seen);
	if (log->exact && !late)
		look_again_until_settled(log, seen);
	seen->in_flight = log->exact ? tracked_flights(log) : 0;
	if (log->feed && seen->in_flight > 0)
		log->generation++;
	seen->generation = log->generation;
	seen->exact = log->exact && log->settles_ns == 0;
	if (log->exact)
		seen->steady = log->settles_ns == 0;
}

/* ---- what the image asks ---------------------------------------------------- */

int write_log_changes(struct write_log *log, uint64_t generation, struct cache_range *ranges, size_t capacity,
		      size_t *in_flight)
{
	size_t count = 0;

	*in_flight = 0;
	LOCK_SCOPE(&log->lock);
	if (!log->exact || generation < log->floor || tracked_flights(log) > capacity)
		return -1;
	for (size_t i = 0; i < log->flight_count; i++)
		if (!log->flights[i].untracked)
			ranges[count++] = log->flights[i].range;
	*in_flight = count;
	for (size_t back = 0; back < log->count; back++) {
		const struct entry *entry = entry_back(log, back);

		if (entry->generation <= generation)
			break;
		if (count == capacity)
			return -1;
		ranges[count++] = entry->range;
	}
	return (int)count;
}

bool write_log_untouched(struct write_log *log, uint64_t generation,
			 bool (*touches)(const void *what, const struct cache_range *range), const void *what)
{
	LOCK_SCOPE(&log->lock);
	if (!log->exact || generation < log->floor)
		return false;
	for (size_t i = 0; i < log->flight_count; i++)
		if (!log->flights[i].untracked && touches(what, &log->flights[i].range))
			return false;
	for (size_t back = 0; back < log->count; back++) {
		const struct entry *entry = entry_back(log, back);

		if (entry->generation <= generation)
			break;
		if (touches(what, &entry->range))
			return false;
	}
	return true;
}

bool write_log_told_since(struct write_log *log, uint64_t generation)
{
	LOCK_SCOPE(&log->lock);
	return log->exact && generation >= log->gap;
}

/* Of what is in flight in `where`: is a write executed, as far as is known, and when did the first begin? */
static bool burst_in_flight(const struct write_log *log, const struct cache_range *where, struct write_burst *burst)
{
	int64_t now_ns = burst->start_ns;
	bool running = false;

	for (size_t i = 0; i < log->flight_count; i++) {
		const struct flight *flight = &log->flights[i];

		if (flight->untracked || (where && !overlap(&flight->range, where)))
			continue;
		running = running || !flight->uncertain;
		if (flight->uncertain && now_ns - flight->begun_ns < burst->quiet_ns)
			burst->quiet_ns = max_i64(now_ns - flight->begun_ns, 0);
		if (flight->begun_ns < burst->start_ns)
			burst->start_ns = flight->begun_ns;
		if (flight->generation < burst->generation)
			burst->generation = flight->generation;
	}
	if (running)
		burst->quiet_ns = 0;
	return running;
}

int write_log_burst(struct write_log *log, const struct cache_range *where, int64_t rest_ns, int64_t now_ns,
		    struct write_burst *burst)
{
	bool running;

	LOCK_SCOPE(&log->lock);
	if (!log->exact)
		return -ENOTSUP;
	*burst = (struct write_burst){ now_ns - log->floor_ns, now_ns, log->generation };
	running = burst_in_flight(log, where, burst);
	/* Back in time, to the first rest that was long enough. */
	for (size_t back = 0; back < log->count; back++) {
		const struct entry *entry = entry_back(log, back);

		if (where && !overlap(&entry->range, where))
			continue;
		if (!running && now_ns - entry->ended_ns < burst->quiet_ns)
			burst->quiet_ns = max_i64(now_ns - entry->ended_ns, 0);
		if (burst->start_ns - entry->ended_ns >= rest_ns)
			return 0;
		if (entry->begun_ns < burst->start_ns)
			burst->start_ns = entry->begun_ns;
		if (entry->generation - 1 < burst->generation)
			burst->generation = entry->generation - 1;
	}
	if (burst->start_ns - log->floor_ns < rest_ns)
		burst->generation = 0;
	return 0;
}

void write_log_set_untracked(struct write_log *log, const struct cache_range *ranges, size_t count)
{
	struct cache_range *copy = count > 0 ? reallocarray(NULL, count, sizeof(*copy)) : NULL;

	if (!copy)
		count = 0;
	LOCK_SCOPE(&log->lock);
	log->mapped = true;
	if (count == log->untracked_count &&
	    (count == 0 || memcmp(ranges, log->untracked, count * sizeof(*ranges)) == 0)) {
		free(copy);
		return;
	}
	if (count > 0)
		memcpy(copy, ranges, count * sizeof(*ranges));
	free(log->untracked);
	log->untracked = copy;
	log->untracked_count = count;
	/* What was untracked until now was not remembered, and what is in flight was judged by it. */
	for (size_t i = 0; i < log->flight_count; i++)
		log->flights[i].untracked = is_untracked(log, &log->flights[i].range);
	start_over(log);
}

/* ---- guards ------------------------------------------------------------------ */

/* Under the lock. */
static bool written_since(const struct write_log *log, const struct guard *guard, uint64_t generation)
{
	for (size_t back = 0; back < log->count; back++) {
		const struct entry *entry = entry_back(log, back);

		if (entry->generation <= generation)
			return false;
		if (extents_touch(guard_extents(guard), &entry->range))
			return true;
	}
	return false;
}

/* Under the lock. */
static int may_be_guarded(const struct write_log *log, const struct guard *guard, uint64_t generation)
{
	/* One that is uncertain is mostly over: it is no reason to guard against none. */
	for (size_t i = 0; i < log->flight_count; i++)
		if (!log->flights[i].uncertain && extents_touch(guard_extents(guard), &log->flights[i].range))
			return -EAGAIN;
	return generation < log->floor || written_since(log, guard, generation) ? -ESTALE : 0;
}

int write_log_guard(struct write_log *log, struct guard *guard, uint64_t generation)
{
	struct guard_link *link = guard_link(guard);
	int error;

	LOCK_SCOPE(&log->lock);
	error = log->exact ? may_be_guarded(log, guard, generation) : -ENOTSUP;
	if (error != 0)
		return error;
	link->epoch = log->epoch;
	link->next = log->guards;
	link->link = &log->guards;
	if (log->guards)
		guard_link(log->guards)->link = &link->next;
	log->guards = guard;
	return 0;
}

void write_log_unguard(struct write_log *log, struct guard *guard)
{
	struct guard_link *link = guard_link(guard);

	LOCK_SCOPE(&log->lock);
	if (!link->link)
		return;
	*link->link = link->next;
	if (link->next)
		guard_link(link->next)->link = link->link;
	link->link = NULL;
	log->saved_bytes += guard_saved_bytes(guard);
}

int write_log_guard_stands(struct write_log *log, struct guard *guard)
{
	LOCK_SCOPE(&log->lock);
	return log->exact && guard_link(guard)->epoch == log->epoch ? 0 : -ENOTSUP;
}

bool write_log_is_guarded(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	return log->guards != NULL;
}

/* ---- status ------------------------------------------------------------------ */

void write_log_status(struct write_log *log, struct write_log_status *status)
{
	int64_t now_ns = log->monotonic_ns();
	const char *feed_why_not = log->feed ? log->feed->ops->why_not(log->feed) : log->why_no_feed;
	bool late = write_log_is_told_late(log);

	*status = (struct write_log_status){ .kernel = log->feed && !late && !feed_why_not, .late = late,
					     .stranger_ns = -1, .quiet_ns = -1 };
	LOCK_SCOPE(&log->lock);
	/* The kernel tells as soon as somebody looks: what it would say then counts. */
	if (status->kernel && log->listening_ns == 0)
		status->exact = log->stranger_ns == 0 || now_ns - log->stranger_ns >= WAIT_STRANGER_NS;
	else
		status->exact = all_announced(log, now_ns, &status->why_not);
	if (status->exact && !(status->kernel && log->listening_ns == 0) &&
	    max_i64(log->settles_ns, log->began_ns + WAIT_CTIME_LAG_NS) > now_ns) {
		status->exact = false;
		status->why_not = "what was begun before writes were told of may still be written";
	}
	if (!status->exact && !status->why_not)
		status->why_not = feed_why_not;
	if (log->stranger_ns != 0)
		status->stranger_ns = now_ns - log->stranger_ns;
	status->writes = log->writes;
	status->written_bytes = log->written_bytes;
	status->in_flight = (unsigned)log->flight_count;
	if (log->last_end_ns != 0)
		status->quiet_ns = now_ns - log->last_end_ns;
	status->lost = log->lost;
	status->saved_bytes = log->saved_bytes;
	for (struct guard *guard = log->guards; guard; guard = guard_link(guard)->next) {
		status->saved_bytes += guard_saved_bytes(guard);
		status->guarded += guard_link(guard)->epoch == log->epoch;
	}
}
