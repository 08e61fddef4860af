/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ending.h"

#include <signal.h>
#include <time.h>

#include "fuse/process/daemon.h"
#include "fuse/process/log.h"
#include "fuse/process/separate.h"
#include "fuse/process/session.h"

/* Readers get this long to finish after a signal; a second signal ends it at once. */
#define GRACE_SECONDS 5

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

static void *signal_thread(void *argument)
{
	struct ending *ending = argument;
	struct timespec grace = { .tv_sec = GRACE_SECONDS };
	bool detached;
	sigset_t signals;
	int signal;

	block_signals(&signals);
	do
		sigwait(&signals, &signal);
	while ((signal == SIGHUP && !ending->foreground) || (signal == SIGCHLD && !separate_has_ended()));
	if (signal == SIGCHLD) {
		/* No image could be opened any more, nor anything unmounted: who starts us again takes the mount over. */
		log_line(LOG_LEVEL_ERROR, "the process that opens images has ended, and so does this: start imagefs again");
		atomic_store(&ending->broken, true);
	} else {
		daemon_notify("STOPPING=1\nSTATUS=Unmounting");
		atomic_store(&ending->begun, true);
		detached = separate_detach(SEPARATE_MAIN, session_is_connected(ending->session));
		control_end(ending->control);
		if (detached)
			sigtimedwait(&signals, NULL, &grace);
	}
	fuse_session_exit(ending->session);
	/* The loop may be about to wait when it is told: tell it until it is gone with the process. */
	for (;;) {
		pthread_kill(ending->main_thread, SIGUSR1);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	return NULL;
}

void ending_prepare(struct ending *ending)
{
	sigset_t signals;

	block_signals(&signals);
	ending->main_thread = pthread_self();
}

int ending_start(struct ending *ending)
{
	pthread_t thread;
	int error = -pthread_create(&thread, NULL, signal_thread, ending);

	if (error == 0)
		pthread_detach(thread);
	return error;
}
