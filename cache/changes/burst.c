/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/burst.h"

#include <errno.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/changes/log_state.h"

/* Of what is in flight in `where`: is a write executed, as far as is known, and when did the first begin? */
static bool burst_in_flight(const struct flights *flights, const struct cache_range *where, struct write_burst *burst)
{
	int64_t now_ns = burst->start_ns;
	bool running = false;

	for (size_t i = 0; i < flights->count; i++) {
		const struct flight *flight = &flights->all[i];

		if (flight->untracked || (where && !cache_ranges_overlap(&flight->range, where)))
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
	const struct entry *entry;
	bool running;

	LOCK_SCOPE(&log->lock);
	if (!log->exact)
		return -ENOTSUP;
	*burst = (struct write_burst){ now_ns - log->history.floor_ns, now_ns, log->history.generation };
	running = burst_in_flight(&log->flights, where, burst);
	/* Back in time, to the first rest that was long enough. */
	for (size_t back = 0; (entry = history_back(&log->history, back)); back++) {
		if (where && !cache_ranges_overlap(&entry->range, where))
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
	if (burst->start_ns - log->history.floor_ns < rest_ns)
		burst->generation = 0;
	return 0;
}
