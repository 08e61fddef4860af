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
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/kernel.h"
#include "cache/device/buffer.h"
#include "cache/device/nbd_export.h"
#include "cache/device/opener.h"
#include "fuse/check.h"
#include "fuse/control/control.h"
#include "fuse/control/usage.h"
#include "fuse/names/list.h"
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
#include "fuse/remount.h"
#include "fuse/request.h"
#include "fuse/umount.h"

/* Readers get this long to finish after a signal; a second signal ends it at once. */
#define GRACE_SECONDS 5

/* Its last requests are answered within the wait of one. */
#define READY_SECONDS 5

/* So many images one user may hold open, however few descriptors there are. */
#define HELD_IMAGES_MIN 16

/* To block servers, in all. */
#define NBD_CONNECTIONS 256

/* So long at most it waits for what links of SOURCE lead to. */
#define LISTEN_SECONDS 1

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
	int readahead_fd; /* -1: may not be set */
	int root_fd;	  /* of the mount, until it was answered */
	pthread_t main_thread;
	pthread_t ready_thread; /* valid once ready_started */
	atomic_bool ready_started;
	pthread_t listen_thread; /* likewise, once listening */
	bool listening;
	atomic_bool ending; /* a signal takes the mount away */
	atomic_bool broken; /* the process that opens images has ended */
};

/* ---- before -------------------------------------------------------------- */

/* Each image is two descriptors and more; the soft limit is meant for select(2). */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static rlim_t descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

/*
 * Kept content comes and goes in large pieces: have malloc map them, so that
 * they go back to the system; and few arenas for many short-lived threads.
 */
static void tame_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 256 << 10);
	mallopt(M_ARENA_MAX, 2);
}

/* First of all: it is forked. */
static bool separate(struct daemon *daemon)
{
	int error = view_source_new(daemon->options.source, &daemon->source);
	const char *uri;

	if (error != 0)
		return check_say(daemon->options.source, error);
	uri = view_source_uri(daemon->source);
	opener_set_nbd(daemon->options.nbd ? daemon->options.nbd : "any", uri);
	/* Of a URI no directory has an entry. */
	error = separate_start(view_source_directory(daemon->source), uri ? "" : view_source_file(daemon->source), daemon->title,
			       daemon->title_bytes);
	if (error != 0)
		fprintf(stderr, "imagefs: cannot fork: %s\n", strerror(-error));
	return error == 0;
}

static int start_listening(void *kernel)
{
	return kernel_events_start(kernel);
}

/* Does the kernel announce writes to us? SOURCE's filesystem may not, while those of images behind links do. */
static int begin_to_listen(struct daemon *daemon)
{
	CLEANUP_FD int fd = open(daemon->options.source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int error = fd < 0 ? -errno : kernel_events_new(&daemon->kernel), tested;

	if (error != 0)
		return error;
	tested = kernel_events_test(daemon->kernel, fd);
	if (tested == 0 || (tested == -EOPNOTSUPP && daemon->options.changes == CHANGES_AUTO))
		error = privileges_start_without(start_listening, daemon->kernel);
	if (error != 0 || (tested != 0 && tested != -EOPNOTSUPP))
		daemon->kernel = NULL;
	return tested != 0 ? tested : error;
}

static bool listen_to_kernel(struct daemon *daemon)
{
	int error;

	daemon->why_no_kernel = "switched off by the option changes=";
	if (daemon->options.changes == CHANGES_EVENTS || daemon->options.changes == CHANGES_NONE)
		return true;
	error = begin_to_listen(daemon);
	if (error == -ENOENT || error == -EACCES) /* said better by who needs it */
		return true;
	daemon->why_no_kernel = error != 0 ? kernel_why_not(error) : NULL;
	if (error == 0 || daemon->options.changes != CHANGES_KERNEL)
		return true;
	log_line(LOG_LEVEL_ERROR, "changes=kernel: %s: %s", daemon->options.source, kernel_why_not(error));
	return false;
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
	rlim_t descriptors = descriptor_limit(), reserved = 48 + descriptors / 16; /* ours, and those of rings */
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

/* ---- the end ------------------------------------------------------------- */

static void wake(int signal)
{
	(void)signal;
}

static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Breaks libfuse's main thread out of its wait. */
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = wake }, NULL);
}

