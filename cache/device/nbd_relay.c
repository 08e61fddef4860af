/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_relay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/waits.h"
#include "cache/device/nbd_message.h"
#include "cache/device/nbd_pass.h"
#include "cache/device/nbd_refusal.h"
#include "cache/device/nbd_starttls.h"
#include "cache/device/nbd_uri.h"

#ifdef HAVE_GNUTLS

/* ---- a relay ----------------------------------------------------------------------------------- */

static void relay(struct nbd_tls *tls, int server_fd, int client_fd, const char *export)
{
	/* Twice as long as who reads waits: it says so itself. */
	struct nbd_starttls begin = { .server_fd = server_fd,
				      .client_fd = client_fd,
				      .until_ns = clock_now_ns(CLOCK_MONOTONIC) + 2 * WAIT_NBD_CONNECT_NS,
				      .tls = tls };
	unsigned char greeting[NBD_GREETING_BYTES] = NBD_GREETING;

	if (nbd_starttls(&begin) != 0) {
		nbd_refusal_send(client_fd, begin.problem, begin.why);
		return;
	}
	alarm(0); /* where one was set, it was for this */
	greeting[NBD_GREETING_BYTES - 1] = begin.flags;
	if (send(client_fd, greeting, sizeof(greeting), MSG_NOSIGNAL) == sizeof(greeting))
		nbd_pass(tls, server_fd, client_fd, export, begin.flags);
	nbd_tls_end(tls);
}

void nbd_relay_run(int server_fd, int client_fd, const struct nbd_uri *uri, bool (*confine)(void))
{
	struct nbd_tls *tls = NULL;
	char why[NBD_TLS_WHY_BYTES];

	if (nbd_tls_new(uri, &tls, why) != 0)
		nbd_refusal_send(client_fd, NBD_REFUSAL_FILES, why);
	else if (confine && !confine())
		nbd_refusal_send(client_fd, NBD_REFUSAL_NOT_STARTED, "its process cannot give up its privileges");
	else
		relay(tls, server_fd, client_fd, uri->export);
	nbd_tls_free(tls);
	close(server_fd);
	close(client_fd);
}

bool nbd_relay_available(void)
{
	return true;
}

void nbd_relay_by_root(void)
{
	nbd_tls_by_root();
}

/* For GnuTLS, as in nbd_export.c. */
#define STACK_BYTES ((size_t)256 << 10)

struct started {
	int server_fd, client_fd;
	char *text;
};

static void *run(void *argument)
{
	struct started *started = argument;
	struct nbd_uri uri;
	sigset_t signals;

	sigfillset(&signals);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	if (!nbd_uri_parse(started->text, &uri)) {
		nbd_relay_run(started->server_fd, started->client_fd, &uri, NULL);
		nbd_uri_free(&uri);
	}
	free(started->text);
	free(started);
	return NULL;
}

static int start(int server_fd, int client_fd, const char *text)
{
	struct started *started = malloc(sizeof(*started));
	int error = -ENOMEM;

	if (!started)
		return error;
	*started = (struct started){ server_fd, client_fd, strdup(text) };
	if (started->text)
		error = thread_start(run, started, STACK_BYTES);
	if (error == 0)
		return 0;
	free(started->text);
	free(started);
	return error;
}

int nbd_relay_start(int server_fd, const char *text)
{
	int fds[2], error = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
		error = -errno;
		close(server_fd);
		return error;
	}
	error = start(server_fd, fds[1], text);
	if (error == 0)
		return fds[0];
	close(fds[0]);
	close(fds[1]);
	close(server_fd);
	return error;
}

#else

bool nbd_relay_available(void)
{
	return false;
}

void nbd_relay_by_root(void)
{
}

void nbd_relay_run(int server_fd, int client_fd, const struct nbd_uri *uri, bool (*confine)(void))
{
	(void)uri;
	(void)confine;
	nbd_refusal_send(client_fd, NBD_REFUSAL_NOT_STARTED, "imagefs was built without GnuTLS");
	close(server_fd);
	close(client_fd);
}

int nbd_relay_start(int server_fd, const char *text)
{
	(void)text;
	close(server_fd);
	return -EOPNOTSUPP;
}

#endif
