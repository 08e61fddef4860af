/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/nbd_uri.h"

/* A unix socket whose queue is full says so at once, and cannot be waited for (connect(2)). */
#define QUEUE_FULL_PAUSE_NS (10 * WAIT_MS)

/* 0, or why it did not connect. */
static int wait_until_connected(int fd, int64_t until_ns)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	int64_t left_ns = until_ns - clock_now_ns(CLOCK_MONOTONIC);
	int error = 0, got;
	socklen_t length = sizeof(error);

	got = left_ns > 0 ? poll(&ready, 1, (int)(left_ns / WAIT_MS)) : 0;
	if (got == 0)
		return -ETIMEDOUT;
	if (got < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		return -errno;
	return -error;
}

/* The socket or -errno. */
static int connect_address(const struct sockaddr *address, socklen_t length, int64_t until_ns)
{
	CLEANUP_FD int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	/* Ends at `until_ns`. */
	while ((error = connect(fd, address, length) == 0 ? 0 : -errno) == -EAGAIN &&
	       clock_now_ns(CLOCK_MONOTONIC) < until_ns)
		nanosleep(&(struct timespec){ .tv_nsec = QUEUE_FULL_PAUSE_NS }, NULL);
	if (error == -EAGAIN)
		error = -ETIMEDOUT;
	if (error == -EINPROGRESS)
		error = wait_until_connected(fd, until_ns);
	return error == 0 ? steal_fd(&fd) : error;
}

static int connect_unix(const char *path, int64_t until_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1); /* nbd_uri_parse has seen that it fits */
	return connect_address((const struct sockaddr *)&address, sizeof(address), until_ns);
}

/* ---- a host has many addresses --------------------------------------------------------- */

/* So many of a host's addresses are tried. */
#define ADDRESSES_MAX 16

struct attempt {
	struct pollfd polled[ADDRESSES_MAX];
	nfds_t count;
	int error; /* of the last one that failed */
};

/* It goes on beside the others. */
static void attempt_address(struct attempt *attempt, const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)) {
		attempt->error = -errno;
		cleanup_close_fd(&fd);
		return;
	}
	attempt->polled[attempt->count++] = (struct pollfd){ .fd = fd, .events = POLLOUT };
}

/* Those that came to an end: the socket of one that is connected, the caller's from now on; or -1. */
static int take_connected(struct attempt *attempt)
{
	nfds_t kept = 0;
	int fd = -1;

	for (nfds_t i = 0; i < attempt->count; i++) {
		struct pollfd polled = attempt->polled[i];
		int error = 0;
		socklen_t length = sizeof(error);

		if (!polled.revents || fd >= 0) {
			attempt->polled[kept++] = polled;
			continue;
		}
		if (getsockopt(polled.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
			error = errno;
		if (error == 0) {
			fd = polled.fd;
			continue;
		}
		attempt->error = -error;
		close(polled.fd);
	}
	attempt->count = kept;
	return fd;
}

/*
 * The first address that answers; the next is tried beside those before it when one of them has failed, or has said nothing
 * for a moment: a dead one costs a look that moment, and not its answer.
 */
static int connect_any(const struct addrinfo *next, int64_t until_ns)
{
	struct attempt attempt = { .error = -ETIMEDOUT };
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC), next_ns = now_ns;
	int fd = -1;

	/* Each turn takes an address, or waits; ends at `until_ns`. */
	while (fd < 0 && now_ns < until_ns && (next || attempt.count > 0)) {
		nfds_t pending;

		if (next && attempt.count < ADDRESSES_MAX && (now_ns >= next_ns || attempt.count == 0)) {
			attempt_address(&attempt, next);
			next = attempt.count < ADDRESSES_MAX ? next->ai_next : NULL;
			next_ns = now_ns + WAIT_NBD_NEXT_ADDRESS_NS;
			continue;
		}
		pending = attempt.count;
		if (poll(attempt.polled, pending, (int)(((next && next_ns < until_ns ? next_ns : until_ns) - now_ns) / WAIT_MS) + 1) > 0)
			fd = take_connected(&attempt);
		now_ns = clock_now_ns(CLOCK_MONOTONIC);
		if (attempt.count < pending)
			next_ns = now_ns;
	}
	if (fd < 0 && attempt.count > 0)
		attempt.error = -ETIMEDOUT;
	for (nfds_t i = 0; i < attempt.count; i++)
		close(attempt.polled[i].fd);
	return fd >= 0 ? fd : attempt.error;
}

static int connect_host(const struct nbd_uri *uri, int64_t within_ns)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	const int one = 1;
	int fd;

	if (getaddrinfo(uri->host, uri->port, &hints, &list) != 0)
		return -ENXIO;
	fd = connect_any(list, clock_now_ns(CLOCK_MONOTONIC) + within_ns);
	freeaddrinfo(list);
	/* A request is small, and the answer is waited for. */
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int nbd_connect(const struct nbd_uri *uri, int64_t within_ns)
{
	if (uri->socket)
		return connect_unix(uri->socket, clock_now_ns(CLOCK_MONOTONIC) + within_ns);
	return connect_host(uri, within_ns);
}
