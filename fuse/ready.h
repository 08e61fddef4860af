/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ready: who waits for the mount hears that it is there: the process that started the daemon, and systemd.
 *
 * The kernel is being answered: what waits for us may go on. Not on libfuse's
 * thread, whose answer the mount is still waiting for. The proof is a request of our own, which goes through the kernel
 * and comes back.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fuse/control/control.h"
#include "fuse/kernel_listen.h"

struct ready {
	/* Set by the caller. */
	struct control *control; /* NULL: there are no control files */
	const char *source;	 /* as it was given */
	struct kernel_listener listener; /* is waited for, too */
	int readahead_fd; /* -1: may not be set */
	int root_fd;	  /* of the mount; closed when it was answered; -1: there is no way to it */

	pthread_t thread; /* valid once started */
	atomic_bool started;
	atomic_bool over; /* it is to end */
};

/* The first request of the kernel was answered. Once. `ready` is used for good. -errno: who waits would wait for ever. */
int ready_start(struct ready *ready);

/*
 * Somebody may unmount before we have said that we are ready. A process that ends while
 * one of its threads waits for an answer of its own never ends: the kernel waits for the
 * answer, and the descriptor that would break the connection is closed only behind it.
 */
void ready_wait(struct ready *ready);
