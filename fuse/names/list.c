/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: the names of the root, for readdir. Whether NAME:N are listed, and whether a file
 * without .img or .raw is an image at all, stands in the images; so they are all looked at.
 */
#include "fuse/names/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "fuse/names/links.h"
#include "fuse/names/walk.h"
#include "fuse/process/dirents.h"

struct view_listing {
	struct job job; /* first */
	_Atomic unsigned users; /* and the job is one */
	struct view *view; /* constant, as the next */
	struct queue *queue;
	pthread_mutex_t lock; /* inside of the walk's */
	pthread_cond_t done;
	/* All of these under the lock. */
	bool unwanted;
	bool over;
	int error; /* then */
	void *names; /* tsearch(3): each name, of its own memory; until it is over */
	size_t count, length_bytes; /* as dirents */
	char *bytes;		    /* in the order in which they came */
	size_t capacity_bytes;
};

/* ---- names as they come; under the lock ---------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* jammy.img and jammy.raw are one jammy. False: it is there already, or there is no memory. */
static bool is_new(struct view_listing *listing, const char *name)
{
	char *copy = strdup(name), *const *found = copy ? tsearch(copy, &listing->names, compare_names) : NULL;

	if (found && *found == copy)
		return true;
	if (!found)
		listing->error = -ENOMEM;
	free(copy);
	return false;
}

static void forget_names(struct view_listing *listing)
{
	while (listing->names) {
		char *name = *(char **)listing->names;

		tdelete(name, &listing->names, compare_names);
		free(name);
	}
}

static void add_name(struct view_listing *listing, enum dirent_type type, const char *name)
{
	size_t need = strlen(name) + 2;

	if (!is_new(listing, name))
		return;
	if (listing->length_bytes + need > listing->capacity_bytes) {
		size_t capacity_bytes = 2 * listing->capacity_bytes + need + 1024;
		char *grown = realloc(listing->bytes, capacity_bytes);

		if (!grown) {
			listing->error = -ENOMEM;
			return;
		}
		listing->bytes = grown;
		listing->capacity_bytes = capacity_bytes;
	}
	listing->bytes[listing->length_bytes] = (char)type;
	strcpy(listing->bytes + listing->length_bytes + 1, name);
	listing->length_bytes += need;
	listing->count++;
}

static void add_found(struct view_listing *listing, const struct walk_name *found)
{
	/* Not known in time: what is named as an image is shown, and whoever enters it learns more. */
	bool late = found->result == -EINPROGRESS || found->result == -EIO || found->result == -ESTALE;
	char text[NAME_MAX + 16];

	if (late ? !found->named : found->result != 0)
		return;
	add_name(listing, !late && found->is_link ? DIRENT_LINK : DIRENT_DIRECTORY, found->name);
	/* NAME:N is always there to be asked for; shown where there is a choice (N3). */
	for (size_t i = 0; !late && i < found->table.count; i++) {
		snprintf(text, sizeof(text), "%s:%u", found->name, found->table.numbers[i]);
		add_name(listing, DIRENT_DIRECTORY, text);
	}
}

/* ---- the job -------------------------------------------------------------------- */

static bool hear(void *context, const struct walk_name *found)
{
	struct view_listing *listing = context;

	LOCK_SCOPE(&listing->lock);
	if (!listing->over)
		add_found(listing, found);
	return !listing->unwanted;
}

/* What is left when the walk is over: names that did not answer. And what it learned is kept for the next one. */
struct rest {
	struct view_listing *listing;
	const struct tables_of **tables; /* has room for all names; those that rest */
	size_t table_count;
};

static int take_rest(void *context, const struct walk_name *found)
{
	struct rest *rest = context;

	if (found->result == -EINPROGRESS) {
		LOCK_SCOPE(&rest->listing->lock);
		add_found(rest->listing, found);
	} else if (found->result == 0 && found->table.rests) {
		rest->tables[rest->table_count++] = &found->table;
	}
	return 0;
}

static bool is_unwanted(struct view_listing *listing)
{
	LOCK_SCOPE(&listing->lock);
	return listing->unwanted;
}

static int finish(struct view_listing *listing, struct walk *walk)
{
	struct rest rest = { .listing = listing };
	int error;

	rest.tables = calloc(walk_count(walk) + 1, sizeof(struct tables_of *));
	if (!rest.tables)
		return -ENOMEM;
	error = walk_each(walk, take_rest, &rest);
	/* One that was given up knows few: those of the last one are better. */
	if (error == 0 && !is_unwanted(listing))
		tables_keep(view_tables(listing->view), rest.tables, rest.table_count);
	free(rest.tables);
	return error;
}

