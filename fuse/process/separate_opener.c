/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/separate_opener.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "cache/device/opener.h"
#include "cache/device/opener_perform.h"
#include "cache/device/source_dir.h"
#include "fuse/process/fd_message.h"
#include "fuse/process/privileges.h"
#include "fuse/process/separate_mounts.h"

#define TITLE "imagefs-opener"

/* A thread of the other process: paths, and what the C library wants. */
#define STACK_BYTES ((size_t)256 << 10)

static _Atomic size_t served; /* connections */

/* Constant, as the next one. */
static pid_t daemon_pid;
static size_t served_max;

static void *serve_connection(void *argument)
{
	int fd = (int)(intptr_t)argument;
	pid_t thread = (pid_t)syscall(SYS_gettid);
	struct opener_request request;
	struct opener_answer answer;

	for (bool goes_on = fd_message_send(fd, 0, &thread, sizeof(thread), NULL, 0) == 0; goes_on;) {
		int fds[OPENER_FDS];
		ssize_t got = fd_message_receive(fd, &request, sizeof(request), fds);

		if (got != sizeof(request))
			break;
		memcpy(request.fds, fds, sizeof(fds));
		if (request.what == OPENER_ASK_OTHER)
			answer = (struct opener_answer){ .result = separate_mounts_detach(request.flags[0], request.flags[1]),
							 .fds = { -1, -1 } };
		else
			opener_perform(&request, &answer);
		goes_on = fd_message_send(fd, 0, &answer, offsetof(struct opener_answer, st) + answer.text_bytes, answer.fds,
					  fd_message_count(answer.fds)) == 0;
		for (size_t i = 0; i < OPENER_FDS; i++) {
			cleanup_close_fd(&fds[i]);
			cleanup_close_fd(&answer.fds[i]);
		}
	}
	close(fd);
	atomic_fetch_sub(&served, 1);
	return NULL;
}

/*
 * Who took over the daemon may ask for more of them than it ever does; those that end are counted a moment
 * longer than there. Without a thread: who asked sees the end of it.
 */
static void start_connection(int fd)
{
	if (atomic_fetch_add(&served, 1) < served_max &&
	    thread_start(serve_connection, (void *)(intptr_t)fd, STACK_BYTES) == 0)
		return;
	close(fd);
	atomic_fetch_sub(&served, 1);
}

/* The signal comes when the daemon's first thread ends, which a kill does at once (PR_SET_PDEATHSIG, prctl(2)). */
static void *wait_for_death(void *unused)
{
	siginfo_t info;
	sigset_t death;

	sigemptyset(&death);
	sigaddset(&death, SIGUSR1);
	for (;;)
		if (sigwaitinfo(&death, &info) == SIGUSR1 && info.si_pid == daemon_pid)
			separate_mounts_break();
	return unused;
}

static _Noreturn void serve(int fd)
{
	static struct separate_told told;
	int fds[OPENER_FDS];
	ssize_t got;

	while ((got = fd_message_receive(fd, &told, sizeof(told), fds)) != 0) {
		if (fds[0] >= 0)
			start_connection(fds[0]);
		else if (got == sizeof(told)) {
			separate_mounts_take(&told);
			fd_message_send(fd, 0, "", 1, NULL, 0);
		}
	}
	_exit(0);
}

/* Nothing of the daemon's may be kept: its terminal, its caller's pipe, above all its connection to the kernel. */
static void let_go_of_all(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t signals;

	for (int standard = 0; null >= 0 && standard <= 2; standard++)
		dup2(null, standard);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	/* It ends when the daemon does, who unmounts first. */
	sigfillset(&signals);
	sigdelset(&signals, SIGCHLD);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	if (chdir("/") != 0)
		_exit(1);
}

void separate_opener_run(int fd, const struct separate_opener *opener)
{
	daemon_pid = opener->daemon;
	served_max = 2 * opener->connections_max;
	let_go_of_all(fd);
	snprintf(memset(opener->title, 0, opener->title_bytes), opener->title_bytes, TITLE);
	prctl(PR_SET_NAME, TITLE, 0, 0, 0);
	privileges_keep();
	prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
	source_dir_set(opener->directory, opener->file);
	thread_start(wait_for_death, NULL, STACK_BYTES);
	serve(fd);
}
