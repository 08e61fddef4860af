/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/history.h"

#include <stdlib.h>

#include "base/checked.h"

/* Writes that ended and are remembered; of what is older anything may be true. */
#define ENTRIES 1024

void history_init(struct history *history)
{
	*history = (struct history){ .generation = 1, .floor = 1, .gap = 1 };
}

void history_free(struct history *history)
{
	free(history->entries);
}

bool history_prepare(struct history *history)
{
	if (!history->entries)
		history->entries = calloc(ENTRIES, sizeof(*history->entries));
	return history->entries != NULL;
}

void history_start_over(struct history *history, int64_t now_ns)
{
	history->floor = history->gap = ++history->generation;
	history->epoch++;
	history->count = 0;
	history->floor_ns = now_ns;
}

const struct entry *history_back(const struct history *history, size_t back)
{
	return back < history->count ? &history->entries[(history->first + history->count - 1 - back) % ENTRIES] : NULL;
}

const struct entry *history_since(const struct history *history, uint64_t generation, size_t back)
{
	const struct entry *entry = history_back(history, back);

	return entry && entry->generation > generation ? entry : NULL;
}

void history_append(struct history *history, const struct cache_range *range, int64_t begun_ns, int64_t ended_ns)
{
	const struct entry *last = history_back(history, 0);
	struct entry *entry;

	/* One that was uncertain is appended late: no entry is to be older than the one before. */
	if (last)
		ended_ns = max_i64(ended_ns, last->ended_ns);
	if (history->count == ENTRIES) {
		history->floor = history->entries[history->first].generation;
		history->floor_ns = history->entries[history->first].ended_ns;
		history->first = (history->first + 1) % ENTRIES;
		history->count--;
	}
	entry = &history->entries[(history->first + history->count++) % ENTRIES];
	*entry = (struct entry){ ++history->generation, *range, begun_ns, ended_ns };
}
