/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/relays.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/device/nbd_refusal.h"
#include "cache/device/nbd_relay.h"
#include "cache/device/nbd_uri.h"
#include "cache/device/source_dir.h"
#include "fuse/process/confine.h"
#include "fuse/process/fd_message.h"
#include "fuse/process/privileges.h"

#define TITLE "imagefs-tls"
#define RELAY_TITLE "imagefs-relay"

/* Twice as many as there are connections (fuse/main.c): those that are closed may take a moment. */
#define RELAYS_MAX 512

/* Of its own: a handshake and two buffers take less than one. */
#define RELAY_MEMORY_BYTES ((rlim_t)64 << 20)

/* Who waits for the handshake ends it sooner, by its socket: this is for who would not listen. */
#define HANDSHAKE_SECONDS ((unsigned)(4 * WAIT_NBD_CONNECT_NS / WAIT_S))

/* With the server's socket, and that of who reads. */
struct order {
	char uri[PATH_MAX];
};

static int orders_fd = -1; /* constant after the start */

/* ---- a relay ------------------------------------------------------------------------------------- */

static pid_t parent; /* constant */

/* Whoever takes it over does not take the machine's memory. */
static void bound_memory(void)
{
#ifndef NO_MEMORY_LIMIT
	const struct rlimit memory = { RELAY_MEMORY_BYTES, RELAY_MEMORY_BYTES };

	setrlimit(RLIMIT_DATA, &memory);
#endif
}

static bool give_up_all(void)
{
	const struct rlimit none = { 0 };

	/* What was read is in its memory: no core of it, and nobody traces it. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	bound_memory();
	return privileges_drop_last() == 0 && confine_relay() && getppid() == parent;
}

/* In the child; nothing of the others' is open there but both sockets. */
static _Noreturn void be_relay(const struct order *order, const int fds[OPENER_FDS])
{
	struct nbd_uri uri;
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	signal(SIGALRM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	close(orders_fd);
	prctl(PR_SET_NAME, RELAY_TITLE, 0, 0, 0);
	alarm(HANDSHAKE_SECONDS);
	if (!nbd_uri_parse(order->uri, &uri))
		nbd_relay_run(fds[0], fds[1], &uri, give_up_all);
	_exit(0);
}

/* ---- the process that forks them ------------------------------------------------------------------ */

static void wake(int signal)
{
	(void)signal;
}

static unsigned reap(void)
{
	unsigned count = 0;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		count++;
	return count;
}

/* False: there is none, and who reads was told. */
static bool start_one(const struct order *order, const int fds[OPENER_FDS], unsigned running)
{
	pid_t child = running < RELAYS_MAX ? fork() : -1;

	if (child == 0)
		be_relay(order, fds);
	if (child < 0)
		nbd_refusal_send(fds[1], NBD_REFUSAL_NOT_STARTED,
				 running < RELAYS_MAX ? strerror(errno) : "there are too many connections by TLS");
	return child > 0;
}

static _Noreturn void serve(void)
{
	static struct order order;
	struct pollfd orders = { .fd = orders_fd, .events = POLLIN };
	unsigned running = 0;
	sigset_t waiting;

	sigprocmask(SIG_SETMASK, NULL, &waiting);
	sigdelset(&waiting, SIGCHLD);
	for (;;) {
		int fds[OPENER_FDS];
		ssize_t got;

		running -= reap();
		if (ppoll(&orders, 1, NULL, &waiting) < 0)
			continue;
		got = fd_message_receive(orders_fd, &order, sizeof(order), fds);
		if (got == 0)
			_exit(0);
		if (got > 0 && order.uri[got - 1] == '\0' && fds[1] >= 0)
			running += start_one(&order, fds, running);
		for (size_t i = 0; i < OPENER_FDS; i++)
			cleanup_close_fd(&fds[i]);
	}
}

static _Noreturn void be_process(int fd, char *title, size_t title_bytes)
{
	sigset_t all;

	/* Above all not the socket by whose end it is seen that the opener has ended. */
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	orders_fd = fd;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = wake }, NULL);
	snprintf(memset(title, 0, title_bytes), title_bytes, TITLE);
	prctl(PR_SET_NAME, TITLE, 0, 0, 0);
	if (geteuid() == 0)
		nbd_relay_by_root();
	if (privileges_keep_for_relays() != 0)
		_exit(1);
	parent = getpid();
	serve();
}

/* ---- the opener's side ------------------------------------------------------------------------------ */

/* As nbd_relay_start. Threads' messages do not mix. */
static int start(int server_fd, const char *text)
{
	int pair[2], fds[OPENER_FDS] = { server_fd, -1 }, error;

	error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 ? 0 : -errno;
	if (error == 0) {
		fds[1] = pair[1];
		error = fd_message_send(orders_fd, 0, text, strlen(text) + 1, fds, 2);
		close(pair[1]);
		if (error != 0)
			close(pair[0]);
	}
	close(server_fd);
	return error == 0 ? pair[0] : error;
}

void relays_start(char *title, size_t title_bytes)
{
	const struct timeval within = { .tv_sec = WAIT_NBD_CONNECT_NS / WAIT_S };
	int fds[2];

	if (!nbd_relay_available())
		return;
	source_dir_relay_with(start);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return;
	if (fork() == 0)
		be_process(fds[1], title, title_bytes);
	close(fds[1]);
	orders_fd = fds[0];
	/* Should it be stopped: then orders find no room some time. */
	setsockopt(orders_fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof(within));
}
