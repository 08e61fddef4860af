/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "fuse/names/links.h"

/*
 * So many at a time, of all walks that are under way, but for each of them no fewer than the least; and so many
 * more each time that none came back for WAIT_NAMES_STALLED_NS.
 */
#define WINDOW 32
#define WINDOW_LEAST 12

static _Atomic unsigned walking; /* walks that look into images now */
static _Atomic unsigned have_names; /* such walks that somebody has, and which have read SOURCE */
static _Atomic int64_t moved_ns; /* when one last read a name in SOURCE; 0: never */

struct probe {
	struct job job; /* first */
	struct walk *walk;
	int64_t until_ns; /* its job's: it waits for its writer, or 0 */
	bool under_way, late; /* the walk's lock: its job is in the queue; it was when none came back */
	struct walk_name found; /* the walk's lock, but for the names */
};

/* Shared by who asked and its jobs, any of which may be the last to leave. */
struct walk {
	struct job job;	   /* first: to read the names */
	struct queue *queue; /* constant, as the next one */
	struct walk_lanes *lanes; /* or NULL: then the images are looked into */
	struct walk_look look;	  /* likewise, with a use of `last`; SOURCE from when it was opened on, before that -1 */
	pthread_mutex_t lock;
	pthread_cond_t done;
	/* Under the lock. */
	bool was_read; /* all names are there, or: */
	int error;
	bool left;	     /* who asked is gone */
	bool over;	     /* nobody waits any more: what comes now is dropped */
	unsigned pending;    /* probes under way; of these */
	unsigned late;	     /* so many are late */
	unsigned wanted;     /* who asked is to be woken when fewer are */
	unsigned finished;   /* looks of probes, ever */
	unsigned references; /* who asked, and each job */
	struct probe **probes;
	size_t count, capacity;
	size_t next; /* to be sent: probe `next`, if it has no suffix; from `count` on those that have one */
};

static void probe_free(struct probe *probe)
{
	walk_name_let_go(&probe->found);
	free(probe);
}

/* Who asked, or a job. */
static void leave(struct walk *walk)
{
	bool last;

	pthread_mutex_lock(&walk->lock);
	last = --walk->references == 0;
	pthread_mutex_unlock(&walk->lock);
	if (!last)
		return;
	for (size_t i = 0; i < walk->count; i++)
		probe_free(walk->probes[i]);
	free(walk->probes);
	tables_put(walk->look.last);
	cleanup_close_fd(&walk->look.dir_fd);
	pthread_mutex_destroy(&walk->lock);
	pthread_cond_destroy(&walk->done);
	free(walk);
}

/* A job that hangs keeps the walk, but no image: it would stay open as long (S2, S5). */
void walk_put(struct walk *walk)
{
	bool counted = !walk->lanes;

	pthread_mutex_lock(&walk->lock);
	walk->left = true;
	for (size_t i = 0; i < walk->count; i++) {
		struct walk_name *found = &walk->probes[i]->found;

		if (found->result == -EINPROGRESS)
			continue; /* its job may be writing it */
		view_image_put(found->image);
		found->image = NULL;
	}
	pthread_mutex_unlock(&walk->lock);
	leave(walk);
	if (!counted)
		return;
	/* To let go of a hundred thousand took its time; who asked has an answer to make. */
	atomic_store(&moved_ns, queue_now_ns());
	atomic_fetch_sub(&have_names, 1);
}

/* ---- one name ------------------------------------------------------------- */

static int64_t probe_run(struct job *job)
{
	struct probe *probe = (struct probe *)job;
	struct walk *walk = probe->walk;
	int result = walk_name_look(&walk->look, &probe->found, true);

	LOCK_SCOPE(&walk->lock);
	walk->finished++;
	/* -ESTALE: another file has just taken its place. Its storage answered, however long that took: now it waits for its writer. */
	if (result == -EINPROGRESS || result == -EAGAIN || result == -ESTALE) {
		if (probe->until_ns == 0)
			probe->until_ns = queue_now_ns() + WAIT_NAME_NS;
		if (queue_now_ns() < probe->until_ns)
			return WAIT_RETRY_NAME_NS;
	}
	probe->found.result = result;
	if (walk->left) {
		view_image_put(probe->found.image);
		probe->found.image = NULL;
	}
	walk->pending--;
	walk->late -= probe->late;
	probe->under_way = probe->late = false;
	if (walk->pending < walk->wanted)
		pthread_cond_signal(&walk->done);
	return 0;
}

