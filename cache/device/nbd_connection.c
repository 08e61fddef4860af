/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_connection.h"

#ifdef HAVE_LIBNBD

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/device.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

/* Requests in flight on a connection. */
#define IN_FLIGHT_MAX 32

static const char silent[] = "its block server does not answer";
static const char ended[] = "its block server ended the connection";
static const char refused[] = "its block server has no such export, or refuses it";
static const char tls_failed[] = "TLS with its block server fails, or the files for it cannot be read, as in a mount (imagefs(8), Block servers)";
static const char large_blocks[] = "its block server reads in blocks of more than 4096 bytes, or less than 128 KiB at a time";

struct pending {
	struct nbd_connection *connection;
	struct nbd_batch *batch;
	struct ring_piece *piece;
	bool over;
};
static int64_t now(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

/* ---- the loop's side of a connection ---------------------------------------------------- */

/* With the last connection goes an export that nobody has any more. Not under the lock. */
static void free_connection(struct nbd_connection *connection)
{
	struct nbd_export *nbd_export = connection->nbd_export;
	struct nbd_connection **at = &nbd_all.first;
	bool last;

	nbd_close(connection->handle); /* ends its reads, by let_go */
	pthread_mutex_lock(&nbd_all.lock);
	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	nbd_all.count--;
	last = --nbd_export->connections == 0 && nbd_export->freed;
	pthread_mutex_unlock(&nbd_all.lock);
	free(connection);
	if (last)
		nbd_export_destroy(nbd_export);
}

/* It is of no use any more: `problem` says why, if that is one. Its reads fail. */
static void lose(struct nbd_connection *connection, const char *problem, const char *details)
{
	struct nbd_export *nbd_export = connection->nbd_export;

	pthread_mutex_lock(&nbd_all.lock);
	if (nbd_export->current == connection || nbd_export->next == connection) {
		nbd_export->current = nbd_export->current == connection ? NULL : nbd_export->current;
		nbd_export->next = nbd_export->next == connection ? NULL : nbd_export->next;
		if (problem)
			nbd_fail_export(nbd_export, problem, details);
		else
			nbd_target_set_state(nbd_export->target, NBD_IDLE, NULL, "");
	}
	pthread_mutex_unlock(&nbd_all.lock);
	free_connection(connection);
}

/*
 * Simple replies: their length is that of the request. In structured ones a server says itself of what it sends data,
 * and libnbd (1.14) takes it for a whole answer when some is missing.
 */
static bool ask_for_simple_replies(struct nbd_handle *handle)
{
#ifdef LIBNBD_HAVE_NBD_SET_REQUEST_EXTENDED_HEADERS
	if (nbd_set_request_extended_headers(handle, false) != 0)
		return false;
#endif
	return nbd_set_request_structured_replies(handle, false) == 0;
}

static bool configure(struct nbd_handle *handle, const struct nbd_uri *uri)
{
	bool done = ask_for_simple_replies(handle) && nbd_set_export_name(handle, uri->export) == 0 &&
		    nbd_set_tls(handle, uri->tls ? LIBNBD_TLS_REQUIRE : LIBNBD_TLS_DISABLE) == 0;

	if (!done || !uri->tls)
		return done;
	return nbd_set_tls_verify_peer(handle, uri->tls_verify_peer) == 0 &&
	       (!uri->user || nbd_set_tls_username(handle, uri->user) == 0) &&
	       (!uri->tls_certificates || nbd_set_tls_certificates(handle, uri->tls_certificates) == 0) &&
	       (!uri->tls_psk_file || nbd_set_tls_psk_file(handle, uri->tls_psk_file) == 0);
}

static const char *library_error(void)
{
	const char *error = nbd_get_error();

	return error ? error : "";
}

/* The handshake failed. */
static const char *refusal(const struct nbd_connection *connection)
{
	return connection->nbd_export->target->uri.tls ? tls_failed : refused;
}

/* Its thread is over. False: it is gone. */
static bool begin_handshake(struct nbd_connection *connection, int64_t now_ns)
{
	const struct nbd_uri *uri = &connection->nbd_export->target->uri;

	if (connection->fd < 0) {
		lose(connection, nbd_target_why(connection->fd), connection->fd == -EPERM ? "" : strerror(-connection->fd));
		return false;
	}
	connection->handle = nbd_create();
	if (!connection->handle || !configure(connection->handle, uri)) {
		close(connection->fd);
		lose(connection, refusal(connection), library_error());
		return false;
	}
	/* Which takes the socket over, and closes it when it fails. */
	if (nbd_aio_connect_socket(connection->handle, connection->fd) != 0) {
		lose(connection, refusal(connection), library_error());
		return false;
	}
	connection->heard_ns = now_ns;
	LOCK_SCOPE(&nbd_all.lock);
	connection->stage = NBD_SHAKING;
	return true;
}

/* Sizes and limits are what a server says: nothing is taken as it is. */
static const char *check_export(struct nbd_handle *handle, uint64_t *size_bytes)
{
	int64_t size = nbd_get_size(handle), least = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM),
		most = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return refused;
	*size_bytes = (uint64_t)size;
	if (least > (int64_t)CACHE_BLOCK_BYTES || (most > 0 && most < (int64_t)NBD_REQUEST_BYTES_MAX))
		return large_blocks;
	return NULL;
}

