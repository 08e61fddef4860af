/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbdkit-imagefs-filter: tells imagefs of every write before it is executed.
 *
 * Here: nbdkit's side. Which control file belongs to which export, one stream for each
 * export whatever the number of its connections, and a thread that sends the ends that
 * no request carries and looks for control files that are not there. What a stream
 * says, and when, is in stream.h.
 *
 * The export comes first. No request ever opens a file or fails for what imagefs does,
 * and only one that changes the image waits, for its report.
 */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nbdkit-filter.h>

#include "base/clock.h"
#include "stream.h"

#define RUN_DIR "/run/imagefs"

#define NS_PER_SECOND INT64_C(1000000000)
#define TICK_NS INT64_C(1000000)
#define RETRY_NS NS_PER_SECOND /* between two looks for a control file */

static char *control_file; /* imagefs= */
static char *control_dir;  /* imagefs-dir= */

/* ---- the control file of an export ---------------------------------------------- */

/* Chosen by a client. A slash would lead out of the directory; no image's name begins with a dot. */
static bool is_image_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

/* Where only one imagefs is, nobody has to say which. */
static bool find_only_dir(char *path, size_t size)
{
	unsigned found = 0;
	struct dirent *entry;
	DIR *parent = opendir(RUN_DIR);

	if (!parent)
		return false;
	while ((entry = readdir(parent)) != NULL && found < 2) {
		if (entry->d_name[0] != '.' &&
		    (size_t)snprintf(path, size, RUN_DIR "/%s", entry->d_name) < size)
			found++;
	}
	closedir(parent);
	return found == 1;
}

static bool find_control_file(const char *name, char *path, size_t size)
{
	char dir[PATH_MAX];

	if (control_file)
		return (size_t)snprintf(path, size, "%s", control_file) < size;
	if (control_dir)
		return (size_t)snprintf(path, size, "%s/%s", control_dir, name) < size;
	return find_only_dir(dir, sizeof(dir)) && (size_t)snprintf(path, size, "%s/%s", dir, name) < size;
}

/* ---- exports ---------------------------------------------------------------------- */

struct export_entry {
	struct export_entry *next; /* exports_lock, as is users */
	unsigned users;		   /* connections, and the thread while it looks at it */
	struct stream *stream;	   /* constant, as is the name; empty: any */
	char name[];
};

static pthread_mutex_t exports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct export_entry *exports;

/* The handle of who does not report. NBDKIT_HANDLE_NOT_NEEDED is another address in each thread. */
static struct export_entry unreported;

static void wake_thread(void);

static void look_for_control_file(struct export_entry *entry)
{
	char path[2 * PATH_MAX];

	if (find_control_file(entry->name, path, sizeof(path)))
		stream_connect(entry->stream, path);
}

/* Under the lock, with no user yet. NULL: no memory. */
static struct export_entry *add_export(const char *name)
{
	struct export_entry *entry = calloc(1, sizeof(*entry) + strlen(name) + 1);

	if (!entry)
		return NULL;
	strcpy(entry->name, name);
	entry->stream = stream_new(control_file ? control_file : name, wake_thread);
	if (!entry->stream) {
		free(entry);
		return NULL;
	}
	entry->next = exports;
	exports = entry;
	return entry;
}

static struct export_entry *get_export(const char *name)
{
	struct export_entry *entry;

	pthread_mutex_lock(&exports_lock);
	for (entry = exports; entry && strcmp(entry->name, name) != 0; entry = entry->next)
		;
	if (!entry)
		entry = add_export(name);
	if (entry)
		entry->users++;
	pthread_mutex_unlock(&exports_lock);
	return entry;
}

static void put_export(struct export_entry *entry)
{
	struct export_entry **link;
	bool last;

	pthread_mutex_lock(&exports_lock);
	last = --entry->users == 0;
	if (last) {
		for (link = &exports; *link != entry; link = &(*link)->next)
			;
		*link = entry->next;
	}
	pthread_mutex_unlock(&exports_lock);
	if (last) {
		stream_free(entry->stream);
		free(entry);
	}
}

