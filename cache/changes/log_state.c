/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/log_state.h"

#include "base/checked.h"
#include "base/waits.h"

void log_state_start_over(struct write_log *log)
{
	history_start_over(&log->history, log->monotonic_ns());
}

void log_state_stranger(struct write_log *log)
{
	log->stranger_ns = log->monotonic_ns();
	log->exact = false;
	log_state_start_over(log);
}

void log_state_land(struct write_log *log, size_t index, int64_t ended_ns, int64_t stamped_ns)
{
	const struct flight *flight = &log->flights.all[index];

	windows_note(&log->windows, flight->begun_ns, stamped_ns);
	log->last_end_ns = max_i64(log->last_end_ns, ended_ns);
	if (!flight->untracked)
		history_append(&log->history, &flight->range, flight->begun_ns, ended_ns);
	flights_remove(&log->flights, index);
}

void log_state_land_uncertain(struct write_log *log, size_t index)
{
	int64_t begun_ns = log->flights.all[index].begun_ns;

	log_state_land(log, index, begun_ns, begun_ns + WAIT_SETTLE_NS);
}

void log_state_age_flights(struct write_log *log)
{
	int64_t now_ns = log->monotonic_ns();

	/* Each turn goes one back, and what fills the gap was looked at before. */
	for (size_t i = log->flights.count; i-- > 0;) {
		struct flight *flight = &log->flights.all[i];

		if (flight->teller != log->feed)
			continue;
		if (now_ns - flight->begun_ns >= WAIT_CTIME_LAG_NS)
			log_state_land_uncertain(log, i);
		else if (now_ns - flight->begun_ns >= WAIT_SETTLE_NS)
			flight->uncertain = true;
	}
}
