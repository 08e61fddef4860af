/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imagefs: the boot partitions of live disk images as a read-only filesystem.
 *
 * main puts the parts together in the one order that works: say what is wrong
 * while there is a terminal, fork before there are threads, mount, serve, and on
 * a signal take the mount away while those inside finish.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/kernel.h"
#include "cache/device/buffer.h"
#include "cache/device/nbd_export.h"
#include "cache/device/source_dir.h"
#include "fuse/check.h"
#include "fuse/control/control.h"
#include "fuse/control/usage.h"
#include "fuse/ending.h"
#include "fuse/kernel_listen.h"
#include "fuse/names/sweep.h"
#include "fuse/operations.h"
#include "fuse/process/confine.h"
#include "fuse/process/daemon.h"
#include "fuse/process/log.h"
#include "fuse/process/mount.h"
#include "fuse/process/parallel.h"
#include "fuse/process/privileges.h"
#include "fuse/process/separate.h"
#include "fuse/process/session.h"
#include "fuse/ready.h"
#include "fuse/remount.h"
#include "fuse/request.h"
#include "fuse/umount.h"

/* So many images one user may hold open, however few descriptors there are. */
#define HELD_IMAGES_MIN 16

/* To block servers, in all. */
#define NBD_CONNECTIONS 256

/* So many listings of SOURCE at a time: each is a thread. */
#define LISTINGS_MAX 32

/* Of /dev/fuse, by the kernel's list (Documentation/admin-guide/devices.txt). */
#define FUSE_MAJOR 10
#define FUSE_MINOR 229

struct daemon {
	struct imagefs fs; /* first: a filesystem is its daemon */
	struct options options;
	struct cache *cache;
	struct fuse_session *session;
	struct control *control; /* NULL: there are no control files */
	struct kernel_events *kernel; /* NULL: not listened to, and */
	const char *why_no_kernel;    /* why: constant text */
	char *title; /* room for what ps(1) shows */
	size_t title_bytes;
	struct sweep sweep;
	struct job sweep_job;
	struct lane sweep_lane;
	struct view_source *source; /* the view's, once there is one */
	struct ready ready;
	struct ending ending;
};

/* ---- before -------------------------------------------------------------- */

/* First of all: it is forked. */
static bool separate(struct daemon *daemon)
{
	int error = view_source_new(daemon->options.source, daemon->options.mountpoint, &daemon->source);
	const char *uri;

	if (error != 0)
		return check_say(daemon->options.source, error);
	uri = view_source_uri(daemon->source);
	source_dir_set_nbd(daemon->options.nbd ? daemon->options.nbd : "any", uri);
	/* Of a URI no directory has an entry. */
	error = separate_start(view_source_directory(daemon->source), uri ? "" : view_source_file(daemon->source), daemon->title,
			       daemon->title_bytes);
	if (error != 0)
		fprintf(stderr, "imagefs: cannot fork: %s\n", strerror(-error));
	return error == 0;
}

static void let_go(void *context, struct view_image *image)
{
	struct daemon *daemon = context;

	/* Where files are open, what is written is still of interest. */
	if (inodes_let_go(daemon->fs.inodes, image))
		control_let_go(daemon->control, image);
}

static bool submit(void *context, struct job *job)
{
	const struct daemon *daemon = context;

	if (daemon->fs.queue)
		queue_submit(daemon->fs.queue, job);
	return daemon->fs.queue;
}

static bool make_view(struct daemon *daemon)
{
	const struct options *options = &daemon->options;
	rlim_t descriptors = daemon_descriptor_limit(), reserved = 48 + descriptors / 16; /* ours, and those of rings */
	struct cache_settings cache = cache_settings_default;
	struct view_settings view = {
		.believe_nothing = options->changes == CHANGES_NONE,
		.kernel = daemon->kernel,
		.why_no_kernel = daemon->why_no_kernel,
		.unused_max = descriptors / 8 < 512 ? descriptors / 8 : 512,
		/* Two each, and most of the time no more than that many. */
		.open_max = reserved + 24 < descriptors ? (descriptors - reserved) / 4 : 6,
		.descriptors_low = (int)(descriptors < INT_MAX ? descriptors - reserved / 2 : INT_MAX),
		.let_go = let_go,
		.submit = submit,
		.context = daemon,
	};
	size_t held_max;
	int error;

	cache.settle_ns = (int64_t)options->settle_ms * 1000000;
	cache.keep_bytes = (uint64_t)options->keep_mib << 20;
	cache.keep_limit_bytes = 2 * cache.keep_bytes;
	cache.keep_files = descriptors / 8;
	cache.partition = options->partition;
	held_max = view.open_max / 3 * 2;
	nbd_set_connections_max(descriptors / 8 < NBD_CONNECTIONS ? descriptors / 8 + 1 : NBD_CONNECTIONS);
	daemon->fs.holds = holds_new(held_max > HELD_IMAGES_MIN ? held_max : HELD_IMAGES_MIN);
	daemon->cache = view.cache = cache_new(&cache);
	error = view.cache && daemon->fs.holds ? view_new(daemon->source, &view, &daemon->fs.view) : -ENOMEM;
	if (error != 0)
		return check_say(options->source, error);
	error = view_source_stat(NULL, view_source(daemon->fs.view), &daemon->fs.source_stat);
	return error == 0 || check_say(options->source, error);
}

