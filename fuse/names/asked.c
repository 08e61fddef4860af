/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define WINDOW_NS (10 * INT64_C(1000000000))
#define WINDOW_LINES 40

struct asked_kept_request {
	char *name;
	uint64_t version;
	int64_t when_ns;
	unsigned times;
	enum asked_outcome outcome;
};

struct asked_kept_missing {
	char *name;
	uint64_t count;
	int64_t when_ns;
};

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
	if (!log)
		return;
	for (size_t i = 0; i < log->recent_room && i < log->recent_count; i++)
		free(log->recent[i].name);
	for (size_t i = 0; i < log->missing_count; i++)
		free(log->missing[i].name);
	free(log->recent);
	free(log->missing);
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
static const char *shortened(const char *name)
{
	size_t length = strlen(name);

	return length < ASKED_NAME_BYTES ? name : name + length - (ASKED_NAME_BYTES - 1);
}

/* The next place of the ring, which grows to its full size before it is one. NULL: no memory. */
static struct asked_kept_request *next_in_ring(struct asked_log *log)
{
	if (log->recent_count == log->recent_room && log->recent_room < ASKED_RECENT) {
		size_t room = log->recent_room ? log->recent_room * 2 : 2;
		void *grown = reallocarray(log->recent, room, sizeof(*log->recent));

		if (!grown)
			return NULL;
		log->recent = grown;
		log->recent_room = room;
	}
	return &log->recent[log->recent_count % log->recent_room];
}

/* NULL: no memory. */
static struct asked_kept_request *place_in_ring(struct asked_log *log, const char *name, enum asked_outcome outcome,
						uint64_t version)
{
	struct asked_kept_request *place;
	char *copy;

	if (log->recent_count > 0) {
		place = &log->recent[(log->recent_count - 1) % log->recent_room];
		if (place->outcome == outcome && place->version == version && strcmp(place->name, name) == 0)
			return place;
	}
	copy = strdup(name);
	place = copy ? next_in_ring(log) : NULL;
	if (!place) {
		free(copy);
		return NULL;
	}
	if (log->recent_count >= log->recent_room)
		free(place->name);
	log->recent_count++;
	*place = (struct asked_kept_request){ .name = copy, .outcome = outcome, .version = version };
	return place;
}

/* A place for one more, with a name that may be freed; NULL: they are as many as may be, or no memory. */
static struct asked_kept_missing *add_missing(struct asked_log *log)
{
	struct asked_kept_missing *grown;

	if (log->missing_count == ASKED_MISSING)
		return NULL;
	grown = reallocarray(log->missing, log->missing_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	log->missing = grown;
	grown[log->missing_count] = (struct asked_kept_missing){ .name = NULL };
	return &grown[log->missing_count++];
}

/* That of the name; else a new one; else that of the fewest, of them the oldest. NULL: no memory. */
static struct asked_kept_missing *place_of_missing(struct asked_log *log, const char *name)
{
	struct asked_kept_missing *least = NULL, *added;
	char *copy;

	for (size_t i = 0; i < log->missing_count; i++) {
		struct asked_kept_missing *missing = &log->missing[i];

		if (strcmp(missing->name, name) == 0)
			return missing;
		if (!least || missing->count < least->count ||
		    (missing->count == least->count && missing->when_ns < least->when_ns))
			least = missing;
	}
	copy = strdup(name);
	added = copy ? add_missing(log) : NULL;
	if (added)
		least = added;
	if (!copy || !least) {
		free(copy);
		return NULL;
	}
	free(least->name);
	*least = (struct asked_kept_missing){ .name = copy };
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
	struct asked_kept_request *request;

	name = shortened(name);
	LOCK_SCOPE(&log->lock);
	request = place_in_ring(log, name, outcome, version);
	if (request) {
		request->when_ns = now_ns;
		request->times++;
	}
	if (outcome == ASKED_OPENED)
		log->opened++;
	if (outcome == ASKED_ABSENT) {
		struct asked_kept_missing *missing = place_of_missing(log, name);

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
	for (size_t i = 0; i < log->recent_room && i < log->recent_count; i++) {
		const struct asked_kept_request *kept = &log->recent[(log->recent_count - 1 - i) % log->recent_room];
		struct asked_request *request = &copy->recent[copy->recent_count++];

		*request = (struct asked_request){
			.outcome = kept->outcome, .version = kept->version, .when_ns = kept->when_ns, .times = kept->times
		};
		strcpy(request->name, kept->name);
	}
	for (size_t i = 0; i < log->missing_count; i++) {
		const struct asked_kept_missing *kept = &log->missing[i];
		struct asked_missing *missing = &copy->missing[copy->missing_count++];

		*missing = (struct asked_missing){ .count = kept->count, .when_ns = kept->when_ns };
		strcpy(missing->name, kept->name);
	}
	copy->opened = log->opened;
	copy->absent = log->absent;
	pthread_mutex_unlock(&log->lock);
	qsort(copy->missing, copy->missing_count, sizeof(copy->missing[0]), compare_missing);
}
