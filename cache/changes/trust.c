/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/trust.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/log_state.h"

/* A reported write that takes so long may never end: its client may be gone, and its server wait for the data. */
#define STUCK_NS (5 * WAIT_S)

/* A device's counters move by themselves while what was reported is written back. */
#define WRITEBACK_NS (60 * WAIT_S)

/* ---- before the look ------------------------------------------------------- */

int write_log_listen(struct write_log *log, bool may_block)
{
	int64_t since_ns = log->feed ? log->feed->ops->listen(log->feed, may_block) : 0;

	if (log_state_is_told_late(log))
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

/* ---- is all announced? Under the lock ---------------------------------------- */

static bool is_stuck(const struct write_log *log, int64_t now_ns)
{
	for (size_t i = 0; i < log->flights.count; i++)
		if (log->flights.all[i].teller != log->feed && !log->flights.all[i].untracked &&
		    now_ns - log->flights.all[i].begun_ns > STUCK_NS)
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

bool trust_now(const struct write_log *log, int64_t now_ns, bool will_listen, const char **why_not)
{
	*why_not = NULL;
	if (will_listen && log->listening_ns == 0)
		return log->stranger_ns == 0 || now_ns - log->stranger_ns >= WAIT_STRANGER_NS;
	if (!all_announced(log, now_ns, why_not))
		return false;
	if (max_i64(log->settles_ns, log->began_ns + WAIT_CTIME_LAG_NS) <= now_ns)
		return true;
	*why_not = "what was begun before writes were told of may still be written";
	return false;
}

/* A change that no announced write explains. */
static bool is_unexplained(const struct write_log *log, const struct cache_observation *seen)
{
	/* A device has no time stamp, but counters. */
	if (seen->stamp_ns == 0)
		return seen->generation != log->device_generation && log->flights.count == 0 &&
		       seen->now_ns - log->last_end_ns > WRITEBACK_NS;
	return seen->stamp_ns != log->stamp_ns &&
	       !windows_explain(&log->windows, &log->flights, seen->now_ns - (log->real_time_ns() - seen->stamp_ns));
}

/* ---- what the look saw; under the lock --------------------------------------- */

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
		log_state_start_over(log);
		log->settles_ns = log->listening_ns + WAIT_SETTLE_NS;
	}
	log->began_ns = 0;
	if (log->settles_ns == 0)
		return;
	log->history.floor = log->history.gap = ++log->history.generation;
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
		log_state_stranger(log);
	log->exact = all_announced(log, seen->now_ns, &why_not);
	/* Who did not tell until now may have begun a write just before. */
	if (log->began_ns == 0 && log->exact && !was_exact)
		log->began_ns = seen->now_ns;
	if (was_exact && log->exact) {
		if (seen->size_bytes != log->size_bytes)
			log_state_start_over(log);
	} else if (moved) {
		log_state_start_over(log);
		/* The device knows how long ago the last change was, also of what nobody announced. */
		log->history.floor_ns = seen->now_ns - seen->quiet_ns;
	}
	log->device_generation = seen->generation;
	log->size_bytes = seen->size_bytes;
	log->stamp_ns = seen->stamp_ns;
}

/* What was told takes the place of the device's own signs, of which a block server gives none. */
static void judge_told(struct write_log *log, struct cache_observation *seen, bool told)
{
	if (!told || !log->exact || seen->size_bytes != log->size_bytes)
		log_state_start_over(log);
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

/* ---- the look -------------------------------------------------------------- */

/*
 * Can the feed have something to tell? A write is executed only after its announcement was taken in: it is in
 * flight here until its end was, too. Whoever does not announce changes what the device shows. So where nothing
 * is in flight, and the device shows what it showed and is believed, what may be queued are announcements of
 * writes that have not begun.
 */
static bool has_news(struct write_log *log, const struct cache_observation *seen)
{
	LOCK_SCOPE(&log->lock);
	return !log->exact || log->settles_ns != 0 || log->flights.count > 0 || !seen->steady ||
	       seen->generation != log->device_generation;
}

void write_log_observe(struct write_log *log, struct cache_observation *seen)
{
	bool late = log_state_is_told_late(log), told = late && log->feed->ops->look(log->feed, seen);

	if (log->feed && !late && has_news(log, seen))
		log->feed->ops->drain(log->feed);
	LOCK_SCOPE(&log->lock);
	log_state_age_flights(log);
	if (late)
		judge_told(log, seen, told);
	else
		judge(log, seen);
	if (log->exact && !late)
		look_again_until_settled(log, seen);
	seen->in_flight = log->exact ? flights_count_tracked(&log->flights) : 0;
	if (log->feed && seen->in_flight > 0)
		log->history.generation++;
	seen->generation = log->history.generation;
	seen->exact = log->exact && log->settles_ns == 0;
	if (log->exact)
		seen->steady = log->settles_ns == 0;
}