static bool make_session(struct daemon *daemon)
{
	struct options *options = &daemon->options;
	struct fuse_args *arguments = &options->fuse;

	fuse_opt_add_arg(arguments, "-oro,nosuid,nodev,noatime,subtype=imagefs");
	if (options->noexec)
		fuse_opt_add_arg(arguments, "-onoexec");
	/* mount -o remount hands it back, from any directory. */
	session_add_option(arguments, "fsname=", view_source_path(daemon->source));
	fuse_opt_add_arg(arguments, getuid() == 0 ? "-odefault_permissions,allow_other" : "-odefault_permissions");
	if (options->debug & LOG_DEBUG_REQUESTS)
		fuse_opt_add_arg(arguments, "-odebug");
	session_take_log();
	daemon->session = fuse_session_new(arguments, &imagefs_operations, sizeof(imagefs_operations), &daemon->fs);
	daemon->fs.session = daemon->session;
	return daemon->session != NULL;
}

/* ---- serving ------------------------------------------------------------- */

/* There are threads that wait for the mount, which is not served. */
static _Noreturn void give_up(struct daemon *daemon)
{
	separate_detach(SEPARATE_MAIN, true);
	control_end(daemon->control);
	_exit(1);
}

static void answering(struct imagefs *fs)
{
	struct daemon *daemon = (struct daemon *)fs;
	int error = ready_start(&daemon->ready);

	if (error != 0) {
		log_line(LOG_LEVEL_ERROR, "cannot start threads: %s", strerror(-error));
		give_up(daemon);
	}
}

/* What is deleted is let go within seconds (S5). */
static int64_t sweep(struct job *job)
{
	struct daemon *daemon = (struct daemon *)(void *)((char *)job - offsetof(struct daemon, sweep_job));

	sweep_images(&daemon->sweep, daemon->fs.view, daemon->fs.queue);
	cache_buffers_let_go();
	return WAIT_SWEEP_NS;
}

static int start_threads(struct daemon *daemon)
{
	int error;

	ending_prepare(&daemon->ending);
	daemon->ready.source = daemon->options.source;
	daemon->ready.control = daemon->ending.control = daemon->control;
	daemon->ending.session = daemon->session;
	daemon->ending.foreground = daemon->options.foreground;
	asked_init(&daemon->fs.asked);
	daemon->fs.list_lane.width = LISTINGS_MAX;
	daemon->sweep_job = (struct job){ .run = sweep, .lane = &daemon->sweep_lane };
	error = queue_new(&daemon->fs.queue);
	if (error == 0)
		error = control_start(daemon->control, daemon->fs.queue, &daemon->fs.asked, daemon->fs.handles);
	if (error == 0)
		queue_submit(daemon->fs.queue, &daemon->sweep_job);
	if (error == 0)
		kernel_listen_to_links(&daemon->ready.listener, view_source(daemon->fs.view));
	if (error == 0)
		error = ending_start(&daemon->ending);
	return error;
}

static int serve(struct daemon *daemon)
{
	int result, error;

	if (!control_mount(&daemon->control))
		return 1;
	if (fuse_session_mount(daemon->session, daemon->options.mountpoint) != 0) {
		control_end(daemon->control);
		return 1; /* libfuse has said why */
	}
	separate_mounted(SEPARATE_MAIN);
	if (daemon->control)
		separate_mounted(SEPARATE_CONTROL);
	separate_seal();
	mount_say_if_private(daemon->options.mountpoint);
	mount_name_helper(view_source_path(daemon->source), daemon->options.mountpoint);
	parallel_arrange(daemon->session, daemon_let_go_of_files);
	daemon->ready.readahead_fd = mount_open_readahead(daemon->options.mountpoint);
	/* As another user we may find no way to it. Of a mount's root the kernel asks nothing here. */
	daemon->ready.root_fd = open(daemon->options.mountpoint, O_PATH | O_CLOEXEC);
	daemon_reach_out();
	usage_prepare();
	error = privileges_drop();
	if (error != 0)
		log_line(LOG_LEVEL_WARNING, "cannot give up privileges: %s", strerror(-error));
	confine();
	error = start_threads(daemon);
	if (error != 0)
		log_line(LOG_LEVEL_ERROR, "cannot start threads");
	if (error != 0 || !check_servable(daemon->fs.view, &daemon->options))
		give_up(daemon);
	remount_say_read_only(&daemon->options);
	check_say_if_empty(daemon->fs.view, daemon->fs.queue, daemon->options.source);
	result = session_loop(daemon->session);
	daemon_let_go_of_files();
	/* Ended from outside (umount), or by a signal: both are a good end. */
	daemon_notify("STOPPING=1");
	ready_wait(&daemon->ready);
	control_end(daemon->control);
	if (daemon->ending.broken)
		return 1;
	if (!daemon->ending.begun && result < 0)
		log_line(LOG_LEVEL_ERROR, "the connection to the kernel broke: %s", strerror(-result));
	if (!daemon->ending.begun)
		separate_detach(SEPARATE_MAIN, result < 0);
	return !daemon->ending.begun && result < 0;
}