/* The one after `entry`, the first of all after NULL: with a user more, and `entry` with one less. */
static struct export_entry *next_export(struct export_entry *entry)
{
	struct export_entry *next;

	pthread_mutex_lock(&exports_lock);
	next = entry ? entry->next : exports;
	if (next)
		next->users++;
	pthread_mutex_unlock(&exports_lock);
	if (entry)
		put_export(entry);
	return next;
}

/* ---- the thread -------------------------------------------------------------------- */

static pthread_t thread;
static bool thread_runs; /* constant once there are connections */
static pthread_mutex_t thread_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t thread_wanted;
static atomic_bool awake; /* written under the lock; false: it may sleep until it is woken */
static bool quit;

/* At the end of every reported write: cheap while the thread looks once a millisecond anyway. */
static void wake_thread(void)
{
	if (atomic_load(&awake))
		return;
	pthread_mutex_lock(&thread_lock);
	atomic_store(&awake, true);
	pthread_cond_signal(&thread_wanted);
	pthread_mutex_unlock(&thread_lock);
}

/* One look at all of them. *retry_ns is when control files are looked for next. */
static enum stream_need look_at_exports(int64_t *retry_ns)
{
	enum stream_need most = STREAM_NEEDS_NOTHING, need;
	bool retry = clock_now_ns(CLOCK_MONOTONIC) >= *retry_ns;

	for (struct export_entry *entry = next_export(NULL); entry; entry = next_export(entry)) {
		need = stream_tick(entry->stream);
		if (need == STREAM_NEEDS_FILE && retry) {
			look_for_control_file(entry);
			*retry_ns = clock_now_ns(CLOCK_MONOTONIC) + RETRY_NS;
		}
		if (need > most)
			most = need;
	}
	return most;
}

/* Under the lock: until there is something to do. */
static void sleep_until_needed(enum stream_need need, int64_t retry_ns)
{
	int64_t until_ns = need == STREAM_NEEDS_TICK ? clock_now_ns(CLOCK_MONOTONIC) + TICK_NS : retry_ns;
	struct timespec until = { until_ns / NS_PER_SECOND, until_ns % NS_PER_SECOND };

	/* A tick comes after its time, whoever calls. */
	if (need == STREAM_NEEDS_TICK)
		atomic_store(&awake, true);
	while (!quit && (need == STREAM_NEEDS_TICK || !atomic_load(&awake))) {
		if (need == STREAM_NEEDS_NOTHING)
			pthread_cond_wait(&thread_wanted, &thread_lock);
		else if (pthread_cond_timedwait(&thread_wanted, &thread_lock, &until) != 0)
			return;
	}
}

static void *run_thread(void *unused)
{
	enum stream_need need;
	int64_t retry_ns = 0;

	(void)unused;
	pthread_mutex_lock(&thread_lock);
	while (!quit) {
		/* Before the look: who has something after it calls. */
		atomic_store(&awake, false);
		pthread_mutex_unlock(&thread_lock);
		need = look_at_exports(&retry_ns);
		pthread_mutex_lock(&thread_lock);
		sleep_until_needed(need, retry_ns);
	}
	pthread_mutex_unlock(&thread_lock);
	return NULL;
}

/* Not earlier: nbdkit goes to the background by a fork, which takes no threads along. */
static int imagefs_after_fork(nbdkit_backend *backend)
{
	pthread_condattr_t attributes;
	sigset_t all, before;
	int error;

	(void)backend;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&thread_wanted, &attributes);
	pthread_condattr_destroy(&attributes);

	/* Signals are for nbdkit's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, run_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	thread_runs = error == 0;
	if (error) /* The exports do not need it. */
		nbdkit_error("imagefs: no thread: %s: writes are not reported", strerror(error));
	return 0;
}

static void imagefs_cleanup(nbdkit_backend *backend)
{
	(void)backend;
	if (!thread_runs)
		return;
	pthread_mutex_lock(&thread_lock);
	quit = true;
	pthread_cond_signal(&thread_wanted);
	pthread_mutex_unlock(&thread_lock);
	pthread_join(thread, NULL);
	thread_runs = false;
}

