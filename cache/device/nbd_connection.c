/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_connection.h"

#ifdef HAVE_LIBNBD

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

/* Requests in flight on a connection. */
#define IN_FLIGHT_MAX 32

static const char silent[] = "its block server does not answer";
static const char ended[] = "its block server ended the connection";

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
static void lose(struct nbd_connection *connection, const char *problem)
{
	struct nbd_export *nbd_export = connection->nbd_export;

	pthread_mutex_lock(&nbd_all.lock);
	if (nbd_export->current == connection) {
		nbd_export->current = NULL;
		/* A read that came since its end was found would wait for ever: nobody is left to issue it. */
		if (problem || nbd_export->first)
			nbd_fail_export(nbd_export, problem ? problem : ended, "");
		else
			nbd_target_set_state(nbd_export->target, NBD_IDLE, NULL, "");
	}
	pthread_mutex_unlock(&nbd_all.lock);
	free_connection(connection);
}

/* Its thread has made it. Under the lock. */
static void begin_to_serve(struct nbd_connection *connection, int64_t now_ns)
{
	struct nbd_export *nbd_export = connection->nbd_export;

	connection->handle = connection->shaken;
	connection->heard_ns = now_ns;
	connection->stage = NBD_RETIRED; /* nobody wants it any more */
	if (nbd_export->next != connection)
		return;
	nbd_export->next = NULL;
	/* It was begun ahead of the other one's time. */
	if (nbd_export->current)
		nbd_retire(nbd_export);
	connection->stage = NBD_READY;
	nbd_export->took_ns = now_ns - connection->begun_ns;
	nbd_export->current = connection;
	nbd_export->size_bytes = connection->size_bytes;
	nbd_export->served++;
	nbd_target_set_state(nbd_export->target, NBD_CONNECTED, NULL, "");
	pthread_cond_broadcast(&nbd_export->changed);
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

/*
 * When its thread has had long enough. Then the export does without it: the resolver is left alone, and a handshake ends with its
 * socket, whatever the server goes on to say. Under the lock.
 */
static int64_t limit_making(struct nbd_connection *connection, int64_t now_ns)
{
	struct nbd_export *nbd_export = connection->nbd_export;
	bool talks = connection->stage == NBD_SHAKING;
	int64_t until_ns = (talks ? connection->talks_ns : connection->begun_ns) + WAIT_NBD_CONNECT_NS;

	if (now_ns <= until_ns)
		return until_ns + WAIT_MS;
	if (nbd_export->next == connection)
		nbd_fail_next(nbd_export, silent,
			      talks ? "it does not begin to talk NBD"
				    : "its address could not be found out in time");
	if (talks)
		shutdown(connection->fd, SHUT_RDWR);
	return NBD_FOREVER_NS;
}

static int64_t step_making(struct nbd_connection *connection, int64_t now_ns)
{
	int64_t until_ns = now_ns;

	pthread_mutex_lock(&nbd_all.lock);
	if (!connection->made)
		until_ns = limit_making(connection, now_ns);
	else if (connection->shaken)
		begin_to_serve(connection, now_ns);
	else
		until_ns = 0;
	pthread_mutex_unlock(&nbd_all.lock);
	if (until_ns == 0)
		free_connection(connection);
	return until_ns;
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
		lose(connection, connection->reads > 0 || connection->failed ? ended : NULL);
		return 0;
	}
	if (ready)
		issue_reads(connection, now_ns);
	if (connection->reads > 0) {
		until_ns = earlier(connection->heard_ns + WAIT_NBD_SILENT_NS, connection->ended_ns + WAIT_NBD_READ_NS);
		if (until_ns > now_ns)
			return until_ns;
		lose(connection, silent);
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
	case NBD_SHAKING:
		return step_making(connection, now_ns);
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
