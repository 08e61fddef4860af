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

/* Each address that the host has, until one answers; time is shared out, so that one that is silent hides no other. */
static int connect_host(const struct nbd_uri *uri, int64_t within_ns)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int fd = -ENXIO, left = 0;
	int64_t until_ns;
	const int one = 1;

	if (getaddrinfo(uri->host, uri->port, &hints, &list) != 0)
		return -ENXIO;
	for (const struct addrinfo *address = list; address; address = address->ai_next)
		left++;
	until_ns = clock_now_ns(CLOCK_MONOTONIC) + within_ns;
	for (const struct addrinfo *address = list; address && fd < 0; address = address->ai_next) {
		int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

		fd = connect_address(address->ai_addr, address->ai_addrlen, now_ns + (until_ns - now_ns) / left--);
	}
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
