/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ready.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fuse/process/daemon.h"
#include "fuse/process/mount.h"

/* The mount's last requests are answered within the wait of one. */
#define READY_SECONDS 5

static void *ready_thread(void *argument)
{
	struct ready *ready = argument;
	char status[256];
	bool answered;

	/* Servers are started when we are ready, and open their logs and images. */
	control_wait_until_answered(ready->control);
	kernel_listen_wait(&ready->listener);
	/* The proof: a request that went through the kernel and came back. Where there is no way to it, its first one did. */
	answered = ready->root_fd < 0 || mount_is_answered(ready->root_fd);
	if (ready->root_fd >= 0)
		close(ready->root_fd);
	if (!answered)
		return NULL;
	mount_set_readahead(ready->readahead_fd);
	snprintf(status, sizeof(status), "READY=1\nSTATUS=Serving %.180s", ready->source);
	answered = daemon_notify(status);
	daemon_report();
	/* A manager that was busy ends a service that it never heard of. */
	while (!answered && !atomic_load(&ready->over))
		answered = daemon_notify(status);
	return NULL;
}

int ready_start(struct ready *ready)
{
	int error = pthread_create(&ready->thread, NULL, ready_thread, ready);

	if (error == 0)
		atomic_store(&ready->started, true);
	return -error;
}

void ready_wait(struct ready *ready)
{
	struct timespec until;

	atomic_store(&ready->over, true);
	if (!atomic_load(&ready->started))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += READY_SECONDS;
	pthread_timedjoin_np(ready->thread, NULL, &until);
}
