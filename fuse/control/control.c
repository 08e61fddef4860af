/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/nbd_uri.h"
#include "fuse/control/files.h"
#include "fuse/control/node.h"
#include "fuse/control/report.h"
#include "fuse/process/log.h"
#include "fuse/process/mount.h"
#include "fuse/process/options_text.h"
#include "fuse/process/parallel.h"
#include "fuse/process/separate.h"
#include "fuse/process/session.h"

/* A daemon that was unmounted has taken its control files away by then; who is not asked any more takes this long. */
#define LEAVING_MS 1000

#define PAUSE_MS 20

#define CONTROL_SUBTYPE "imagefs-control"

/* The directory may be taken away just after it was made, by that daemon. */
#define MOUNT_TRIES 3

struct control {
	struct control_base base; /* first */
	char *directory;
	bool remove_directory; /* at the end: it is ours */
	struct fuse_session *session;
	int root_fd; /* of the mount, until it was answered */
	atomic_bool ending;
};

/* ---- its place ------------------------------------------------------------ */

/* Where nobody asked for it, it is missed but not needed. */
static bool refuse(struct control **control, const char *why)
{
	struct control *failed = STEAL_POINTER(*control);
	bool asked = failed->base.options->control != NULL;

	if (asked)
		log_line(LOG_LEVEL_ERROR, "control=%s: %s", failed->base.options->control, why);
	else
		log_line(LOG_LEVEL_NOTICE, "%s: no control files, servers cannot report: %s", failed->directory, why);
	if (failed->remove_directory)
		rmdir(failed->directory);
	free(failed->directory);
	free(failed);
	return !asked;
}

/* The directory itself, or the nearest one above it that is there. Bounded by the path. */
static char *existing_part(const char *directory)
{
	CLEANUP_FREE char *path = strdup(directory);
	struct stat st;

	while (path && stat(path, &st) != 0 && errno == ENOENT) {
		char *shorter = strdup(dirname(path));

		free(path);
		path = shorter;
	}
	return STEAL_POINTER(path);
}

/* Would files of the one be seen in the other, or hide it? NULL: no. */
static const char *conflict(const char *directory, const struct stat *own, const struct options *options)
{
	struct stat source = { 0 }, mountpoint;

	if ((!nbd_uri_is_one(options->source) && stat(options->source, &source) != 0) || stat(options->mountpoint, &mountpoint) != 0)
		return strerror(errno);
	if (S_ISDIR(source.st_mode) && mount_is_below(directory, &source))
		return "is in the directory of images";
	if (mount_is_below(directory, &mountpoint))
		return "is in the mountpoint";
	if (!own)
		return NULL;
	if (S_ISDIR(source.st_mode) && mount_is_below(options->source, own))
		return "the images are below it";
	return mount_is_below(options->mountpoint, own) ? "the mountpoint is below it" : NULL;
}

/* As mkdir -p, open for all to read. *made: the last one was not there. */
static int make_directories(const char *directory, bool *made)
{
	CLEANUP_FREE char *path = strdup(directory);
	mode_t before = umask(022);
	int error = path ? 0 : -ENOMEM;

	*made = false;
	for (char *end = path; error == 0 && end;) {
		end = strchr(end + 1, '/');
		if (end)
			*end = '\0';
		*made = mkdir(path, 0755) == 0;
		if (!*made && errno != EEXIST)
			error = -errno;
		if (end)
			*end = '/';
	}
	umask(before);
	return error;
}

/*
 * A control mount says in /proc/mounts which mount it belongs to: imagefsctl, too, looks
 * there. Not the bare path, which umount(8) would take for this mount's as well. To be
 * freed; NULL: no memory.
 */
static char *source_of(const struct control *control)
{
	char *source;

	return asprintf(&source, "imagefs:%s", control->base.options->mountpoint) < 0 ? NULL : source;
}

/*
 * That nothing is mounted on our mountpoint is known here, so a control mount that belongs to it, wherever
 * that is, is of a daemon before us. After `umount` and `mount` in one breath that one may still be taking
 * it away: that is worth a moment's wait. After `umount -l` it lives as long as somebody stands in its
 * mount, or has a file open; but who reports or asks means the one that is mounted now, so what it
 * still has is detached. Anybody else's stays.
 */
static void replace_predecessor(const struct control *control)
{
	CLEANUP_FREE char *source = source_of(control);

	for (int waited = 0; source && waited <= LEAVING_MS / PAUSE_MS; waited++) {
		CLEANUP_FREE char *point = mount_of_source("fuse." CONTROL_SUBTYPE, source);

		if (!point)
			return;
		if (waited == LEAVING_MS / PAUSE_MS) {
			log_line(LOG_LEVEL_NOTICE, "%s: taken over from an imagefs that serves only who is still in its mount", point);
			mount_detach(point);
		}
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
	}
}

static const char *take_over(const struct control *control, struct stat *st)
{
	const char *problem = mount_take_over(control->directory, st);

	replace_predecessor(control);
	if (problem)
		problem = mount_take_over(control->directory, st);
	for (int tries = 0; problem && tries < MOUNT_TRIES; tries++) {
		mkdir(control->directory, 0755); /* it takes that away, too */
		problem = mount_take_over(control->directory, st);
	}
	return problem;
}

