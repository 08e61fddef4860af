/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live_run: one run of the fuzz target `live`: the cache under test, its reader and its writer, and what the reader holds.
 *
 * live.c plays the input, live_calls.h makes the reader's calls, live_answer.h judges what comes back.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "cache_reader.h"
#include "live_writer.h"

#define HANDLES 4
#define DIRS 2
#define IDS_MAX 128

/* What any open ever returned of one inode number. */
struct known {
	uint64_t id;
	unsigned number;
	enum path path;
	uint64_t size_bytes;
	unsigned char *bytes, *have;
	unsigned state; /* that was last seen to have it all */
};

struct handle {
	struct cache_version *version; /* NULL: not open */
	struct known *known;
	unsigned since; /* the first state that it may be of */
	bool exact;	/* all writes were told when it was opened, and had been for a while */
};

struct held_dir {
	struct cache_dir *dir; /* or NULL */
	unsigned number;
	enum path path;
};

struct run {
	struct memory_device memory;
	struct reader reader;
	struct live_history *history;
	struct writer *writer;
	struct reporter *reporter;
	unsigned char *bytes;
	struct known ids[IDS_MAX];
	unsigned id_count;
	struct handle handles[HANDLES];
	struct held_dir dirs[DIRS];
	const unsigned char *put_off; /* a record for the midst of the next read of data, or NULL */
	bool in_midst;
	const struct handle *busy; /* the call outside uses it */
	struct memory_feed *feed; /* or NULL; the log's */
	bool keeps; /* all writes are told before they are done, to who has looked before, and believes them */
	bool trace;
	unsigned turns; /* of this call */
};

#define TRACE(run, ...)                                       \
	do {                                                  \
		if ((run)->trace)                             \
			(void)fprintf(stderr, __VA_ARGS__);   \
	} while (0)

#define PROMISE(condition, rule)                                                                    \
	do {                                                                                        \
		if (!(condition)) {                                                                 \
			fprintf(stderr, "%s:%d: broken: %s: %s\n", __FILE__, __LINE__, rule, #condition); \
			abort();                                                                    \
		}                                                                                   \
	} while (0)

/* The last state. */
static inline unsigned run_now(const struct run *run)
{
	return live_history_count(run->history) - 1;
}