/*
 * The first signal detaches the mount: new users find the directory below,
 * readers inside are served until they close (then the kernel ends the session)
 * or the time of grace is over. SIGCHLD: our only child may have ended. A thread of its own, since nothing useful may be
 * done in a handler.
 */
static void *signal_thread(void *argument)
{
	struct daemon *daemon = argument;
	struct timespec grace = { .tv_sec = GRACE_SECONDS };
	bool detached;
	sigset_t signals;
	int signal;

	block_signals(&signals);
	do
		sigwait(&signals, &signal);
	while ((signal == SIGHUP && !daemon->options.foreground) || (signal == SIGCHLD && !separate_has_ended()));
	if (signal == SIGCHLD) {
		/* No image could be opened any more, nor anything unmounted: who starts us again takes the mount over. */
		log_line(LOG_LEVEL_ERROR, "the process that opens images has ended, and so does this: start imagefs again");
		atomic_store(&daemon->broken, true);
	} else {
		daemon_notify("STOPPING=1\nSTATUS=Unmounting");
		atomic_store(&daemon->ending, true);
		detached = separate_detach(SEPARATE_MAIN, true);
		control_end(daemon->control);
		if (detached)
			sigtimedwait(&signals, NULL, &grace);
	}
	fuse_session_exit(daemon->session);
	/* The loop may be about to wait when it is told: tell it until it is gone with the process. */
	for (;;) {
		pthread_kill(daemon->main_thread, SIGUSR1);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	return NULL;
}

/* ---- serving ------------------------------------------------------------- */

/* What a link of SOURCE leads to may hang. */
static void *listen_thread(void *daemon)
{
	view_source_listen(view_source(((struct daemon *)daemon)->fs.view));
	return NULL;
}

static void wait_for_listen_thread(struct daemon *daemon)
{
	struct timespec until;

	if (!daemon->listening)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LISTEN_SECONDS;
	pthread_timedjoin_np(daemon->listen_thread, NULL, &until);
}

/*
 * The kernel is being answered: what waits for us may go on. Not on libfuse's
 * thread, whose answer the mount is still waiting for.
 */
static void *ready_thread(void *argument)
{
	struct daemon *daemon = argument;
	char status[256];
	bool answered;

	/* Servers are started when we are ready, and open their logs and images. */
	control_wait_until_answered(daemon->control);
	wait_for_listen_thread(daemon);
	/* The proof: a request that went through the kernel and came back. */
	answered = mount_is_answered(daemon->root_fd);
	close(daemon->root_fd);
	if (!answered)
		return NULL;
	mount_set_readahead(daemon->readahead_fd);
	snprintf(status, sizeof(status), "READY=1\nSTATUS=Serving %.180s", daemon->options.source);
	daemon_notify(status);
	daemon_report();
	return NULL;
}

static void start_ready_thread(struct imagefs *fs)
{
	struct daemon *daemon = (struct daemon *)fs;
	if (pthread_create(&daemon->ready_thread, NULL, ready_thread, daemon) == 0)
		atomic_store(&daemon->ready_started, true);
}

/*
 * Somebody may unmount before we have said that we are ready. A process that ends while
 * one of its threads waits for an answer of its own never ends: the kernel waits for the
 * answer, and the descriptor that would break the connection is closed only behind it.
 */
static void wait_for_ready_thread(struct daemon *daemon)
{
	struct timespec until;

	if (!atomic_load(&daemon->ready_started))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += READY_SECONDS;
	pthread_timedjoin_np(daemon->ready_thread, NULL, &until);
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
	pthread_t thread;
	sigset_t signals;
	int error;

	block_signals(&signals);
	daemon->main_thread = pthread_self();
	asked_init(&daemon->fs.asked);
	daemon->fs.list_lane.width = LISTINGS_MAX;
	daemon->sweep_job = (struct job){ .run = sweep, .lane = &daemon->sweep_lane };
	error = queue_new(&daemon->fs.queue);
	if (error == 0)
		error = control_start(daemon->control, daemon->fs.queue, &daemon->fs.asked, daemon->fs.handles);
	if (error == 0)
		queue_submit(daemon->fs.queue, &daemon->sweep_job);
	if (error == 0)
		daemon->listening = pthread_create(&daemon->listen_thread, NULL, listen_thread, daemon) == 0;
	if (error == 0)
		error = -pthread_create(&thread, NULL, signal_thread, daemon);
	if (error == 0)
		pthread_detach(thread);
	return error;
}

static void say_if_empty(struct daemon *daemon)
{
	/* The mount waits for this: no image is looked into if there is another way to tell. */
	if (view_is_single(daemon->fs.view) || view_has_names(daemon->fs.view) ||
	    !view_lists_nothing(daemon->fs.view, daemon->fs.queue))
		return;
	log_line(LOG_LEVEL_NOTICE, "%s: no image in it yet; what comes will be shown", daemon->options.source);
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
	parallel_arrange(daemon->session);
	daemon->readahead_fd = mount_open_readahead(daemon->options.mountpoint);
	/* As another user we may find no way to it. Of a mount's root the kernel asks nothing here. */
	daemon->root_fd = open(daemon->options.mountpoint, O_PATH | O_CLOEXEC);
	daemon_reach_out();
	usage_prepare();
	error = privileges_drop();
	if (error != 0)
		log_line(LOG_LEVEL_WARNING, "cannot give up privileges: %s", strerror(-error));
	confine();
	error = start_threads(daemon);
	if (error != 0)
		log_line(LOG_LEVEL_ERROR, "cannot start threads");
	if (error != 0 || !check_servable(daemon->fs.view, &daemon->options)) {
		separate_detach(SEPARATE_MAIN, true);
		control_end(daemon->control);
		_exit(1); /* there are threads that wait for the mount, which is not served */
	}
	remount_say_read_only(&daemon->options);
	say_if_empty(daemon);
	result = session_loop(daemon->session);
	daemon_let_go_of_files();
	/* Ended from outside (umount), or by a signal: both are a good end. */
	daemon_notify("STOPPING=1");
	wait_for_ready_thread(daemon);
	control_end(daemon->control);
	if (daemon->broken)
		return 1;
	if (!daemon->ending && result < 0)
		log_line(LOG_LEVEL_ERROR, "the connection to the kernel broke: %s", strerror(-result));
	if (!daemon->ending)
		separate_detach(SEPARATE_MAIN, result < 0);
	return !daemon->ending && result < 0;
}

static void close_inherited(int kept)
{
	if (kept > 3)
		close_range(3, (unsigned)kept - 1, 0);
	close_range(kept >= 3 ? (unsigned)kept + 1 : 3, ~0U, 0);
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
	/* A lock or pipe of whoever started us must not stay open as long as the mount. */
	if (!options->foreground)
		close_inherited(options->fuse_fd);
	/* The child says what is wrong, as long as it has not reported; nothing may exist before the fork. */
	if (!options->foreground && !daemon_fork()) {
		log_line(LOG_LEVEL_ERROR, "cannot fork: %s", strerror(errno));
		return 1;
	}
	raise_descriptor_limit();
	if (!separate(daemon))
		return 1;
	privileges_run_as(options->run_as_user, options->run_as_group);
	daemon->fs.handles = handles_new();
	if (!daemon->fs.handles || !listen_to_kernel(daemon) || !make_view(daemon))
		return 1;
	daemon->fs.inodes = inodes_new(cache_memory(daemon->cache));
	daemon->fs.own = own_files_new(cache_memory(daemon->cache), (int64_t)options->settle_ms * 1000000);
	if (!daemon->fs.inodes || !daemon->fs.own)
		return 1;
	if (!prepare_mountpoint(daemon))
		return 1;
	daemon->fs.options = options;
	daemon->fs.root_lane.width = view_is_single(daemon->fs.view) ? LANE_WIDTH : 64;
	daemon->fs.answering = start_ready_thread;
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
	tame_malloc();
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
