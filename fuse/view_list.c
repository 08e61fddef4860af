/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view_list: the names of the root, for readdir.
 *
 * Whether NAME:N are listed, and whether a file without .img or .raw is an image
 * at all, stands in the images; so they are all looked at. Those that answer at
 * once (their first blocks are in the page cache) are done in place, the others
 * side by side in their own lanes, and those that do not answer in time are
 * listed by what their name says: one dead device must not hide ten thousand
 * boards.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuse/view_images.h"
#include "fuse/view_links.h"

#define PATIENCE_NS (300 * INT64_C(1000000))
/* FAT partitions of one image that are listed; all can be asked for. */
#define LISTED_MAX 64
#define RETRY_NS (20 * INT64_C(1000000))

/* What was found out about one file. Shared by the listing and a job that may outlive it. */
struct probe {
	struct job job; /* first */
	struct batch *batch;
	struct view *view;
	char *name; /* in the mount */
	int result; /* batch->lock: -EINPROGRESS until it is known, 0 an image or link, else not shown */
	bool is_link;
	unsigned numbers[LISTED_MAX];
	size_t total;
	int64_t until_ns;
	bool named;   /* as an image, by its suffix */
};

struct batch {
	pthread_mutex_t lock;
	pthread_cond_t done;
	int dir_fd;	     /* SOURCE */
	unsigned pending;    /* lock: jobs under way */
	unsigned references; /* lock: the listing, and each job */
	struct probe **probes;
	size_t count, capacity;
};

void view_list_free(struct view_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i].name);
	free(list->names);
	*list = (struct view_list){ 0 };
}

static int list_add(struct view_list *list, const char *name, bool is_link)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 64;
		void *grown = reallocarray(list->names, capacity, sizeof(*list->names));

		if (!grown)
			return -ENOMEM;
		list->names = grown;
		list->capacity = capacity;
	}
	list->names[list->count] = (struct view_name){ strdup(name), is_link };
	return list->names[list->count].name ? (list->count++, 0) : -ENOMEM;
}

/* ---- one file ------------------------------------------------------------ */

static int probe_file(struct probe *probe, bool may_block)
{
	struct cache_op op = { .may_block = may_block };
	struct cache_image *cache;
	struct view_target target;
	int error = view_lookup_at(probe->view, &op, probe->batch->dir_fd, probe->name, &target);

	if (error != 0)
		return error;
	probe->is_link = target.kind == VIEW_LINK;
	if (target.kind == VIEW_LINK)
		return 0;
	error = view_image_open(target.image, &op, &cache);
	if (error == 0)
		error = cache_image_partitions(cache, &op, probe->numbers, LISTED_MAX, &probe->total);
	view_image_put(target.image);
	if (error == -EAGAIN || error == -EINPROGRESS)
		return error;
	/* Named as an image, it is one, whatever it holds. */
	if (error != 0)
		probe->total = 0;
	return 0;
}

static void batch_put(struct batch *batch)
{
	bool last;

	pthread_mutex_lock(&batch->lock);
	last = --batch->references == 0;
	pthread_mutex_unlock(&batch->lock);
	if (!last)
		return;
	for (size_t i = 0; i < batch->count; i++) {
		free(batch->probes[i]->name);
		free(batch->probes[i]);
	}
	free(batch->probes);
	cleanup_close_fd(&batch->dir_fd);
	pthread_mutex_destroy(&batch->lock);
	pthread_cond_destroy(&batch->done);
	free(batch);
}

static int64_t probe_run(struct job *job)
{
	struct probe *probe = (struct probe *)job;
	int result = probe_file(probe, true);

	if ((result == -EINPROGRESS || result == -EAGAIN) && queue_now_ns() < probe->until_ns)
		return RETRY_NS;
	pthread_mutex_lock(&probe->batch->lock);
	probe->result = result;
	if (--probe->batch->pending == 0)
		pthread_cond_signal(&probe->batch->done);
	pthread_mutex_unlock(&probe->batch->lock);
	return 0;
}

/* Nothing to answer: the listing waits no longer either. That it is late is what the lane has to know. */
static void probe_expire(struct job *job)
{
	(void)job;
}

static void probe_done(struct job *job)
{
	batch_put(((struct probe *)job)->batch);
}

/* ---- all of them --------------------------------------------------------- */

/* `dir_fd` is the batch's from here on, also when this fails. */
static struct batch *batch_new(int dir_fd)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	pthread_condattr_t monotonic;

	if (!batch) {
		cleanup_close_fd(&dir_fd);
		return NULL;
	}
	batch->dir_fd = dir_fd;
	batch->references = 1;
	pthread_mutex_init(&batch->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&batch->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return batch;
}

