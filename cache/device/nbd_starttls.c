/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_starttls.h"

#ifdef HAVE_GNUTLS

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/nbd_message.h"

#define OPTION_STARTTLS 5
#define REPLY_ACK 1
enum { FIXED_NEWSTYLE = 1, NO_ZEROES = 2 };

static bool wait_for_server(const struct nbd_starttls *begin, short events)
{
	struct pollfd polled[] = { { .fd = begin->server_fd, .events = events }, { .fd = begin->client_fd } };
	int64_t left_ns = begin->until_ns - clock_now_ns(CLOCK_MONOTONIC);

	return left_ns > 0 && poll(polled, 2, (int)(left_ns / WAIT_MS) + 1) >= 0 && polled[1].revents == 0;
}

/* The functions below return 0, or -errno. -EPIPE: the server ended it. */
static int receive_clear(const struct nbd_starttls *begin, unsigned char *bytes, size_t count)
{
	/* No byte more than these: what follows is TLS's. */
	while (count > 0) {
		ssize_t got = recv(begin->server_fd, bytes, count, 0);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return got == 0 ? -EPIPE : -errno;
		if (got < 0 && !wait_for_server(begin, POLLIN))
			return -ETIMEDOUT;
		bytes += got > 0 ? got : 0;
		count -= got > 0 ? (size_t)got : 0;
	}
	return 0;
}

/* A few bytes, for which a new connection has room. */
static int send_clear(const struct nbd_starttls *begin, const unsigned char *bytes, size_t count)
{
	return send(begin->server_fd, bytes, count, MSG_NOSIGNAL) == (ssize_t)count ? 0 : -EPIPE;
}

static short wanted(const struct nbd_starttls *begin)
{
	return nbd_tls_wants_to_write(begin->tls) ? POLLOUT : POLLIN;
}

static int receive_secret(struct nbd_starttls *begin, unsigned char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t got = nbd_tls_receive(begin->tls, bytes, count, begin->why);

		if (got == 0 || (got < 0 && got != -EAGAIN))
			return got == 0 ? -EPIPE : (int)got;
		if (got < 0 && !wait_for_server(begin, wanted(begin)))
			return -ETIMEDOUT;
		bytes += got > 0 ? got : 0;
		count -= got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static int send_secret(struct nbd_starttls *begin, const unsigned char *bytes, size_t count)
{
	ssize_t sent;

	while ((sent = nbd_tls_send(begin->tls, bytes, count, begin->why)) == -EAGAIN)
		if (!wait_for_server(begin, wanted(begin)))
			return -ETIMEDOUT;
	return sent == (ssize_t)count ? 0 : sent < 0 ? (int)sent : -EPIPE;
}

/* ---- what is said --------------------------------------------------------------------- */

static const unsigned char ask_for_tls[NBD_OPTION_BYTES] = { 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', [11] = OPTION_STARTTLS };

static bool is_reply(const unsigned char *reply)
{
	return get_be64(reply) == NBD_OPTION_REPLY_MAGIC && get_be32(reply + 8) == OPTION_STARTTLS;
}

/* In clear: the greeting, and that it is to begin with TLS. */
static int ask(struct nbd_starttls *begin)
{
	unsigned char greeting[NBD_GREETING_BYTES], answer[NBD_FLAGS_BYTES + NBD_OPTION_BYTES] = { 0 };
	unsigned char reply[NBD_OPTION_REPLY_BYTES];
	int error = receive_clear(begin, greeting, sizeof(greeting));

	if (error != 0)
		return error;
	begin->flags = greeting[NBD_GREETING_BYTES - 1] & (FIXED_NEWSTYLE | NO_ZEROES);
	if (memcmp(greeting, NBD_GREETING, sizeof(NBD_GREETING) - 1) != 0 || !(begin->flags & FIXED_NEWSTYLE))
		return -EPROTO;
	answer[NBD_FLAGS_BYTES - 1] = begin->flags;
	memcpy(answer + NBD_FLAGS_BYTES, ask_for_tls, sizeof(ask_for_tls));
	error = send_clear(begin, answer, sizeof(answer));
	if (error == 0)
		error = receive_clear(begin, reply, sizeof(reply));
	if (error == 0 && !is_reply(reply))
		error = -EPROTO;
	return error == 0 && (get_be32(reply + 12) != REPLY_ACK || get_be32(reply + 16) != 0) ? -EOPNOTSUPP : error;
}

static int shake_hands(struct nbd_starttls *begin)
{
	int error;

	while ((error = nbd_tls_handshake(begin->tls, begin->server_fd, begin->why)) == -EAGAIN)
		if (!wait_for_server(begin, wanted(begin)))
			return -ETIMEDOUT;
	return error;
}

/*
 * In TLS 1.3 a client has done all that it has to before the server has seen who it is. So the server is asked for something: to
 * begin with TLS twice is an error that each of them answers, and nothing changes by it.
 */
static int see_that_it_goes_on(struct nbd_starttls *begin)
{
	unsigned char reply[NBD_OPTION_REPLY_BYTES], text[NBD_STRING_BYTES_MAX];
	int error = send_secret(begin, ask_for_tls, sizeof(ask_for_tls));

	if (error == 0)
		error = receive_secret(begin, reply, sizeof(reply));
	if (error == 0 && (!is_reply(reply) || get_be32(reply + 16) > sizeof(text)))
		error = -EPROTO;
	return error != 0 ? error : receive_secret(begin, text, get_be32(reply + 16));
}

int nbd_starttls(struct nbd_starttls *begin)
{
	int error = ask(begin);

	begin->problem = NBD_REFUSAL_NO_TLS;
	if (error == 0) {
		begin->problem = NBD_REFUSAL_FAILED;
		error = shake_hands(begin);
		if (error == -EKEYREJECTED)
			begin->problem = NBD_REFUSAL_NOT_TRUSTED;
		if (error == 0)
			error = see_that_it_goes_on(begin);
	}
	if (error != 0 && begin->why[0] == '\0')
		snprintf(begin->why, sizeof(begin->why), "%s", error == -EPIPE ? "it ended the connection" : strerror(-error));
	return error;
}

#endif
