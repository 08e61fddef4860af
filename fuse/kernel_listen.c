/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/kernel_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "base/cleanup.h"
#include "cache/changes/kernel.h"
#include "fuse/process/log.h"
#include "fuse/process/privileges.h"

/* So long at most it waits for what links of SOURCE lead to. */
#define LISTEN_SECONDS 1

static int start_listening(void *kernel)
{
	return kernel_events_start(kernel);
}

/* Does the kernel announce writes to us? SOURCE's filesystem may not, while those of images behind links do. */
static int begin_to_listen(const struct options *options, struct kernel_events **kernel)
{
	CLEANUP_FD int fd = open(options->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int error = fd < 0 ? -errno : kernel_events_new(kernel), tested;

	if (error != 0)
		return error;
	tested = kernel_events_test(*kernel, fd);
	if (tested == 0 || (tested == -EOPNOTSUPP && options->changes == CHANGES_AUTO))
		error = privileges_start_without(start_listening, *kernel);
	if (error != 0 || (tested != 0 && tested != -EOPNOTSUPP))
		*kernel = NULL;
	return tested != 0 ? tested : error;
}

bool kernel_listen(const struct options *options, struct kernel_events **kernel, const char **why_not)
{
	int error;

	*why_not = "switched off by the option changes=";
	if (options->changes == CHANGES_EVENTS || options->changes == CHANGES_NONE)
		return true;
	error = begin_to_listen(options, kernel);
	if (error == -ENOENT || error == -EACCES) /* said better by who needs it */
		return true;
	*why_not = error != 0 ? kernel_why_not(error) : NULL;
	if (error == 0 || options->changes != CHANGES_KERNEL)
		return true;
	log_line(LOG_LEVEL_ERROR, "changes=kernel: %s: %s", options->source, kernel_why_not(error));
	return false;
}

/* ---- what links lead to ------------------------------------------------------ */

/* What a link of SOURCE leads to may hang. */
static void *listen_thread(void *source)
{
	view_source_listen(source);
	return NULL;
}

void kernel_listen_to_links(struct kernel_listener *listener, const struct view_source *source)
{
	listener->started = pthread_create(&listener->thread, NULL, listen_thread, (void *)source) == 0;
}

void kernel_listen_wait(struct kernel_listener *listener)
{
	struct timespec until;

	if (!listener->started)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LISTEN_SECONDS;
	pthread_timedjoin_np(listener->thread, NULL, &until);
}
