/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define WINDOW_NS (10 * INT64_C(1000000000))
#define WINDOW_LINES 40

void asked_init(struct asked *asked)
{
	memset(asked, 0, sizeof(*asked));
	pthread_mutex_init(&asked->root.lock, NULL);
	pthread_mutex_init(&asked->lock, NULL);
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
	if (log)
		pthread_mutex_destroy(&log->lock);
	free(log);
}

/* ---- boards --------------------------------------------------------------- */

static uint32_t hash_of(const char *name, size_t length)
{
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x01000193;
	return hash;
}

static struct asked_board *find_board(struct asked *asked, const char *name, uint32_t hash)
{
	struct asked_board *board = atomic_load(&asked->boards[hash % ASKED_BUCKETS]);

	while (board && strcmp(board->name, name) != 0)
		board = board->next;
	return board;
}

struct asked_board *asked_board(struct asked *asked, const char *name)
{
	return find_board(asked, name, hash_of(name, strlen(name)));
}

/* As asked_board; made if there is none yet and there is room. */
static struct asked_board *meet_board(struct asked *asked, const char *name)
{
	uint32_t hash = hash_of(name, strlen(name));
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

void asked_link(struct asked *asked, pid_t thread, const char *name, const char *text)
{
	struct asked_caller *caller = caller_of(asked, thread);
	uint32_t target = hash_of(text, strlen(text));

	if (thread <= 0)
		return;
	/* A link to a link: the first is the board's. */
	if (atomic_load(&caller->thread) == thread && !atomic_load(&caller->image) &&
	    atomic_load(&caller->target) == hash_of(name, strlen(name))) {
		atomic_store(&caller->target, target);
		return;
	}
	atomic_store(&caller->thread, 0);
	/* `bootcode.bin -> jammy/bootcode.bin` is a file's link, not a board's. */
	if (strchr(text, '/'))
		return;
	atomic_store(&caller->board, meet_board(asked, name));
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
	if (!atomic_load(&caller->image) && atomic_load(&caller->target) == hash_of(name, strlen(name)))
		atomic_store(&caller->image, image);
	else
		atomic_store(&caller->thread, 0);
}

struct asked_board *asked_who(struct asked *asked, pid_t thread, const void *image)
{
	struct asked_caller *caller = caller_of(asked, thread);
	struct asked_board *board = atomic_load(&caller->board);

	if (thread <= 0 || atomic_load(&caller->image) != image || atomic_load(&caller->thread) != thread)
		return NULL;
	return board;
}

/* ---- what ----------------------------------------------------------------- */

/* The end of a long path says more than its beginning. */
static void set_name(char out[ASKED_NAME_BYTES], const char *name)
{
	size_t length = strlen(name);

	snprintf(out, ASKED_NAME_BYTES, "%s", length < ASKED_NAME_BYTES ? name : name + length - (ASKED_NAME_BYTES - 1));
}

static struct asked_request *place_in_ring(struct asked_log *log, const char *name, enum asked_outcome outcome,
					   uint64_t version)
{
	struct asked_request *last = &log->recent[(log->recent_count + ASKED_RECENT - 1) % ASKED_RECENT];

	if (log->recent_count > 0 && last->outcome == outcome && last->version == version &&
	    strcmp(last->name, name) == 0)
		return last;
	last = &log->recent[log->recent_count++ % ASKED_RECENT];
	*last = (struct asked_request){ .outcome = outcome, .version = version };
	strcpy(last->name, name);
	return last;
}

/* That of the name; else a free one; else that of the fewest, of them the oldest. */
static struct asked_missing *place_of_missing(struct asked_log *log, const char *name)
{
	struct asked_missing *least = &log->missing[0];

	for (size_t i = 0; i < ASKED_MISSING; i++) {
		struct asked_missing *missing = &log->missing[i];

		if (missing->count > 0 && strcmp(missing->name, name) == 0)
			return missing;
		if (missing->count < least->count ||
		    (missing->count == least->count && missing->when_ns < least->when_ns))
			least = missing;
	}
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

bool asked_note(struct asked_log *log, int64_t now_ns, const char *name, enum asked_outcome outcome, uint64_t version)
{
	char shortened[ASKED_NAME_BYTES];
	struct asked_request *request;

	set_name(shortened, name);
	LOCK_SCOPE(&log->lock);
	request = place_in_ring(log, shortened, outcome, version);
	request->when_ns = now_ns;
	request->times++;
	if (outcome == ASKED_OPENED)
		log->opened++;
	if (outcome == ASKED_ABSENT) {
		struct asked_missing *missing = place_of_missing(log, shortened);

		log->absent++;
		missing->count++;
		missing->when_ns = now_ns;
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
	for (size_t i = 0; i < ASKED_RECENT && i < log->recent_count; i++)
		copy->recent[copy->recent_count++] = log->recent[(log->recent_count - 1 - i) % ASKED_RECENT];
	for (size_t i = 0; i < ASKED_MISSING; i++)
		if (log->missing[i].count > 0)
			copy->missing[copy->missing_count++] = log->missing[i];
	copy->opened = log->opened;
	copy->absent = log->absent;
	pthread_mutex_unlock(&log->lock);
	qsort(copy->missing, copy->missing_count, sizeof(copy->missing[0]), compare_missing);
}