/* Nobody is answered by the jobs; that one is late is what its lane has to know. */
static void expire(struct job *job)
{
	(void)job;
}

static void probe_done(struct job *job)
{
	leave(((struct probe *)job)->walk);
}

/* Under the lock: set it going on its own. False: it is not to be sent. */
static bool send_probe(struct walk *walk, struct probe *probe)
{
	probe->job = (struct job){
		.run = probe_run,
		.done = probe_done,
		.expire = expire,
		.lane = walk->lanes ? &walk->lanes->links : queue_lane_of_name(walk->queue, probe->found.name),
		.deadline_ns = queue_now_ns() + WAIT_NAME_NS,
		.goes_on = true,
	};
	/* It hung when it was last looked at, and does so still: not one more thread for it. */
	if (queue_lane_stuck(probe->job.lane))
		return false;
	walk->pending++;
	walk->references++;
	probe->under_way = true;
	queue_submit(walk->queue, &probe->job);
	return true;
}

/* Under the lock: send the next one. False: there is none. Each is looked at twice. */
static bool send_next(struct walk *walk)
{
	while (walk->next < walk->count * 2) {
		size_t at = walk->next++;
		bool named = at >= walk->count;
		struct probe *probe = walk->probes[named ? at - walk->count : at];

		if (probe->found.named == named && probe->found.result == -EINPROGRESS &&
		    send_probe(walk, probe))
			return true;
	}
	return false;
}

/* ---- SOURCE ---------------------------------------------------------------- */

/* False: nobody wants it, or there is no memory. */
static bool add_probe(struct walk *walk, struct probe *probe)
{
	LOCK_SCOPE(&walk->lock);
	if (!walk->over && walk->count == walk->capacity) {
		size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
		void *grown = reallocarray(walk->probes, capacity, sizeof(*walk->probes));

		if (!grown)
			return false;
		walk->probes = grown;
		walk->capacity = capacity;
	}
	if (walk->over)
		return false;
	walk->probes[walk->count++] = probe;
	return true;
}

static int take_name(struct walk *walk, const char *file, bool is_directory)
{
	struct probe *probe;
	struct walk_name *found;

	if (!view_can_be_shown(file))
		return 0;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return -ENOMEM;
	probe->walk = walk;
	found = &probe->found;
	found->named = view_has_suffix(file);
	found->is_directory = is_directory;
	found->file = strdup(file);
	found->name = strndup(file, view_shown_length(file));
	if (found->file && found->name) {
		found->result = walk_name_look(&walk->look, found, false);
		if (found->result == -EAGAIN)
			found->result = -EINPROGRESS;
		if (add_probe(walk, probe))
			return 0;
	}
	probe_free(probe);
	return -ENOMEM;
}

static int read_names(struct walk *walk)
{
	int fd = view_source_open(NULL, view_source(walk->look.view), O_RDONLY), error;
	struct dirent *entry;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		cleanup_close_fd(&fd);
		return -EIO;
	}
	walk->look.dir_fd = dup(fd);
	/* An error is not the end: names behind it would be absent. */
	do {
		errno = 0;
		entry = readdir(dir);
		if (!walk->lanes)
			atomic_store(&moved_ns, queue_now_ns());
		error = entry ? take_name(walk, entry->d_name, entry->d_type == DT_DIR) : errno != 0 ? -EIO : 0;
	} while (entry && error == 0);
	closedir(dir);
	return error;
}

static int64_t names_run(struct job *job)
{
	struct walk *walk = (struct walk *)job;
	int error = read_names(walk);

	LOCK_SCOPE(&walk->lock);
	walk->error = error;
	walk->was_read = true;
	pthread_cond_signal(&walk->done);
	return 0;
}

static void names_done(struct job *job)
{
	leave((struct walk *)job);
}

static struct walk *walk_new(struct view *view, struct queue *queue, struct walk_lanes *lanes)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return NULL;
	walk->queue = queue;
	walk->lanes = lanes;
	walk->look = (struct walk_look){
		.view = view,
		.last = lanes ? NULL : tables_last(view_tables(view)),
		.dir_fd = -1,
		.met_only = lanes != NULL,
	};
	walk->references = 1;
	walk->error = -ETIMEDOUT;
	pthread_mutex_init(&walk->lock, NULL);
	clock_condition_init(&walk->done);
	return walk;
}

