/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/windows.h"

#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/changes/flights.h"

/* A ctime may be taken from a clock that ticks, and the end of a write is told when it is over. */
#define STAMP_MARGIN_NS (20 * WAIT_MS)

void windows_note(struct windows *windows, int64_t begin_ns, int64_t end_ns)
{
	struct window *last = &windows->last[0];

	if (last->end_ns != 0 && begin_ns <= last->end_ns + 2 * STAMP_MARGIN_NS) {
		last->begin_ns = begin_ns < last->begin_ns ? begin_ns : last->begin_ns;
		last->end_ns = max_i64(last->end_ns, end_ns);
		return;
	}
	memmove(last + 1, last, sizeof(windows->last) - sizeof(*last));
	*last = (struct window){ begin_ns, end_ns };
}

bool windows_explain(const struct windows *windows, const struct flights *flights, int64_t at_ns)
{
	for (size_t i = 0; i < flights->count; i++)
		if (at_ns >= flights->all[i].begun_ns - STAMP_MARGIN_NS)
			return true;
	for (size_t i = 0; i < WINDOWS; i++)
		if (windows->last[i].end_ns != 0 && at_ns >= windows->last[i].begin_ns - STAMP_MARGIN_NS &&
		    at_ns <= windows->last[i].end_ns + STAMP_MARGIN_NS)
			return true;
	return false;
}
