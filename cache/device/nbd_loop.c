/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_loop.h"

#include <errno.h>

#ifdef HAVE_LIBNBD

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/waits.h"
#include "cache/device/nbd_connection.h"
#include "cache/device/nbd_export.h"

/* For libnbd and its TLS. */
#define STACK_BYTES ((size_t)256 << 10)

bool nbd_available(void)
{
	return true;
}

static int64_t now(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

/* As many as there may be, and what wakes the loop, which is the first. */
struct polled {
	struct pollfd *fds;
	struct nbd_connection **connections;
	size_t count;
};

static void add_polled(struct polled *polled, struct nbd_connection *connection)
{
	struct pollfd poll = { .fd = -1 };

	poll.events = nbd_connection_events(connection, &poll.fd);
	if (poll.fd < 0)
		return;
	polled->connections[polled->count] = connection;
	polled->fds[polled->count++] = poll;
}

static struct nbd_connection *first_connection(void)
{
	LOCK_SCOPE(&nbd_all.lock);
	nbd_all.woken = false;
	return nbd_all.first;
}

/* What is put before it meanwhile wakes the loop again. */
static struct nbd_connection *next_connection(const struct nbd_connection *connection)
{
	LOCK_SCOPE(&nbd_all.lock);
	return connection->next;
}

/* Each connection, once; those that stay are polled. When to look again. */
static int64_t step_all(struct polled *polled)
{
	int64_t now_ns = now(), until_ns = NBD_FOREVER_NS, due_ns;
	struct nbd_connection *next;

	for (struct nbd_connection *at = first_connection(); at; at = next) {
		next = next_connection(at);
		due_ns = nbd_connection_step(at, now_ns);
		if (due_ns == 0)
			continue;
		until_ns = due_ns < until_ns ? due_ns : until_ns;
		add_polled(polled, at);
	}
	return until_ns;
}

static int poll_milliseconds(int64_t until_ns)
{
	int64_t left_ns = until_ns == NBD_FOREVER_NS ? 0 : until_ns - now();

	if (until_ns == NBD_FOREVER_NS)
		return -1;
	return left_ns <= 0 ? 0 : (int)((left_ns + WAIT_MS - 1) / WAIT_MS);
}

static void *run(void *argument)
{
	struct polled *polled = argument;
	sigset_t signals;
	uint64_t woken;

	/* What goes on here is nobody's signal; a server that goes is no reason to end. */
	sigfillset(&signals);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	for (;;) {
		int64_t until_ns;

		polled->count = 1;
		until_ns = step_all(polled);
		polled->fds[0] = (struct pollfd){ .fd = nbd_all.wake_fd, .events = POLLIN };
		if (poll(polled->fds, polled->count, poll_milliseconds(until_ns)) < 0)
			continue;
		if (polled->fds[0].revents && read(nbd_all.wake_fd, &woken, sizeof(woken)) < 0)
			continue;
		for (size_t i = 1; i < polled->count; i++)
				nbd_connection_notify(polled->connections[i], polled->fds[i].revents);
	}
	return NULL;
}

int nbd_loop_start(void)
{
	static struct polled polled; /* under the lock, as the next; then the loop's */
	static bool runs;
	size_t room;
	int error;

	LOCK_SCOPE(&nbd_all.lock);
	room = 2 * nbd_all.count_max + 1;
	if (runs)
		return 0;
	if (!polled.fds)
		polled.fds = calloc(room, sizeof(*polled.fds));
	if (!polled.connections)
		polled.connections = calloc(room, sizeof(struct nbd_connection *));
	if (!polled.fds || !polled.connections)
		return -ENOMEM;
	if (nbd_all.wake_fd < 0) {
		clock_condition_init(&nbd_all.made);
		nbd_all.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	error = nbd_all.wake_fd < 0 ? -errno : thread_start(run, &polled, STACK_BYTES);
	runs = error == 0;
	return error;
}

#else

bool nbd_available(void)
{
	return false;
}

int nbd_loop_start(void)
{
	return -EOPNOTSUPP;
}

#endif