static void imagefs_unload(void)
{
	/* nbdkit does not close the connections that its own end cuts off. */
	while (exports) {
		exports->users = 1;
		put_export(exports);
	}
	free(control_file);
	free(control_dir);
}

/* ---- parameters --------------------------------------------------------------------- */

static int imagefs_config(nbdkit_next_config *next, nbdkit_backend *nxdata, const char *key,
			  const char *value)
{
	char **path;

	if (strcmp(key, "imagefs") == 0)
		path = &control_file;
	else if (strcmp(key, "imagefs-dir") == 0)
		path = &control_dir;
	else
		return next(nxdata, key, value);

	/* nbdkit may change its directory; and imagefs may come later, so there is nothing to be resolved. */
	free(*path);
	*path = nbdkit_absolute_path(value);
	return *path ? 0 : -1;
}

static int imagefs_config_complete(nbdkit_next_config_complete *next, nbdkit_backend *nxdata)
{
	if (control_file && control_dir) {
		nbdkit_error("imagefs= and imagefs-dir= exclude each other");
		return -1;
	}
	return next(nxdata);
}

static const char config_help[] = "imagefs=FILE      The control file of the one image that is exported.\n"
				  "imagefs-dir=DIR   Where control files are, named as the exports.\n"
				  "                  Default: the only directory in " RUN_DIR ".";

/* ---- connections --------------------------------------------------------------------- */

/* Before the plugin's open: so imagefs knows this process when it sees it open the image for writing. */
static struct export_entry *open_export(const char *name)
{
	struct export_entry *entry;

	if (control_file)
		name = "";
	else if (!is_image_name(name))
		return &unreported;
	entry = get_export(name);
	if (!entry)
		return &unreported;
	look_for_control_file(entry);
	wake_thread(); /* to look again, if there was none */
	return entry;
}

static void imagefs_close(void *handle)
{
	if (handle != &unreported)
		put_export(handle);
}

static void *imagefs_open(nbdkit_next_open *next, nbdkit_context *context, int readonly,
			  const char *exportname, int is_tls)
{
	struct export_entry *entry = &unreported;

	(void)is_tls;
	if (!readonly && thread_runs)
		entry = open_export(exportname);
	if (next(context, readonly, exportname) == -1) {
		imagefs_close(entry);
		return NULL;
	}
	return entry;
}

/* ---- requests ------------------------------------------------------------------------- */

static void begin(struct export_entry *entry, struct change *change, uint64_t offset, uint32_t count)
{
	*change = (struct change){ .offset_bytes = offset, .length_bytes = count };
	if (entry != &unreported)
		stream_begin(entry->stream, change);
}

static void end(struct export_entry *entry, struct change *change)
{
	if (entry != &unreported)
		stream_end(entry->stream, change);
}

static int imagefs_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count, uint64_t offset,
			  uint32_t flags, int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->pwrite(next, buf, count, offset, flags, err);
	end(handle, &change);
	return r;
}

static int imagefs_trim(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->trim(next, count, offset, flags, err);
	end(handle, &change);
	return r;
}

static int imagefs_zero(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->zero(next, count, offset, flags, err);
	end(handle, &change);
	return r;
}

/* What is not here passes through: reads, flush, extents, cache, and what is asked about the export. */
static struct nbdkit_filter filter = {
	.name = "imagefs",
	.longname = "nbdkit imagefs filter",
	.description = "Reports writes to imagefs(8) before they are executed.",
	.unload = imagefs_unload,
	.config = imagefs_config,
	.config_complete = imagefs_config_complete,
	.config_help = config_help,
	.after_fork = imagefs_after_fork,
	.cleanup = imagefs_cleanup,
	.open = imagefs_open,
	.close = imagefs_close,
	.pwrite = imagefs_pwrite,
	.trim = imagefs_trim,
	.zero = imagefs_zero,
};

/* What nbdkit looks for; its header defines it only. */
NBDKIT_DLL_PUBLIC struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
