/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ending: what a signal does.
 *
 * The first signal detaches the mount: new users find the directory below,
 * readers inside are served until they close (then the kernel ends the session)
 * or the time of grace is over. SIGCHLD: our only child may have ended (separate.h).
 *
 * A thread of its own waits for signals, since nothing useful may be done in a handler.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fuse/control/control.h"
#include "fuse/process/api.h"

struct ending {
	/* Constant, and set by the caller. */
	struct fuse_session *session; /* ended in the end */
	struct control *control;      /* NULL: there are no control files */
	bool foreground;	      /* SIGHUP ends it, too */

	pthread_t main_thread;
	atomic_bool begun;  /* a signal takes the mount away */
	atomic_bool broken; /* the process that opens images has ended */
};

/* By the thread that serves the session, before it starts others: signals are for a thread of their own from now on. */
void ending_prepare(struct ending *ending);

/* Wait for a signal. `ending` is used for good. -errno: no thread. */
int ending_start(struct ending *ending);
