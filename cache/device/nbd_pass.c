/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_pass.h"

#ifdef HAVE_GNUTLS

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "cache/device/nbd_message.h"

/* What who reads says: some options, or all requests that may be in flight. */
#define UP_BYTES ((size_t)8 << 10)

/* What the server says: some records of TLS. */
#define DOWN_BYTES ((size_t)64 << 10)

_Static_assert(NBD_MESSAGE_BYTES_MAX < UP_BYTES, "the longest message fits");

/* Those from `start` on are not sent yet. */
struct flow {
	unsigned char *bytes;
	size_t room, start, end;
};

struct pass {
	int server_fd, client_fd;
	struct nbd_tls *tls;
	const char *export;
	unsigned char flags;
	struct flow up, down;
	size_t checked;	    /* of `up`: up to there it may be sent */
	size_t sending;	    /* from up.start on: to be sent again, as it is */
	bool flags_seen;    /* the first that who reads says */
	bool answers;	    /* what was received last wants room to write, for TLS's own sake */
	bool server_ended;
};

/* ---- up --------------------------------------------------------------------------------- */

/* The server had them before. */
static bool take_flags(struct pass *pass)
{
	const struct flow *up = &pass->up;

	if (pass->flags_seen || up->end < NBD_FLAGS_BYTES)
		return true;
	if (get_be32(up->bytes) != pass->flags)
		return false;
	pass->flags_seen = true;
	pass->up.start = pass->checked = NBD_FLAGS_BYTES;
	return true;
}

/* False: he says what he may not. */
static bool check_up(struct pass *pass)
{
	struct flow *up = &pass->up;
	ssize_t length = 1;

	if (!take_flags(pass))
		return false;
	/* Each turn goes on by a message, in what there is. */
	while (pass->flags_seen && length > 0) {
		length = nbd_message_check(pass->export, up->bytes + pass->checked, up->end - pass->checked);
		pass->checked += length > 0 ? (size_t)length : 0;
	}
	return length >= 0;
}

static void make_room(struct pass *pass)
{
	struct flow *up = &pass->up;

	memmove(up->bytes, up->bytes + up->start, up->end - up->start);
	up->end -= up->start;
	pass->checked -= up->start;
	up->start = 0;
}

/* The four steps return whether anything moved, or -1 at the end. */
static int take_up(struct pass *pass)
{
	struct flow *up = &pass->up;
	ssize_t got;

	if (pass->sending > 0)
		return 0;
	if (up->start > 0)
		make_room(pass);
	if (up->end == up->room)
		return 0;
	got = recv(pass->client_fd, up->bytes + up->end, up->room - up->end, 0);
	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	up->end += (size_t)got;
	return check_up(pass) ? 1 : -1;
}

static int send_up(struct pass *pass)
{
	struct flow *up = &pass->up;
	char why[NBD_TLS_WHY_BYTES];
	ssize_t sent;

	if (pass->sending == 0)
		pass->sending = pass->checked - up->start;
	if (pass->sending == 0)
		return 0;
	sent = nbd_tls_send(pass->tls, up->bytes + up->start, pass->sending, why);
	if (sent < 0)
		return sent == -EAGAIN ? 0 : -1;
	pass->sending = 0;
	up->start += (size_t)sent;
	return 1;
}

/* ---- down -------------------------------------------------------------------------------- */

static int take_down(struct pass *pass)
{
	struct flow *down = &pass->down;
	char why[NBD_TLS_WHY_BYTES];
	ssize_t got;

	if (down->start == down->end)
		down->start = down->end = 0;
	if (down->end == down->room || pass->server_ended)
		return 0;
	got = nbd_tls_receive(pass->tls, down->bytes + down->end, down->room - down->end, why);
	pass->answers = got == -EAGAIN && nbd_tls_wants_to_write(pass->tls);
	if (got == -EAGAIN)
		return 0;
	pass->server_ended = got <= 0;
	down->end += got > 0 ? (size_t)got : 0;
	return 1;
}

static int send_down(struct pass *pass)
{
	struct flow *down = &pass->down;
	ssize_t sent;

	if (down->start == down->end)
		return pass->server_ended ? -1 : 0;
	sent = send(pass->client_fd, down->bytes + down->start, down->end - down->start, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	down->start += (size_t)sent;
	return 1;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* There was nothing to do: until there may be. False: who reads is gone. */
static bool wait_for_any(const struct pass *pass)
{
	const struct flow *up = &pass->up, *down = &pass->down;
	short receives = down->end == down->room || pass->server_ended ? 0 : POLLIN;
	short sends = pass->sending > 0 || pass->answers ? POLLOUT : 0;
	short takes = pass->sending == 0 && up->end - up->start < up->room ? POLLIN : 0;
	short gives = down->start < down->end ? POLLOUT : 0;
	struct pollfd polled[] = {
		/* Its end is seen where something is asked of it only, or it would be seen all the time. */
		{ .fd = receives || sends ? pass->server_fd : -1, .events = (short)(receives | sends) },
		{ .fd = pass->client_fd, .events = (short)(takes | gives) },
	};

	return (poll(polled, 2, -1) >= 0 || errno == EINTR) && !(polled[1].revents & (POLLHUP | POLLERR));
}

static void run(struct pass *pass)
{
	int (*const steps[])(struct pass *pass) = { take_down, send_down, take_up, send_up };
	bool moved;

	/* As long as both sides are there. */
	do {
		moved = false;
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			int done = steps[i](pass);

			if (done < 0)
				return;
			moved = moved || done > 0;
		}
	} while (moved || wait_for_any(pass));
}

int nbd_pass(struct nbd_tls *tls, int server_fd, int client_fd, const char *export, unsigned char flags)
{
	struct pass pass = {
		.server_fd = server_fd,
		.client_fd = client_fd,
		.tls = tls,
		.export = export,
		.flags = flags,
		.up = { .bytes = malloc(UP_BYTES), .room = UP_BYTES },
		.down = { .bytes = malloc(DOWN_BYTES), .room = DOWN_BYTES },
	};
	int error = pass.up.bytes && pass.down.bytes ? 0 : -ENOMEM;

	if (error == 0)
		run(&pass);
	free(pass.up.bytes);
	free(pass.down.bytes);
	return error;
}

#endif