/* Keep the probe with what it found, or set it going on its own. */
static int batch_add(struct batch *batch, struct probe *probe, struct queue *queue, int64_t deadline_ns)
{
	if (batch->count == batch->capacity) {
		size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
		void *grown = reallocarray(batch->probes, capacity, sizeof(*batch->probes));

		if (!grown)
			return -ENOMEM;
		batch->probes = grown;
		batch->capacity = capacity;
	}
	batch->probes[batch->count++] = probe;
	if (probe->result != -EAGAIN && probe->result != -EINPROGRESS)
		return 0;
	probe->result = -EINPROGRESS;
	probe->until_ns = deadline_ns;
	probe->job = (struct job){
		.run = probe_run,
		.done = probe_done,
		.expire = probe_expire,
		.lane = queue_lane_of_name(queue, probe->name),
		.deadline_ns = deadline_ns,
	};
	/* It hung when it was last looked at, and does so still: not one more thread for it. */
	if (queue_lane_stuck(probe->job.lane))
		return 0;
	pthread_mutex_lock(&batch->lock);
	batch->pending++;
	batch->references++;
	pthread_mutex_unlock(&batch->lock);
	queue_submit(queue, &probe->job);
	return 0;
}

static int probe_name(struct batch *batch, struct view *view, struct queue *queue, const char *file,
		      int64_t deadline_ns)
{
	struct probe *probe;
	int error;

	if (!view_can_be_shown(file))
		return 0;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return -ENOMEM;
	probe->name = strndup(file, view_shown_length(file));
	probe->batch = batch;
	probe->view = view;
	probe->named = view_has_suffix(file);
	probe->result = probe->name ? probe_file(probe, false) : -ENOMEM;
	error = batch_add(batch, probe, queue, deadline_ns);
	if (error != 0) {
		free(probe->name);
		free(probe);
	}
	return error;
}

static void batch_wait(struct batch *batch, int64_t deadline_ns)
{
	struct timespec until = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };

	pthread_mutex_lock(&batch->lock);
	while (batch->pending > 0)
		if (pthread_cond_timedwait(&batch->done, &batch->lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&batch->lock);
}

static int list_probe(struct view_list *list, const struct probe *probe)
{
	char name[512];
	int error;

	/* Not known in time: what is named as an image is shown, and whoever enters it learns more. */
	if (probe->result == -EINPROGRESS || probe->result == -EIO || probe->result == -ESTALE)
		return probe->named ? list_add(list, probe->name, false) : 0;
	if (probe->result != 0)
		return 0;
	error = list_add(list, probe->name, probe->is_link);
	/* NAME:N is always there to be asked for; shown where there is a choice (N3). */
	for (size_t i = 0; error == 0 && probe->total > 1 && i < probe->total && i < LISTED_MAX; i++) {
		snprintf(name, sizeof(name), "%s:%u", probe->name, probe->numbers[i]);
		error = list_add(list, name, false);
	}
	return error;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct view_name *)a)->name, ((const struct view_name *)b)->name);
}

/* Sorted, each name once: jammy.img and jammy.raw are one jammy. */
static void list_fold(struct view_list *list)
{
	size_t kept = 0;

	if (list->count == 0)
		return;
	qsort(list->names, list->count, sizeof(*list->names), compare_names);
	for (size_t i = 1; i < list->count; i++) {
		if (strcmp(list->names[i].name, list->names[kept].name) == 0)
			free(list->names[i].name);
		else
			list->names[++kept] = list->names[i];
	}
	list->count = kept + 1;
}

static int list_batch(struct batch *batch, struct view_list *list)
{
	int error = 0;

	pthread_mutex_lock(&batch->lock);
	for (size_t i = 0; error == 0 && i < batch->count; i++)
		error = list_probe(list, batch->probes[i]);
	pthread_mutex_unlock(&batch->lock);
	list_fold(list);
	return error;
}

int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct view_list *list)
{
	int64_t deadline_ns = queue_now_ns() + PATIENCE_NS;
	struct batch *batch;
	int dir_fd, error = 0;
	DIR *dir;

	*list = (struct view_list){ 0 };
	if (!op->may_block)
		return -EAGAIN;
	dir_fd = view_source_open(view);
	dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
	batch = dir ? batch_new(dup(dir_fd)) : NULL;
	if (!batch) {
		if (dir)
			closedir(dir);
		else
			cleanup_close_fd(&dir_fd);
		return -EIO;
	}
	for (struct dirent *entry; error == 0 && (entry = readdir(dir));)
		error = probe_name(batch, view, queue, entry->d_name, deadline_ns);
	closedir(dir);
	batch_wait(batch, deadline_ns);
	if (error == 0)
		error = list_batch(batch, list);
	batch_put(batch);
	if (error != 0)
		view_list_free(list);
	return error;
}