/* Unless it is mounted already, by mount.fuse3. */
static bool prepare_mountpoint(struct daemon *daemon)
{
	struct options *options = &daemon->options;
	CLEANUP_FREE char *source = strdup(options->source);
	char *given = options->mountpoint, *mountpoint;

	if (options->fuse_fd >= 0)
		return true;
	if (!source || !mount_prepare(options->mountpoint, S_ISDIR(daemon->fs.source_stat.st_mode) ? source : dirname(source),
				      &daemon->fs.source_stat))
		return false;
	mountpoint = realpath(given, NULL);
	if (mountpoint) {
		options->mountpoint = mountpoint;
		free(given);
	}
	check_swapped(options);
	separate_tell_mount(SEPARATE_MAIN, options->mountpoint, false);
	return true;
}

/* mount.fuse3's. Whatever else it is, one of our own that gets the number perhaps, would be read for ever. */
static bool check_fuse_fd(const struct options *options)
{
	struct stat st;

	if (options->fuse_fd < 0 || (fstat(options->fuse_fd, &st) == 0 && S_ISCHR(st.st_mode) &&
				     st.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR)))
		return true;
	log_line(LOG_LEVEL_ERROR, "%s: is no open descriptor of /dev/fuse", options->mountpoint);
	return false;
}

static int run(struct daemon *daemon)
{
	struct options *options = &daemon->options;

	if (!check_fuse_fd(options))
		return 1;
	if (options->verbose)
		log_set_level(LOG_LEVEL_INFO);
	log_set_debug(options->debug);
	if (!options->foreground)
		daemon_close_inherited(options->fuse_fd);
	/* The child says what is wrong, as long as it has not reported; nothing may exist before the fork. */
	if (!options->foreground && !daemon_fork()) {
		log_line(LOG_LEVEL_ERROR, "cannot fork: %s", strerror(errno));
		return 1;
	}
	daemon_raise_descriptor_limit();
	privileges_run_as(options->run_as_user, options->run_as_group);
	if (!daemon_has_room() || !separate(daemon))
		return 1;
	daemon->fs.handles = handles_new();
	if (!daemon->fs.handles || !kernel_listen(options, &daemon->kernel, &daemon->why_no_kernel) ||
	    !make_view(daemon))
		return 1;
	daemon->fs.inodes = inodes_new(cache_memory(daemon->cache));
	daemon->fs.own = own_files_new(cache_memory(daemon->cache), (int64_t)options->settle_ms * 1000000);
	if (!daemon->fs.inodes || !daemon->fs.own)
		return 1;
	if (!prepare_mountpoint(daemon))
		return 1;
	daemon->fs.options = options;
	daemon->fs.root_lane.width = view_is_single(daemon->fs.view) ? LANE_WIDTH : 64;
	daemon->fs.answering = answering;
	if (!control_prepare(options, daemon->fs.view, daemon->cache, &daemon->control))
		return 1;
	if (!make_session(daemon))
		return 1;
	return serve(daemon);
}

/* What --help and --version print. */
static bool said_all(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	log_line(LOG_LEVEL_ERROR, "standard output: %s", strerror(errno));
	return false;
}

int main(int argc, char **argv)
{
	static struct daemon daemon;
	int status;

	daemon_fill_standard_descriptors();
	if (umount_is_asked(argv[0]))
		return umount_run(argc, argv);
	daemon_tame_malloc();
	daemon.title = argv[0];
	daemon.title_bytes = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
	switch (options_parse(argc, argv, &daemon.options)) {
	case OPTIONS_DONE:
		return said_all() ? 0 : 1;
	case OPTIONS_USAGE:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	if (daemon.options.remount)
		return remount(&daemon.options);
	status = run(&daemon);
	daemon_let_go_of_files();
	/*
	 * No teardown of what worker threads may still hold: the process ends, and
	 * the kernel takes it all back at once.
	 */
	fflush(NULL);
	_exit(status);
}
