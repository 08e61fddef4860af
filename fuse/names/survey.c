/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey: read SOURCE, and find out where its links lead.
 *
 * The names are read in one job, links that lead through other directories are
 * followed in a second one: what they lead to may hang, and then all the rest is
 * known already. Whoever asked waits for a while and takes what there is.
 */
#include "fuse/names/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuse/names/images.h"
#include "fuse/names/links.h"

#define PATIENCE_NS (300 * INT64_C(1000000))

/* Shared by who asked and the two jobs, any of which may be the last to leave. */
struct search {
	struct job names, links;
	struct view *view;	/* constant */
	struct queue *queue;	/* constant */
	struct lane *links_lane; /* constant */
	int64_t deadline_ns;	/* constant */
	pthread_mutex_t lock;
	pthread_cond_t done;
	/* Under the lock. */
	unsigned references, pending;
	bool taken; /* nobody waits any more; the entries are not ours */
	int error;
	struct view_entry *entries;
	size_t count, capacity;
};

static void entries_free(struct view_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(entries[i].file);
		free(entries[i].text);
	}
	free(entries);
}

static struct search *search_of(struct job *job, size_t offset)
{
	return (struct search *)(void *)((char *)job - offset);
}

static void search_put(struct search *search)
{
	bool last;

	pthread_mutex_lock(&search->lock);
	last = --search->references == 0;
	pthread_mutex_unlock(&search->lock);
	if (!last)
		return;
	if (!search->taken)
		entries_free(search->entries, search->count);
	pthread_cond_destroy(&search->done);
	pthread_mutex_destroy(&search->lock);
	free(search);
}

/* ---- reading the directory ------------------------------------------------ */

/* Takes over what is in `entry`. False: no more are wanted. */
static bool add_entry(struct search *search, struct view_entry *entry)
{
	LOCK_SCOPE(&search->lock);
	if (!search->taken && search->count == search->capacity) {
		size_t capacity = search->capacity ? search->capacity * 2 : 64;
		void *grown = reallocarray(search->entries, capacity, sizeof(*search->entries));

		if (grown) {
			search->entries = grown;
			search->capacity = capacity;
		}
	}
	if (search->taken || search->count == search->capacity || !entry->file) {
		search->error = -ENOMEM;
		free(entry->file);
		free(entry->text);
		return false;
	}
	search->entries[search->count++] = *entry;
	return true;
}

