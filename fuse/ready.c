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
	/* The proof: a request that went through the kernel and came back. */
	answered = mount_is_answered(ready->root_fd);
	close(ready->root_fd);
	if (!answered)
		return NULL;
	mount_set_readahead(ready->readahead_fd);
	snprintf(status, sizeof(status), "READY=1\nSTATUS=Serving %.180s", ready->source);
	daemon_notify(status);
	daemon_report();
	return NULL;
}

void ready_start(struct ready *ready)
{
	if (pthread_create(&ready->thread, NULL, ready_thread, ready) == 0)
		atomic_store(&ready->started, true);
}

void ready_wait(struct ready *ready)
{
	struct timespec until;

	if (!atomic_load(&ready->started))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += READY_SECONDS;
	pthread_timedjoin_np(ready->thread, NULL, &until);
}
