/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reports_guards: which open versions writers wait for.
 *
 * A guard is set up only while nothing is in flight to its bytes, and from then on
 * each write to them is held up until they are kept (reporter.c); reporters with a
 * ledger learn from the watch which writes these may be.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "cache/changes/reports_inside.h"

/* Under the lock. */
static bool written_since(const struct reports *reports, const struct guard *guard, uint64_t generation)
{
	for (size_t back = 0; back < reports->log_count; back++) {
		const struct log_entry *entry = reports_log_entry(reports, back);

		if (entry->generation <= generation)
			return false;
		if (extents_touch(guard_extents(guard), &entry->range))
			return true;
	}
	return false;
}

/* Under the lock. */
static int may_be_guarded(const struct reports *reports, const struct guard *guard, uint64_t generation)
{
	for (size_t i = 0; i < reports->flight_count; i++)
		if (extents_touch(guard_extents(guard), &reports->flights[i].range))
			return -EAGAIN;
	return generation < reports->floor || written_since(reports, guard, generation) ? -ESTALE : 0;
}

/* Under the lock. */
static void set_watch(struct reports *reports, const struct cache_range *watch)
{
	reports->watch = *watch;
	for (struct reporter *reporter = reports->reporters; reporter; reporter = reporter->next)
		if (reporter->ledger)
			ledger_watch(reporter->ledger, watch->offset_bytes, watch->offset_bytes + watch->length_bytes);
}

int reports_guard(struct reports *reports, struct guard *guard, uint64_t generation)
{
	struct guard_link *link = guard_link(guard);
	struct cache_range span = extents_span(guard_extents(guard));
	int error;

	LOCK_SCOPE(&reports->lock);
	if (reports->state != REPORTS_EXACT)
		return -ENOTSUP;
	if (reports->guards)
		span = cache_range_span(&span, &reports->watch);
	set_watch(reports, &span);
	/* What was posted before the watch could be seen is in flight now, or was written. */
	reports_take_posted(reports);
	error = may_be_guarded(reports, guard, generation);
	if (error != 0) {
		if (!reports->guards)
			set_watch(reports, &(struct cache_range){ 0 });
		return error;
	}
	link->epoch = reports->epoch;
	link->next = reports->guards;
	link->link = &reports->guards;
	if (reports->guards)
		guard_link(reports->guards)->link = &link->next;
	reports->guards = guard;
	return 0;
}

void reports_unguard(struct reports *reports, struct guard *guard)
{
	struct guard_link *link = guard_link(guard);

	LOCK_SCOPE(&reports->lock);
	if (!link->link)
		return;
	*link->link = link->next;
	if (link->next)
		guard_link(link->next)->link = link->link;
	link->link = NULL;
	if (!reports->guards)
		set_watch(reports, &(struct cache_range){ 0 });
	reports->saved_bytes += guard_saved_bytes(guard);
}

/* A write to it was posted, and waits for what it is about to overwrite. Or should; then that will be lost. */
static bool is_being_kept(const struct reports *reports, const struct guard *guard)
{
	for (size_t i = 0; i < reports->flight_count; i++)
		if (reports->flights[i].unkept && extents_touch(guard_extents(guard), &reports->flights[i].range))
			return true;
	return false;
}

int reports_guard_stands(struct reports *reports, struct guard *guard)
{
	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	if (reports->state == REPORTS_INEXACT || guard_link(guard)->epoch != reports->epoch)
		return -ENOTSUP;
	return reports->state != REPORTS_EXACT || is_being_kept(reports, guard) ? -EAGAIN : 0;
}