static int64_t listing_run(struct job *job)
{
	struct view_listing *listing = (struct view_listing *)job;
	struct walk_hearer hearer = { hear, listing };
	struct walk *walk = walk_source(listing->view, listing->queue, NULL, &hearer);
	int error = walk ? finish(listing, walk) : -ENOMEM;

	pthread_mutex_lock(&listing->lock);
	if (listing->error == 0)
		listing->error = listing->unwanted ? -ECANCELED : error;
	listing->over = true;
	forget_names(listing); /* most of its memory */
	pthread_cond_broadcast(&listing->done);
	pthread_mutex_unlock(&listing->lock);
	if (walk)
		walk_put(walk);
	return 0;
}

static void listing_done(struct job *job)
{
	view_listing_put((struct view_listing *)job);
}

/* ---- life -------------------------------------------------------------------------- */

static struct view_listing *listing_new(struct view *view, struct queue *queue)
{
	struct view_listing *listing = calloc(1, sizeof(*listing));

	if (!listing)
		return NULL;
	listing->view = view;
	listing->queue = queue;
	listing->users = 1;
	pthread_mutex_init(&listing->lock, NULL);
	clock_condition_init(&listing->done);
	return listing;
}

struct view_listing *view_listing_ref(struct view_listing *listing)
{
	atomic_fetch_add(&listing->users, 1);
	return listing;
}

void view_listing_put(struct view_listing *listing)
{
	if (!listing || atomic_fetch_sub(&listing->users, 1) > 1)
		return;
	forget_names(listing);
	free(listing->bytes);
	pthread_cond_destroy(&listing->done);
	pthread_mutex_destroy(&listing->lock);
	free(listing);
}

struct view_listing *view_listing_start(struct view *view, struct queue *queue, struct lane *lane)
{
	struct view_listing *listing = listing_new(view, queue);

	if (!listing)
		return NULL;
	view_listing_ref(listing);
	listing->job = (struct job){ .run = listing_run, .done = listing_done, .lane = lane };
	queue_submit(queue, &listing->job);
	return listing;
}

void view_listing_stop(struct view_listing *listing)
{
	if (!listing)
		return;
	LOCK_SCOPE(&listing->lock);
	listing->unwanted = true;
}

/* ---- what is there -------------------------------------------------------------------- */

int view_listing_wait(struct view_listing *listing, size_t least_bytes)
{
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC), piece_ns = now_ns + WAIT_LISTING_PIECE_NS;

	LOCK_SCOPE(&listing->lock);
	for (; !listing->over; now_ns = clock_now_ns(CLOCK_MONOTONIC)) {
		struct timespec until = clock_timespec(now_ns < piece_ns ? piece_ns : now_ns + WAIT_RETRY_SLOW_NS);

		if (now_ns >= piece_ns && listing->length_bytes >= least_bytes)
			return 1;
		pthread_cond_timedwait(&listing->done, &listing->lock, &until);
	}
	return listing->error;
}

static int compare_places(const void *a, const void *b)
{
	return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

/* Under the lock. False: no memory. */
static bool copy_sorted(const struct view_listing *listing, char *out)
{
	CLEANUP_FREE char **places = calloc(listing->count + 1, sizeof(*places));
	char *at = listing->bytes;

	if (!places)
		return false;
	for (size_t i = 0; i < listing->count; at += strlen(at) + 1)
		places[i++] = at;
	qsort(places, listing->count, sizeof(*places), compare_places);
	for (size_t i = 0; i < listing->count; i++)
		out = stpcpy(out, places[i]) + 1;
	return true;
}

int view_listing_bytes(struct view_listing *listing, bool sorted, char **bytes, size_t *length_bytes)
{
	LOCK_SCOPE(&listing->lock);
	*length_bytes = listing->length_bytes;
	*bytes = malloc(listing->length_bytes + 1);
	if (*bytes && !sorted && listing->length_bytes > 0)
		memcpy(*bytes, listing->bytes, listing->length_bytes);
	else if (*bytes && sorted && !copy_sorted(listing, *bytes))
		free(STEAL_POINTER(*bytes));
	return *bytes ? 0 : -ENOMEM;
}

bool view_lists_nothing(struct view *view, struct queue *queue)
{
	struct view_listing *listing = listing_new(view, queue);
	bool nothing;

	if (!listing)
		return false;
	listing_run(&listing->job);
	nothing = listing->error == 0 && listing->count == 0;
	view_listing_put(listing);
	return nothing;
}

bool view_has_names(const struct view *view)
{
	int fd = view_source_open(NULL, view_source(view), O_RDONLY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool found = false;

	if (!dir) {
		cleanup_close_fd(&fd);
		return false;
	}
	for (struct dirent *entry; !found && (entry = readdir(dir));)
		found = view_can_be_shown(entry->d_name) &&
			(entry->d_type == DT_LNK || (entry->d_type == DT_REG && view_has_suffix(entry->d_name)));
	closedir(dir);
	return found;
}
