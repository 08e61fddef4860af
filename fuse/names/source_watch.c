/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/source_watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/device/opener.h"
#include "cache/device/path_watch.h"
#include "cache/device/watch.h"
#include "fuse/process/queue.h"

enum { BELL_MOUNTS, BELL_NAMES, BELLS };

struct source_watch {
	struct watch *watch;
	struct watch_bell bells[BELLS]; /* the watch's */
	pthread_mutex_t lock;		/* but for these, protects all; not held while the opener is asked */
	struct path_watch path;		/* fd -1: not watched */
	uint64_t rung[BELLS];		/* as they were when it was last looked */
	uint64_t generation;
	int64_t ask_ns;	  /* not before then it is to be watched anew */
	bool asking;
};

struct source_watch *source_watch_new(struct watch *watch)
{
	CLEANUP_FD int mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct source_watch *source = mounts_fd >= 0 && watch ? calloc(1, sizeof(*source)) : NULL;

	/* It becomes ready once for each change, without being read. */
	if (source && watch_bell_add(watch, mounts_fd, EPOLLPRI, &source->bells[BELL_MOUNTS]) != 0) {
		free(source);
		return NULL;
	}
	if (!source)
		return NULL;
	steal_fd(&mounts_fd);
	pthread_mutex_init(&source->lock, NULL);
	source->watch = watch;
	source->path.fd = -1;
	return source;
}

/* Under the lock. What is watched is not SOURCE any more, or nobody knows. */
static void stop(struct source_watch *source)
{
	cleanup_close_fd(&source->path.fd);
	source->path.fd = -1;
}

/* Under the lock: take in what has happened. */
static void take_in(struct source_watch *source, const uint64_t rung[BELLS])
{
	enum path_change change = PATH_SAME;

	if (source->path.fd >= 0 && rung[BELL_NAMES] != source->rung[BELL_NAMES])
		change = path_watch_read(&source->path);
	if (rung[BELL_MOUNTS] != source->rung[BELL_MOUNTS])
		change = PATH_ELSEWHERE;
	for (size_t i = 0; i < BELLS; i++)
		source->rung[i] = rung[i];
	if (change == PATH_ELSEWHERE)
		stop(source);
	if (change != PATH_SAME)
		source->generation++;
}

/*
 * Under the lock, which is let go meanwhile: have it watched. Where the path leads elsewhere all the time, or
 * cannot be watched, not at each look.
 */
static void ask(struct source_watch *source)
{
	uint64_t mounts = source->rung[BELL_MOUNTS];
	struct path_watch path;
	int error;

	if (source->asking || queue_now_ns() < source->ask_ns)
		return;
	source->asking = true;
	pthread_mutex_unlock(&source->lock);
	error = opener_watch_path(&path);
	if (error == 0 && watch_bell_add(source->watch, path.fd, EPOLLIN, &source->bells[BELL_NAMES]) != 0)
		cleanup_close_fd(&path.fd), path.fd = -1;
	pthread_mutex_lock(&source->lock);
	source->asking = false;
	/* What was mounted, or rung, meanwhile was taken in by others, who have seen no watch: it may be of another directory by now. */
	if (path.fd >= 0 && (source->rung[BELL_MOUNTS] != mounts || path_watch_read(&path) == PATH_ELSEWHERE))
		cleanup_close_fd(&path.fd), path.fd = -1;
	source->ask_ns = queue_now_ns() + (path.fd >= 0 ? WAIT_WATCH_AGAIN_NS : WAIT_WATCH_IN_VAIN_NS);
	source->path = path;
	source->generation++;
}

uint64_t source_watch_look(struct source_watch *source)
{
	uint64_t rung[BELLS];

	if (!source)
		return 0;
	LOCK_SCOPE(&source->lock);
	if (!watch_bells(source->watch, source->bells, BELLS, rung))
		return 0;
	take_in(source, rung);
	if (source->path.fd < 0)
		ask(source);
	return source->path.fd >= 0 ? source->generation : 0;
}
