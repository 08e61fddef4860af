/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: the names of the root, for readdir.
 *
 * Whether NAME:N are listed, and whether a file without .img or .raw is an image
 * at all, stands in the images; so they are all looked at. Those that answer at
 * once (their first blocks are in the page cache) are done in place, the others
 * side by side in their own lanes, and those that do not answer in time are
 * listed by what their name says: one dead device must not hide ten thousand
 * boards.
 *
 * Side by side, but only so many at a time: each is a thread, and ten thousand of
 * them would cost more memory than all else. As long as they come back, more are
 * of no use, and the rest is worth waiting for; when none does, more are sent
 * after them. Those without a suffix go first, since nothing is known of them:
 * a listing without them says that they are not there.
 */
#include "fuse/names/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuse/names/links.h"

/* For one file; and for all, as long as one after the other is found out about. */
#define PATIENCE_NS (300 * INT64_C(1000000))
#define LATEST_NS (5000 * INT64_C(1000000))
/* So many at a time; and so many more each time that none came back for so long. */
#define WINDOW 32
#define STALLED_NS (50 * INT64_C(1000000))
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
	unsigned *numbers; /* NULL: it has no more than one */
	size_t number_count;
	int64_t until_ns;
	bool is_link;
	bool named; /* as an image, by its suffix */
};

struct batch {
	pthread_mutex_t lock;
	pthread_cond_t done;
	int dir_fd; /* SOURCE */
	/* These under the lock: */
	unsigned pending;    /* jobs under way */
	unsigned wanted;     /* the listing is to be woken when fewer are */
	unsigned finished;   /* jobs, ever */
	unsigned references; /* the listing, and each job */
	/* The listing's, and nobody's when that is done: */
	struct probe **probes;
	size_t count, capacity;
	size_t next; /* to be sent: probe `next`, if it has no suffix; from `count` on those that have one */
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

/* Only where there is a choice. Without memory none is listed, and all can be asked for. */
static void keep_numbers(struct probe *probe, const unsigned *numbers, size_t total)
{
	size_t count = total < LISTED_MAX ? total : LISTED_MAX;

	if (total < 2 || !(probe->numbers = reallocarray(NULL, count, sizeof(*numbers))))
		return;
	memcpy(probe->numbers, numbers, count * sizeof(*numbers));
	probe->number_count = count;
}

static int probe_file(struct probe *probe, bool may_block)
{
	unsigned numbers[LISTED_MAX];
	size_t total;
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
		error = cache_image_partitions(cache, &op, numbers, LISTED_MAX, &total);
	view_image_put(target.image);
	if (error == -EAGAIN || error == -EINPROGRESS)
		return error;
	/* Named as an image, it is one, whatever it holds. */
	if (error == 0)
		keep_numbers(probe, numbers, total);
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
		free(batch->probes[i]->numbers);
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
	struct batch *batch = probe->batch;
	int result = probe_file(probe, true);

	/* -ESTALE: another file has just taken its place. */
	if ((result == -EINPROGRESS || result == -EAGAIN || result == -ESTALE) && queue_now_ns() < probe->until_ns)
		return RETRY_NS;
	LOCK_SCOPE(&batch->lock);
	probe->result = result;
	batch->finished++;
	batch->pending--;
	if (batch->pending < batch->wanted)
		pthread_cond_signal(&batch->done);
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

/* Keep the probe with what it found; if that is nothing yet, it is to be sent. */
static int batch_add(struct batch *batch, struct probe *probe)
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
	if (probe->result == -EAGAIN)
		probe->result = -EINPROGRESS;
	return 0;
}

static int probe_name(struct batch *batch, struct view *view, const char *file)
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
	error = batch_add(batch, probe);
	if (error != 0) {
		free(probe->numbers);
		free(probe->name);
		free(probe);
	}
	return error;
}

/* Under the batch's lock: set it going on its own. False: it is not to be sent. */
static bool send_probe(struct batch *batch, struct probe *probe, struct queue *queue)
{
	probe->until_ns = queue_now_ns() + PATIENCE_NS;
	probe->job = (struct job){
		.run = probe_run,
		.done = probe_done,
		.expire = probe_expire,
		.lane = queue_lane_of_name(queue, probe->name),
		.deadline_ns = probe->until_ns,
		.goes_on = true,
	};
	/* It hung when it was last looked at, and does so still: not one more thread for it. */
	if (queue_lane_stuck(probe->job.lane))
		return false;
	batch->pending++;
	batch->references++;
	queue_submit(queue, &probe->job);
	return true;
}

/* Under the batch's lock: send the next one. False: there is none. Each is looked at twice. */
static bool send_next(struct batch *batch, struct queue *queue)
{
	while (batch->next < batch->count * 2) {
		size_t at = batch->next++;
		bool named = at >= batch->count;
		struct probe *probe = batch->probes[named ? at - batch->count : at];

		if (probe->named == named && probe->result == -EINPROGRESS && send_probe(batch, probe, queue))
			return true;
	}
	return false;
}

/* Send them, and wait for what comes back. Ends at LATEST_NS at the latest. */
static void batch_run(struct batch *batch, struct queue *queue)
{
	int64_t start_ns = queue_now_ns(), stalled_ns = 0;
	unsigned window = WINDOW;

	LOCK_SCOPE(&batch->lock);
	for (int64_t now_ns = start_ns; now_ns < start_ns + LATEST_NS; now_ns = queue_now_ns()) {
		unsigned finished = batch->finished;
		struct timespec until = { .tv_sec = (now_ns + STALLED_NS) / 1000000000,
					  .tv_nsec = (now_ns + STALLED_NS) % 1000000000 };

		while (batch->pending < window && send_next(batch, queue))
			;
		if (batch->pending == 0)
			break;
		batch->wanted = window / 2 + 1;
		if (pthread_cond_timedwait(&batch->done, &batch->lock, &until) != ETIMEDOUT ||
		    batch->finished != finished) {
			stalled_ns = 0;
			continue;
		}
		/* What is out there now has had its time. */
		stalled_ns += STALLED_NS;
		if (stalled_ns >= PATIENCE_NS)
			break;
		window += WINDOW;
	}
	batch->wanted = 0;
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
	for (size_t i = 0; error == 0 && i < probe->number_count; i++) {
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

bool view_has_names(const struct view *view)
{
	int fd = view_source_open(view_source(view), O_RDONLY);
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

int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct view_list *list)
{
	struct batch *batch;
	int dir_fd, error = 0;
	DIR *dir;

	*list = (struct view_list){ 0 };
	if (!op->may_block)
		return -EAGAIN;
	dir_fd = view_source_open(view_source(view), O_RDONLY);
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
		error = probe_name(batch, view, entry->d_name);
	closedir(dir);
	if (error == 0)
		batch_run(batch, queue);
	if (error == 0)
		error = list_batch(batch, list);
	batch_put(batch);
	if (error != 0)
		view_list_free(list);
	return error;
}