static bool look_at_name(struct search *search, int dir_fd, const char *file)
{
	struct view_entry entry = { 0 };
	char text[PATH_MAX];
	ssize_t length;

	if (!view_can_be_shown(file) || fstatat(dir_fd, file, &entry.st, AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	if (S_ISLNK(entry.st.st_mode)) {
		length = readlinkat(dir_fd, file, text, sizeof(text));
		if (length <= 0 || (size_t)length >= sizeof(text))
			return true;
		entry.text = strndup(text, (size_t)length);
	} else if (!S_ISREG(entry.st.st_mode) && !S_ISBLK(entry.st.st_mode)) {
		return true;
	}
	entry.file = strdup(file);
	return add_entry(search, &entry);
}

static int read_names(struct search *search)
{
	int fd = view_source_open(view_source(search->view), O_RDONLY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		cleanup_close_fd(&fd);
		return -EIO;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (!look_at_name(search, fd, entry->d_name))
			break;
	closedir(dir);
	return 0;
}

/* ---- following links ------------------------------------------------------ */

/* The next link from `*at` on that has to be followed; a copy of its name. Bounded by the entries. */
static bool next_link(struct search *search, size_t *at, char *file, size_t size_bytes)
{
	LOCK_SCOPE(&search->lock);
	for (; !search->taken && *at < search->count; ++*at) {
		const struct view_entry *entry = &search->entries[*at];

		if (entry->text && strchr(entry->text, '/') && strlen(entry->file) < size_bytes) {
			strcpy(file, entry->file);
			return true;
		}
	}
	return false;
}

static int64_t links_run(struct job *job)
{
	struct search *search = search_of(job, offsetof(struct search, links));
	CLEANUP_FD int dir_fd = view_source_open(view_source(search->view), O_RDONLY);
	char file[NAME_MAX + 1];

	for (size_t at = 0; dir_fd >= 0 && next_link(search, &at, file, sizeof(file)); at++) {
		struct stat st;

		if (fstatat(dir_fd, file, &st, 0) != 0)
			st = (struct stat){ 0 };
		LOCK_SCOPE(&search->lock);
		if (search->taken)
			break;
		search->entries[at].st = st;
		search->entries[at].resolved = true;
	}
	return 0;
}

/* ---- the jobs ------------------------------------------------------------- */

/* Nobody is answered by the jobs; that one is late is what its lane has to know. */
static void expire(struct job *job)
{
	(void)job;
}

static void finish(struct search *search)
{
	pthread_mutex_lock(&search->lock);
	if (--search->pending == 0)
		pthread_cond_signal(&search->done);
	pthread_mutex_unlock(&search->lock);
	search_put(search);
}

static void links_done(struct job *job)
{
	finish(search_of(job, offsetof(struct search, links)));
}

static void submit(struct search *search, struct job *job, struct lane *lane, int64_t (*run)(struct job *job),
		   void (*done)(struct job *job))
{
	*job = (struct job){
		.run = run, .done = done, .expire = expire, .lane = lane, .deadline_ns = search->deadline_ns
	};
	pthread_mutex_lock(&search->lock);
	search->pending++;
	search->references++;
	pthread_mutex_unlock(&search->lock);
	queue_submit(search->queue, job);
}

static int64_t names_run(struct job *job)
{
	struct search *search = search_of(job, offsetof(struct search, names));
	char file[NAME_MAX + 1];
	size_t at = 0;
	int error = read_names(search);

	if (error != 0) {
		LOCK_SCOPE(&search->lock);
		search->error = error;
	} else if (next_link(search, &at, file, sizeof(file)) && !queue_lane_stuck(search->links_lane)) {
		submit(search, &search->links, search->links_lane, links_run, links_done);
	}
	return 0;
}

static void names_done(struct job *job)
{
	finish(search_of(job, offsetof(struct search, names)));
}

static struct search *search_new(struct view *view, struct queue *queue, struct lane *links)
{
	struct search *search = calloc(1, sizeof(*search));
	pthread_condattr_t monotonic;

	if (!search)
		return NULL;
	search->view = view;
	search->queue = queue;
	search->links_lane = links;
	search->deadline_ns = queue_now_ns() + PATIENCE_NS;
	search->references = 1;
	pthread_mutex_init(&search->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&search->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return search;
}

/* ---- interface ------------------------------------------------------------ */

/* Wait, and take the entries. */
static int collect(struct search *search, struct view_entry **entries, size_t *count)
{
	struct timespec until = { .tv_sec = search->deadline_ns / 1000000000,
				  .tv_nsec = search->deadline_ns % 1000000000 };

	LOCK_SCOPE(&search->lock);
	while (search->pending > 0)
		if (pthread_cond_timedwait(&search->done, &search->lock, &until) == ETIMEDOUT)
			break;
	search->taken = true;
	*entries = search->entries;
	*count = search->count;
	return search->error;
}

/* One image, whose name is all there is to know. */
static int survey_single(struct view *view, struct view_survey *survey)
{
	struct view_target target;
	const char *name;

	survey->found = calloc(1, sizeof(*survey->found));
	if (!survey->found)
		return -ENOMEM;
	name = view_source_file(view_source(view));
	survey->found->name = strndup(name, view_shown_length(name));
	survey->count = 1;
	if (view_single(view, &target) == 0)
		survey->found->image = target.image;
	return survey->found->name ? 0 : -ENOMEM;
}

int view_survey(struct view *view, struct queue *queue, struct view_survey_lanes *lanes, struct view_survey *survey)
{
	struct view_entry *entries;
	struct search *search;
	size_t count;
	int error;

	*survey = (struct view_survey){ 0 };
	if (view_is_single(view))
		return survey_single(view, survey);
	search = search_new(view, queue, &lanes->links);
	if (!search)
		return -ENOMEM;
	if (!queue_lane_stuck(&lanes->names))
		submit(search, &search->names, &lanes->names, names_run, names_done);
	error = collect(search, &entries, &count);
	search_put(search);
	survey->partial = error != 0 || queue_lane_stuck(&lanes->names) || queue_lane_stuck(&lanes->links);
	error = view_boards(view_images(view), entries, count, survey->partial, &survey->found, &survey->count);
	entries_free(entries, count);
	if (error != 0)
		view_survey_free(survey);
	return error;
}

void view_survey_free(struct view_survey *survey)
{
	for (size_t i = 0; i < survey->count; i++)
		view_found_free(&survey->found[i]);
	free(survey->found);
	*survey = (struct view_survey){ 0 };
}
