/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/marker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"

/* Each is a descriptor, of those that are kept back for events (kernel.c). */
#define FILES_MAX 16

#define STACK_BYTES ((size_t)128 << 10)

struct marker {
	const struct marker_work *work; /* constant, as the next */
	void *context;
	pthread_mutex_t lock; /* never held across work: who answers the kernel takes it */
	pthread_cond_t more;
	struct file {
		int fd;
		struct stat st;
	} files[FILES_MAX]; /* lock */
	size_t count;	    /* lock */
};

/* Under the lock. */
static bool is_waiting(const struct marker *marker, const struct stat *st)
{
	for (size_t i = 0; i < marker->count; i++)
		if (marker->files[i].st.st_ino == st->st_ino && marker->files[i].st.st_dev == st->st_dev)
			return true;
	return false;
}

void marker_ignore(struct marker *marker, int fd, const struct stat *st)
{
	CLEANUP_FD int dropped = fd;

	LOCK_SCOPE(&marker->lock);
	if (marker->count == FILES_MAX || is_waiting(marker, st))
		return;
	marker->files[marker->count++] = (struct file){ steal_fd(&dropped), *st };
	pthread_cond_signal(&marker->more);
}

/* The oldest file, or none at `until_ns`. */
static bool next_file(struct marker *marker, int64_t until_ns, struct file *file)
{
	struct timespec until = clock_timespec(until_ns);

	LOCK_SCOPE(&marker->lock);
	while (marker->count == 0)
		if (pthread_cond_timedwait(&marker->more, &marker->lock, &until) == ETIMEDOUT)
			return false;
	*file = marker->files[0];
	memmove(&marker->files[0], &marker->files[1], --marker->count * sizeof(marker->files[0]));
	return true;
}

static void *run(void *argument)
{
	struct marker *marker = argument;
	int64_t sweep_ns = clock_now_ns(CLOCK_MONOTONIC) + marker->work->sweep_ns;
	struct file file;

	for (;;) {
		if (next_file(marker, sweep_ns, &file)) {
			marker->work->ignore(marker->context, file.fd, &file.st);
			close(file.fd);
		}
		if (clock_now_ns(CLOCK_MONOTONIC) < sweep_ns)
			continue;
		marker->work->sweep(marker->context);
		sweep_ns = clock_now_ns(CLOCK_MONOTONIC) + marker->work->sweep_ns;
	}
	return NULL;
}

int marker_new(const struct marker_work *work, void *context, struct marker **out)
{
	struct marker *marker = calloc(1, sizeof(*marker));
	int error;

	if (!marker)
		return -ENOMEM;
	marker->work = work;
	marker->context = context;
	pthread_mutex_init(&marker->lock, NULL);
	clock_condition_init(&marker->more);
	error = thread_start(run, marker, STACK_BYTES);
	if (error == 0)
		*out = marker;
	else
		free(marker);
	return error;
}