static const char *prepare_directory(struct control *control)
{
	CLEANUP_FREE char *existing = NULL;
	const char *problem;
	struct stat st;
	char *real = NULL;
	int error;

	mount_break_silent(control->directory);
	existing = existing_part(control->directory);
	problem = existing ? conflict(existing, NULL, control->base.options) : strerror(ENOMEM);

	if (problem)
		return problem;
	error = make_directories(control->directory, &control->remove_directory);
	if (error != 0)
		return strerror(-error);
	/* What a crash left in the default place was made by us, too. */
	if (!control->base.options->control)
		control->remove_directory = true;
	problem = take_over(control, &st);
	if (problem) {
		control->remove_directory = false;
		return problem;
	}
	/* The daemon before us has unmounted, and may take the directory away only now. */
	for (int tries = 0; !real && tries < MOUNT_TRIES; tries++) {
		mkdir(control->directory, 0755);
		real = realpath(control->directory, NULL);
	}
	if (!real)
		return strerror(errno);
	free(control->directory);
	control->directory = real;
	return conflict(real, &st, control->base.options);
}

bool control_prepare(const struct options *options, struct view *view, struct cache *cache, struct control **out)
{
	struct control *control;
	const char *problem;
	char *directory = options_control_directory(options);

	*out = NULL;
	if (!directory && errno == 0)
		return true;
	control = directory ? calloc(1, sizeof(*control)) : NULL;
	if (!control) {
		free(directory);
		log_line(LOG_LEVEL_ERROR, "%s", strerror(ENOMEM));
		return false;
	}
	control->directory = directory;
	control->base.options = options;
	control->base.view = view;
	control->base.cache = cache;
	pthread_mutex_init(&control->base.texts.lock, NULL);
	pthread_mutex_init(&control->base.reports_lock, NULL);
	control->base.started_ns = queue_now_ns();
	*out = control;
	problem = prepare_directory(control);
	if (problem)
		return refuse(out, problem);
	separate_tell_mount(SEPARATE_CONTROL, control->directory, control->remove_directory);
	return true;
}

/* ---- mounting ------------------------------------------------------------- */

static struct fuse_session *new_session(struct control *control)
{
	const struct options *options = control->base.options;
	struct fuse_args arguments = { 0 };
	struct fuse_session *session;

	fuse_opt_add_arg(&arguments, "imagefs");
	fuse_opt_add_arg(&arguments, "-orw,nosuid,nodev,noexec,noatime,subtype=" CONTROL_SUBTYPE);
	session_add_option(&arguments, "fsname=imagefs:", options->mountpoint);
	if (getuid() == 0 || options->allow_other_given)
		fuse_opt_add_arg(&arguments, "-odefault_permissions,allow_other");
	if (options->debug & LOG_DEBUG_REQUESTS)
		fuse_opt_add_arg(&arguments, "-odebug");
	session = fuse_session_new(&arguments, &control_operations, sizeof(control_operations), &control->base);
	fuse_opt_free_args(&arguments);
	return session;
}

bool control_mount(struct control **control)
{
	bool mounted = false;

	if (!*control)
		return true;
	(*control)->session = new_session(*control);
	if (!(*control)->session)
		return refuse(control, "cannot be mounted");
	/* The daemon before us may take the directory away only now: between these two at worst, and only once. */
	for (int tries = 0; !mounted && tries < MOUNT_TRIES; tries++) {
		mkdir((*control)->directory, 0755);
		session_hush(tries + 1 < MOUNT_TRIES);
		mounted = fuse_session_mount((*control)->session, (*control)->directory) == 0;
	}
	session_hush(false);
	if (!mounted)
		return refuse(control, "cannot be mounted");
	parallel_arrange((*control)->session, NULL);
	(*control)->root_fd = open((*control)->directory, O_PATH | O_CLOEXEC);
	return true;
}

/* ---- serving -------------------------------------------------------------- */

static void *serve(void *argument)
{
	struct control *control = argument;

	session_loop(control->session);
	if (!atomic_load(&control->ending))
		log_line(LOG_LEVEL_WARNING, "%s: unmounted: servers cannot report to this imagefs any more",
			 control->directory);
	return NULL;
}

int control_start(struct control *control, struct queue *queue, struct asked *asked, struct handles *handles)
{
	pthread_t thread;
	int error;

	if (!control)
		return 0;
	control->base.queue = queue;
	control->base.asked = asked;
	control->base.handles = handles;
	error = pthread_create(&thread, NULL, serve, control);
	if (error == 0)
		pthread_detach(thread);
	return -error;
}

void control_let_go(struct control *control, struct view_image *image)
{
	if (control)
		reports_let_go(&control->base, image);
}

void control_wait_until_answered(const struct control *control)
{
	if (!control)
		return;
	if (!mount_is_answered(control->root_fd))
		log_line(LOG_LEVEL_DEBUG, "%s: %s", control->directory, strerror(errno));
	close(control->root_fd);
}

void control_end(struct control *control)
{
	/* Held to the end of it: the process must not end while another thread is at it. */
	static pthread_mutex_t ending = PTHREAD_MUTEX_INITIALIZER;

	if (!control)
		return;
	LOCK_SCOPE(&ending);
	if (atomic_exchange(&control->ending, true))
		return;
	separate_detach(SEPARATE_CONTROL, session_is_connected(control->session));
}
