/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/guards.h"

#include <errno.h>

#include "base/cleanup.h"
#include "cache/changes/guard.h"
#include "cache/changes/log_state.h"

/* Under the lock. */
static bool written_since(const struct write_log *log, const struct guard *guard, uint64_t generation)
{
	const struct entry *entry;

	for (size_t back = 0; (entry = history_since(&log->history, generation, back)); back++)
		if (extents_touch(guard_extents(guard), &entry->range))
			return true;
	return false;
}

/* Under the lock. */
static int may_be_guarded(const struct write_log *log, const struct guard *guard, uint64_t generation)
{
	const struct flights *flights = &log->flights;

	/* One that is uncertain is mostly over: it is no reason to guard against none. */
	for (size_t i = 0; i < flights->count; i++)
		if (!flights->all[i].uncertain && extents_touch(guard_extents(guard), &flights->all[i].range))
			return -EAGAIN;
	return generation < log->history.floor || written_since(log, guard, generation) ? -ESTALE : 0;
}

int write_log_guard(struct write_log *log, struct guard *guard, uint64_t generation)
{
	struct guard_link *link = guard_link(guard);
	int error;

	LOCK_SCOPE(&log->lock);
	error = log->exact ? may_be_guarded(log, guard, generation) : -ENOTSUP;
	if (error != 0)
		return error;
	link->epoch = log->history.epoch;
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

/* Under the lock: was every write announced since it was set up? */
static bool is_of_this_epoch(const struct write_log *log, struct guard *guard)
{
	return guard_link(guard)->epoch == log->history.epoch;
}

int write_log_guard_stands(struct write_log *log, struct guard *guard)
{
	LOCK_SCOPE(&log->lock);
	return log->exact && is_of_this_epoch(log, guard) ? 0 : -ENOTSUP;
}

bool write_log_is_guarded(struct write_log *log)
{
	LOCK_SCOPE(&log->lock);
	return log->guards != NULL;
}

void guards_save_before(struct write_log *log, const struct cache_range *range, struct saving **saving)
{
	for (struct guard *guard = log->guards; guard; guard = guard_link(guard)->next)
		if (is_of_this_epoch(log, guard) && extents_touch(guard_extents(guard), range))
			log->lost += saving_add(saving, guard, range);
}

unsigned guards_count(const struct write_log *log, uint64_t *saved_bytes)
{
	unsigned count = 0;

	*saved_bytes = log->saved_bytes;
	for (struct guard *guard = log->guards; guard; guard = guard_link(guard)->next) {
		*saved_bytes += guard_saved_bytes(guard);
		count += is_of_this_epoch(log, guard);
	}
	return count;
}