/* False: it is gone. */
static bool end_handshake(struct nbd_connection *connection)
{
	struct nbd_export *nbd_export = connection->nbd_export;
	uint64_t size_bytes = 0;
	const char *problem = check_export(connection->handle, &size_bytes);

	if (problem) {
		lose(connection, problem, "");
		return false;
	}
	LOCK_SCOPE(&nbd_all.lock);
	if (nbd_export->next != connection) {
		connection->stage = NBD_RETIRED; /* nobody wants it any more */
		return true;
	}
	connection->stage = NBD_READY;
	nbd_export->next = NULL;
	nbd_export->current = connection;
	nbd_export->size_bytes = size_bytes;
	nbd_target_set_state(nbd_export->target, NBD_CONNECTED, NULL, "");
	pthread_cond_broadcast(&nbd_export->changed);
	return true;
}

/* ---- reads ---------------------------------------------------------------------------------- */

static int completed(void *user, int *error)
{
	struct pending *pending = user;
	struct nbd_connection *connection = pending->connection;

	pending->over = true;
	connection->reads--;
	connection->ended_ns = now();
	connection->failed = *error != 0;
	if (*error == 0) {
		pthread_mutex_lock(&nbd_all.lock);
		connection->nbd_export->failures = 0;
		pthread_mutex_unlock(&nbd_all.lock);
	}
	nbd_end_piece(pending->batch, pending->piece, *error == 0 ? (ssize_t)pending->piece->length_bytes : -EIO);
	return 1;
}

/* The last call about a read, however it ended; also when it could not be begun. */
static void let_go(void *user)
{
	struct pending *pending = user;

	if (!pending->over) {
		pending->connection->reads--;
		nbd_end_piece(pending->batch, pending->piece, -EIO);
	}
	free(pending);
}

/* The next of its export. NULL: there is none. */
static struct pending *take_read(struct nbd_connection *connection)
{
	struct nbd_export *nbd_export = connection->nbd_export;
	struct pending *pending;
	struct nbd_batch *batch;

	LOCK_SCOPE(&nbd_all.lock);
	batch = nbd_export->current == connection ? nbd_export->first : NULL;
	pending = batch ? malloc(sizeof(*pending)) : NULL;
	if (!pending)
		return NULL;
	*pending = (struct pending){ .connection = connection, .batch = batch, .piece = &batch->pieces[batch->issued++] };
	if (batch->issued == batch->count) {
		nbd_export->first = batch->next;
		if (!batch->next)
			nbd_export->last = NULL;
	}
	return pending;
}

static void issue_reads(struct nbd_connection *connection, int64_t now_ns)
{
	struct pending *pending;

	while (connection->reads < IN_FLIGHT_MAX && (pending = take_read(connection))) {
		if (connection->reads++ == 0)
			connection->heard_ns = connection->ended_ns = now_ns;
		nbd_aio_pread(connection->handle, pending->piece->buffer, pending->piece->length_bytes,
			      pending->piece->offset_bytes,
			      (nbd_completion_callback){ .callback = completed, .user_data = pending, .free = let_go }, 0);
	}
}

/* ---- steps: they return as nbd_connection_step -------------------------------------------------- */

static int64_t step_making(struct nbd_connection *connection, int64_t now_ns)
{
	struct nbd_export *nbd_export = connection->nbd_export;
	bool made, wanted;

	pthread_mutex_lock(&nbd_all.lock);
	made = connection->made;
	wanted = nbd_export->next == connection;
	if (!made && wanted && now_ns - connection->begun_ns > WAIT_NBD_CONNECT_NS) {
		/* The resolver, most likely: it is left alone, and its export need not wait. */
		nbd_export->next = NULL;
		nbd_fail_export(nbd_export, silent, "its address could not be found out in time");
	}
	pthread_mutex_unlock(&nbd_all.lock);
	if (!made)
		return connection->begun_ns + WAIT_NBD_CONNECT_NS + WAIT_MS > now_ns ?
			       connection->begun_ns + WAIT_NBD_CONNECT_NS + WAIT_MS : NBD_FOREVER_NS;
	if (!wanted) {
		cleanup_close_fd(&connection->fd);
		free_connection(connection);
		return 0;
	}
	return begin_handshake(connection, now_ns) ? now_ns : 0;
}

