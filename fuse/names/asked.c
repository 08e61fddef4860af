/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/asked.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/waits.h"

/* Lines of one log in such a span. */
#define WINDOW_NS (10 * WAIT_S)
#define WINDOW_LINES 40

void asked_init(struct asked *asked)
{
	memset(asked, 0, sizeof(*asked));
	pthread_mutex_init(&asked->root.lock, NULL);
	pthread_mutex_init(&asked->people.lock, NULL);
	pthread_mutex_init(&asked->lock, NULL);
	recent_init(&asked->recent);
	programs_init(&asked->programs);
}

struct asked_log *asked_log_new(void)
{
	struct asked_log *log = calloc(1, sizeof(*log));

	if (log)
		pthread_mutex_init(&log->lock, NULL);
	return log;
}

void asked_log_free(struct asked_log *log)
{
	if (!log)
		return;
	free(log->recent);
	free(log->missing);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

/* ---- boards --------------------------------------------------------------- */

static struct asked_board *find_board(struct asked *asked, const char *name, uint32_t hash)
{
	struct asked_board *board = atomic_load(&asked->boards[hash % ASKED_BUCKETS]);

	while (board && strcmp(board->name, name) != 0)
		board = board->next;
	return board;
}

struct asked_board *asked_board(struct asked *asked, const char *name)
{
	return find_board(asked, name, (uint32_t)text_hash(name, 0));
}

/* As asked_board; made if there is none yet and there is room. */
static struct asked_board *meet_board(struct asked *asked, const char *name)
{
	uint32_t hash = (uint32_t)text_hash(name, 0);
	struct asked_board *board = find_board(asked, name, hash);

	if (board || strlen(name) >= sizeof(board->name))
		return board;
	LOCK_SCOPE(&asked->lock);
	board = find_board(asked, name, hash);
	if (board || asked->board_count == ASKED_BOARDS_MAX)
		return board;
	board = calloc(1, sizeof(*board));
	if (!board)
		return NULL;
	strcpy(board->name, name);
	pthread_mutex_init(&board->log.lock, NULL);
	board->next = atomic_load(&asked->boards[hash % ASKED_BUCKETS]);
	atomic_store(&asked->boards[hash % ASKED_BUCKETS], board);
	asked->board_count++;
	return board;
}

/* ---- who ------------------------------------------------------------------ */

static struct asked_caller *caller_of(struct asked *asked, pid_t thread)
{
	return &asked->callers[(unsigned)thread % ASKED_CALLERS];
}

/*
 * A link is a board's once a file is asked for through it: who lists all of SOURCE looks at each link, and has asked
 * for none. NULL: more boards than are told apart.
 */
static struct asked_board *board_of(struct asked *asked, struct asked_caller *caller)
{
	struct asked_board *board = atomic_load(&caller->board);
	char name[ASKED_NAME_BYTES];

	if (board)
		return board;
	{
		LOCK_SCOPE(&asked->lock);
		strcpy(name, caller->name);
	}
	return name[0] != '\0' ? meet_board(asked, name) : NULL;
}

void asked_link(struct asked *asked, pid_t thread, const char *name, const char *text)
{
	struct asked_caller *caller = caller_of(asked, thread);
	uint32_t target = (uint32_t)text_hash(text, 0);
	struct asked_board *board;

	if (thread <= 0)
		return;
	/* A link to a link: the first is the board's. */
	if (atomic_load(&caller->thread) == thread && !atomic_load(&caller->image) &&
	    atomic_load(&caller->target) == (uint32_t)text_hash(name, 0)) {
		atomic_store(&caller->target, target);
		return;
	}
	atomic_store(&caller->thread, 0);
	/* `bootcode.bin -> jammy/bootcode.bin` is a file's link, not a board's. */
	if (strchr(text, '/'))
		return;
	board = asked_board(asked, name);
	if (!board) {
		LOCK_SCOPE(&asked->lock);
		strcpy(caller->name, strlen(name) < sizeof(caller->name) ? name : "");
	}
	atomic_store(&caller->board, board);
	atomic_store(&caller->target, target);
	atomic_store(&caller->image, NULL);
	atomic_store(&caller->thread, thread);
}

void asked_enter(struct asked *asked, pid_t thread, const char *name, const void *image)
{
	struct asked_caller *caller = caller_of(asked, thread);

	if (thread <= 0 || atomic_load(&caller->thread) != thread)
		return;
	/* A name that was not come to through the link is asked for by itself. */
	if (!atomic_load(&caller->image) && atomic_load(&caller->target) == (uint32_t)text_hash(name, 0))
		atomic_store(&caller->image, image);
	else
		atomic_store(&caller->thread, 0);
}

struct asked_board *asked_who(struct asked *asked, pid_t thread, const void *image)
{
	struct asked_caller *caller = caller_of(asked, thread);

	if (thread <= 0 || atomic_load(&caller->image) != image || atomic_load(&caller->thread) != thread)
		return NULL;
	return board_of(asked, caller);
}

struct asked_board *asked_astray(struct asked *asked, pid_t thread, const char *name)
{
	struct asked_caller *caller = caller_of(asked, thread);
	struct asked_board *board;

	if (thread <= 0 || atomic_load(&caller->image) || atomic_load(&caller->target) != (uint32_t)text_hash(name, 0) ||
	    atomic_load(&caller->thread) != thread)
		return NULL;
	board = board_of(asked, caller);
	atomic_store(&caller->thread, 0);
	return board;
}

/* ---- what ----------------------------------------------------------------- */

/* The end of a long path says more than its beginning. */
static const char *shortened(const char *name)
{
	size_t length = strlen(name);

	return length < ASKED_NAME_BYTES ? name : name + length - (ASKED_NAME_BYTES - 1);
}

/* Its place in the ring, which grows to its full size before it is one. NULL: no memory. */
static struct asked_request *place_in_ring(struct asked_log *log, const char *name, enum asked_outcome outcome,
					   uint64_t version)
{
	struct asked_request *place;

	if (log->recent_count > 0) {
		place = &log->recent[(log->recent_count - 1) % log->recent_room];
		if (place->outcome == outcome && place->version == version && strcmp(place->name, name) == 0)
			return place;
	}
	if (log->recent_count == log->recent_room && log->recent_room < ASKED_RECENT) {
		size_t room = log->recent_room ? log->recent_room * 2 : 1;
		void *grown = reallocarray(log->recent, room, sizeof(*log->recent));

		if (!grown)
			return NULL;
		log->recent = grown;
		log->recent_room = room;
	}
	place = &log->recent[log->recent_count++ % log->recent_room];
	*place = (struct asked_request){ .outcome = outcome, .version = version };
	strcpy(place->name, name);
	return place;
}

/* That of the name; else a new one; else that of the fewest, of them the oldest. NULL: no memory. */
static struct asked_missing *place_of_missing(struct asked_log *log, const char *name)
{
	struct asked_missing *least = NULL, *grown = NULL;

	for (size_t i = 0; i < log->missing_count; i++) {
		struct asked_missing *missing = &log->missing[i];

		if (strcmp(missing->name, name) == 0)
			return missing;
		if (!least || missing->count < least->count ||
		    (missing->count == least->count && missing->when_ns < least->when_ns))
			least = missing;
	}
	if (log->missing_count < ASKED_MISSING)
		grown = reallocarray(log->missing, log->missing_count + 1, sizeof(*grown));
	if (grown) {
		log->missing = grown;
		least = &grown[log->missing_count++];
	}
	if (!least)
		return NULL;
	*least = (struct asked_missing){ .count = 0 };
	strcpy(least->name, name);
	return least;
}

static bool may_log(struct asked_log *log, int64_t now_ns)
{
	if (now_ns - log->window_ns >= WINDOW_NS) {
		log->window_ns = now_ns;
		log->window_lines = 0;
	}
	return log->window_lines++ < WINDOW_LINES;
}

/* What there is no memory for is counted, and nothing else. */
bool asked_note(struct asked_log *log, int64_t now_ns, const char *name, enum asked_outcome outcome, uint64_t version)
{
	struct asked_request *request;

	name = shortened(name);
	LOCK_SCOPE(&log->lock);
	request = place_in_ring(log, name, outcome, version);
	if (request) {
		request->when_ns = now_ns;
		request->times++;
	}
	log->last_ns = now_ns;
	if (outcome == ASKED_OPENED)
		log->opened++;
	if (outcome == ASKED_FAILED) {
		log->failed++;
		log->failed_ns = now_ns;
	}
	if (outcome == ASKED_ABSENT) {
		struct asked_missing *missing = place_of_missing(log, name);

		log->absent++;
		if (missing) {
			missing->count++;
			missing->when_ns = now_ns;
		}
	}
	return may_log(log, now_ns);
}

/* ---- telling -------------------------------------------------------------- */

static int compare_missing(const void *left, const void *right)
{
	const struct asked_missing *a = left, *b = right;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return a->when_ns > b->when_ns ? -1 : a->when_ns < b->when_ns;
}

void asked_copy(struct asked_log *log, struct asked_copy *copy)
{
	*copy = (struct asked_copy){ 0 };
	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->recent_room && i < log->recent_count; i++)
		copy->recent[copy->recent_count++] = log->recent[(log->recent_count - 1 - i) % log->recent_room];
	for (size_t i = 0; i < log->missing_count; i++)
		copy->missing[copy->missing_count++] = log->missing[i];
	copy->opened = log->opened;
	copy->absent = log->absent;
	copy->failed = log->failed;
	copy->failed_ns = log->failed_ns;
	copy->last_ns = log->last_ns;
	pthread_mutex_unlock(&log->lock);
	qsort(copy->missing, copy->missing_count, sizeof(copy->missing[0]), compare_missing);
}
