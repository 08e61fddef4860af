/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/pairing.h"

#include "base/waits.h"
#include "cache/changes/write_log.h"

/* A size may be set, and nothing tells when it is: under an id of its own it has no end. */
#define SIZE_ID (UINT64_MAX - 1)

static unsigned slot_of(pid_t thread)
{
	return (unsigned)thread % PAIRING_THREADS;
}

void pairing_begin(struct pairing *pairing, struct write_log *log, const void *teller)
{
	*pairing = (struct pairing){ .log = log, .teller = teller, .begun_ns = write_log_now_ns(log) };
}

/* Has it more than one request in flight, as far as is known? A thread of another PID namespace (0) may be many. */
static bool has_several(const struct pairing *pairing, pid_t thread)
{
	unsigned slot = slot_of(thread);

	return thread == 0 || (pairing->several[slot].thread == thread &&
			       write_log_now_ns(pairing->log) - pairing->several[slot].heard_ns < WAIT_CTIME_LAG_NS);
}

static void note_several(struct pairing *pairing, pid_t thread)
{
	unsigned slot = slot_of(thread);

	pairing->several[slot].thread = thread;
	pairing->several[slot].heard_ns = write_log_now_ns(pairing->log);
}

/* Was it heard of before, since listening began? */
static bool meet(struct pairing *pairing, pid_t thread)
{
	unsigned slot = slot_of(thread);
	bool met = pairing->met[slot].thread == thread;

	pairing->met[slot].thread = thread;
	return met;
}

/* What cannot be followed is nobody's: an end may not come, and a change be explained by others' writes. */
static void begin(struct pairing *pairing, uint64_t id, const struct cache_range *range, struct saving **saving)
{
	if (!write_log_begin(pairing->log, pairing->teller, id, range, saving))
		write_log_stranger(pairing->log);
}

void pairing_announced(struct pairing *pairing, pid_t thread, const struct cache_range *range, struct saving **saving)
{
	uint64_t id = (uint64_t)thread;

	meet(pairing, thread);
	if (range->length_bytes == 0) {
		struct cache_range rest = { range->offset_bytes, (uint64_t)INT64_MAX - range->offset_bytes };

		begin(pairing, SIZE_ID, &rest, saving);
		write_log_end_unknown(pairing->log, pairing->teller, SIZE_ID);
		return;
	}
	if (has_several(pairing, thread) || write_log_end_unknown(pairing->log, pairing->teller, id) > 0) {
		note_several(pairing, thread);
		begin(pairing, id, range, saving);
		write_log_end_unknown(pairing->log, pairing->teller, id);
		return;
	}
	begin(pairing, id, range, saving);
}

void pairing_modified(struct pairing *pairing, pid_t thread)
{
	bool met = meet(pairing, thread);

	if (write_log_end(pairing->log, pairing->teller, (uint64_t)thread) > 0)
		return;
	if (has_several(pairing, thread))
		note_several(pairing, thread);
	else if (!met && write_log_now_ns(pairing->log) - pairing->begun_ns < WAIT_SETTLE_NS)
		write_log_start_over(pairing->log);
	else
		write_log_stranger(pairing->log);
}

void pairing_accessed(struct pairing *pairing, pid_t thread)
{
	meet(pairing, thread);
	if (write_log_was_read(pairing->log, pairing->teller, (uint64_t)thread) == 0 && has_several(pairing, thread))
		note_several(pairing, thread);
}