static int64_t step_shaking(struct nbd_connection *connection, int64_t now_ns)
{
	if (nbd_aio_is_ready(connection->handle))
		return end_handshake(connection) ? now_ns : 0;
	if (nbd_aio_is_dead(connection->handle) || nbd_aio_is_closed(connection->handle)) {
		lose(connection, refusal(connection), library_error());
		return 0;
	}
	if (now_ns - connection->begun_ns <= WAIT_NBD_CONNECT_NS)
		return connection->begun_ns + WAIT_NBD_CONNECT_NS + WAIT_MS;
	lose(connection, silent, "it does not begin to talk NBD");
	return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t begin_to_close(struct nbd_connection *connection, int64_t now_ns)
{
	connection->closing_ns = now_ns;
	nbd_aio_disconnect(connection->handle, 0); /* if that fails it is dead, and found to be */
	LOCK_SCOPE(&nbd_all.lock);
	connection->stage = NBD_CLOSING;
	return now_ns + WAIT_NBD_CLOSE_NS + WAIT_MS;
}

/* When it is to be closed, if nobody uses it until then; 0: now. */
static int64_t idle_until(struct nbd_connection *connection, int64_t now_ns)
{
	int64_t until_ns;

	LOCK_SCOPE(&nbd_all.lock);
	until_ns = connection->nbd_export->used_ns + WAIT_NBD_IDLE_NS;
	if (until_ns > now_ns)
		return until_ns;
	if (!nbd_is_idle(connection))
		return now_ns + WAIT_MS; /* there was no memory to issue a read */
	nbd_retire(connection->nbd_export);
	return 0;
}

static int64_t step_serving(struct nbd_connection *connection, bool ready, int64_t now_ns)
{
	int64_t until_ns;

	if (nbd_aio_is_dead(connection->handle) || nbd_aio_is_closed(connection->handle)) {
		lose(connection, connection->reads > 0 || connection->failed ? ended : NULL, "");
		return 0;
	}
	if (ready)
		issue_reads(connection, now_ns);
	if (connection->reads > 0) {
		until_ns = earlier(connection->heard_ns + WAIT_NBD_SILENT_NS, connection->ended_ns + WAIT_NBD_READ_NS);
		if (until_ns > now_ns)
			return until_ns;
		lose(connection, silent, "");
		return 0;
	}
	until_ns = ready ? idle_until(connection, now_ns) : 0;
	return until_ns > 0 ? until_ns : begin_to_close(connection, now_ns);
}

static int64_t step_closing(struct nbd_connection *connection, int64_t now_ns)
{
	if (!nbd_aio_is_dead(connection->handle) && !nbd_aio_is_closed(connection->handle) &&
	    now_ns - connection->closing_ns <= WAIT_NBD_CLOSE_NS)
		return connection->closing_ns + WAIT_NBD_CLOSE_NS + WAIT_MS;
	free_connection(connection);
	return 0;
}

int64_t nbd_connection_step(struct nbd_connection *connection, int64_t now_ns)
{
	enum nbd_stage stage;

	pthread_mutex_lock(&nbd_all.lock);
	stage = connection->stage;
	pthread_mutex_unlock(&nbd_all.lock);
	switch (stage) {
	case NBD_MAKING:
		return step_making(connection, now_ns);
	case NBD_SHAKING:
		return step_shaking(connection, now_ns);
	case NBD_READY:
	case NBD_RETIRED:
		return step_serving(connection, stage == NBD_READY, now_ns);
	case NBD_CLOSING:
	default:
		return step_closing(connection, now_ns);
	}
}

/* ---- the poll ------------------------------------------------------------------------------------ */

short nbd_connection_events(const struct nbd_connection *connection, int *fd)
{
	struct nbd_handle *handle = connection->handle;
	unsigned direction = handle ? nbd_aio_get_direction(handle) : 0;

	*fd = handle ? nbd_aio_get_fd(handle) : -1;
	return (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
		       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
}

/* As nbd_poll(3) does it: one of both, since the first may change what the other would be about. */
void nbd_connection_notify(struct nbd_connection *connection, short events)
{
	struct nbd_handle *handle = connection->handle;

	if (events & (POLLIN | POLLHUP | POLLERR)) {
		connection->heard_ns = now();
		nbd_aio_notify_read(handle);
	} else if (events & POLLOUT) {
		nbd_aio_notify_write(handle);
	}
}

#endif