static void start_reading(struct walk *walk, int64_t until_ns)
{
	if (!walk->lanes) {
		names_run(&walk->job);
		return;
	}
	if (queue_lane_stuck(&walk->lanes->names)) {
		walk->was_read = true; /* as far as it can be */
		return;
	}
	walk->job = (struct job){
		.run = names_run,
		.done = names_done,
		.expire = expire,
		.lane = &walk->lanes->names,
		.deadline_ns = until_ns,
	};
	walk->references++;
	queue_submit(walk->queue, &walk->job);
}

/* Under the lock. False: nothing happened until then. */
static bool wait_until(struct walk *walk, int64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);
	unsigned finished = walk->finished;

	return pthread_cond_timedwait(&walk->done, &walk->lock, &until) != ETIMEDOUT ||
	       walk->finished != finished;
}

/* Under the lock: none of those that are under way came back for a while. */
static void call_late(struct walk *walk)
{
	for (size_t i = 0; i < walk->count; i++)
		walk->probes[i]->late = walk->probes[i]->under_way;
	walk->late = walk->pending;
}

/* Of one walk, beside those that are late. */
static unsigned window_of(const struct walk *walk)
{
	unsigned share;

	if (walk->lanes)
		return LANE_WIDTH; /* in the one lane more would only wait */
	share = WINDOW / atomic_load(&walking);
	return share > WINDOW_LEAST ? share : WINDOW_LEAST;
}

/*
 * Under the lock: send the probes, and wait for what comes back. Ends at the latest at `latest_ns`.
 *
 * Others are sent beside those that are late, until they come back: on a machine that is busy they do, and more
 * threads would make it slower still.
 */
static void run_probes(struct walk *walk, int64_t latest_ns)
{
	int64_t stalled_ns = 0;
	unsigned window;

	atomic_fetch_add(&walking, !walk->lanes);
	for (int64_t now_ns = queue_now_ns(); now_ns < latest_ns; now_ns = queue_now_ns()) {
		window = window_of(walk);
		while (walk->pending < walk->late + window && send_next(walk))
			;
		if (walk->pending == 0)
			break;
		/* When half of those are back that are not late. */
		walk->wanted = walk->late + window / 2 + 1;
		if (wait_until(walk, now_ns + WAIT_NAMES_STALLED_NS)) {
			stalled_ns = 0;
			continue;
		}
		/* What is out there now has had its time. */
		stalled_ns += WAIT_NAMES_STALLED_NS;
		if (stalled_ns >= WAIT_NAME_NS)
			break;
		if (!walk->lanes)
			call_late(walk);
	}
	atomic_fetch_sub(&walking, !walk->lanes);
	walk->wanted = 0;
}

/* ---- interface ------------------------------------------------------------- */

struct walk *walk_source(struct view *view, struct queue *queue, struct walk_lanes *lanes)
{
	struct walk *walk = walk_new(view, queue, lanes);
	int64_t start_ns = queue_now_ns();

	if (!walk)
		return NULL;
	start_reading(walk, start_ns + WAIT_NAME_NS);
	LOCK_SCOPE(&walk->lock);
	while (!walk->was_read && queue_now_ns() < start_ns + WAIT_NAME_NS)
		wait_until(walk, start_ns + WAIT_NAME_NS);
	walk->over = true;
	atomic_fetch_add(&have_names, !lanes);
	if (walk->was_read)
		run_probes(walk, lanes ? start_ns + WAIT_NAME_NS :
					 queue_now_ns() + WAIT_NAMES_NS + (int64_t)walk->count * WAIT_EACH_NAME_NS);
	return walk;
}

int64_t walk_moved_ns(void)
{
	return atomic_load(&have_names) > 0 ? queue_now_ns() : atomic_load(&moved_ns);
}

size_t walk_count(struct walk *walk)
{
	LOCK_SCOPE(&walk->lock);
	return walk->count;
}

int walk_each(struct walk *walk, int (*each)(void *context, const struct walk_name *name), void *context)
{
	int error = 0;

	LOCK_SCOPE(&walk->lock);
	for (size_t i = 0; error == 0 && i < walk->count; i++)
		error = each(context, &walk->probes[i]->found);
	return error != 0 ? error : walk->error;
}
