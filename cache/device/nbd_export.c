/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_export.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/waits.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

#define CONNECTIONS_DEFAULT 256

/* Of one export, with those that come to an end, and those that the resolver keeps. */
#define EXPORT_CONNECTIONS_MAX 4

/* For libnbd and its TLS; and for the C library's resolver, where there is no opener. */
#define STACK_BYTES ((size_t)256 << 10)

struct nbd_all nbd_all = { .lock = PTHREAD_MUTEX_INITIALIZER, .count_max = CONNECTIONS_DEFAULT, .wake_fd = -1 };

void nbd_set_connections_max(size_t count)
{
	nbd_all.count_max = count > 0 ? count : CONNECTIONS_DEFAULT;
}

static int64_t now(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

void nbd_wake(void)
{
	const uint64_t one = 1;

	if (!nbd_all.woken)
		nbd_all.woken = write(nbd_all.wake_fd, &one, sizeof(one)) == sizeof(one);
}

/* ---- reads come to their end ------------------------------------------------------- */

void nbd_end_piece(struct nbd_batch *batch, struct ring_piece *piece, ssize_t result)
{
	LOCK_SCOPE(&nbd_all.lock);
	piece->result = result;
	/* Who waits may leave with the batch as soon as the lock is free. */
	if (--batch->left == 0)
		pthread_cond_signal(&batch->over);
}

/* Under the lock: what was not issued never will be. */
static void fail_queue(struct nbd_export *nbd_export)
{
	for (struct nbd_batch *batch = nbd_export->first, *next; batch; batch = next) {
		next = batch->next;
		for (size_t i = batch->issued; i < batch->count; i++)
			batch->pieces[i].result = -EIO;
		batch->left -= batch->count - batch->issued;
		if (batch->left == 0)
			pthread_cond_signal(&batch->over);
	}
	nbd_export->first = nbd_export->last = NULL;
}

void nbd_fail_export(struct nbd_export *nbd_export, const char *problem, const char *details)
{
	int64_t pause_ns = WAIT_NBD_AGAIN_NS << (nbd_export->failures < 8 ? nbd_export->failures : 8);

	nbd_export->failures++;
	nbd_export->again_ns = now() + (pause_ns < WAIT_NBD_AGAIN_MAX_NS ? pause_ns : WAIT_NBD_AGAIN_MAX_NS);
	nbd_target_set_state(nbd_export->target, NBD_FAILED, problem, details);
	fail_queue(nbd_export);
	pthread_cond_broadcast(&nbd_export->changed);
}

void nbd_fail_next(struct nbd_export *nbd_export, const char *problem, const char *details)
{
	nbd_export->next = NULL;
	if (nbd_export->current)
		nbd_export->renew_ns = now() + WAIT_NBD_AGE_NS;
	else
		nbd_fail_export(nbd_export, problem, details);
}

/* ---- connections; under the lock ------------------------------------------------------ */

void nbd_retire(struct nbd_export *nbd_export)
{
	nbd_export->current->stage = NBD_RETIRED;
	nbd_export->current = NULL;
	nbd_target_set_state(nbd_export->target, nbd_export->next ? NBD_CONNECTING : NBD_IDLE, NULL, "");
	nbd_wake();
}

bool nbd_is_idle(const struct nbd_connection *connection)
{
	return connection->stage == NBD_READY && connection->reads == 0 && !connection->nbd_export->first;
}

/* One more than there may be: that which was not used for the longest time makes room. False: all are in use. */
static bool make_room(void)
{
	struct nbd_connection *oldest = NULL;

	if (nbd_all.count < nbd_all.count_max)
		return true;
	for (struct nbd_connection *at = nbd_all.first; at; at = at->next)
		if (nbd_is_idle(at) && (!oldest || at->nbd_export->used_ns < oldest->nbd_export->used_ns))
			oldest = at;
	/* Its end takes a moment, in which there is one more. */
	if (!oldest || nbd_all.count >= 2 * nbd_all.count_max)
		return false;
	nbd_retire(oldest->nbd_export);
	return true;
}

static bool same_server(const struct nbd_uri *a, const struct nbd_uri *b)
{
	if (a->socket || b->socket)
		return a->socket && b->socket && strcmp(a->socket, b->socket) == 0;
	return strcasecmp(a->host, b->host) == 0;
}

/* A server that does not answer has no more than a quarter of all that there may be: the others are for others. */
static bool is_crowded(const struct nbd_export *nbd_export)
{
	size_t making = 0;

	for (const struct nbd_connection *at = nbd_all.first; at; at = at->next)
		making += !at->made && same_server(&at->nbd_export->target->uri, &nbd_export->target->uri);
	return making >= (nbd_all.count_max + 3) / 4;
}

/* ---- the thread that makes one ---------------------------------------------------------- */

/*
 * A socket that comes too late for those who waited is better than one that may come too late as well, or none. From now
 * on the server may open the export. False: nobody wants it.
 */
static bool begin_to_talk(struct nbd_connection *connection, int fd)
{
	struct nbd_export *nbd_export = connection->nbd_export;

	LOCK_SCOPE(&nbd_all.lock);
	if (!nbd_export->current && !nbd_export->freed && (!nbd_export->next || nbd_export->next->stage == NBD_MAKING)) {
		nbd_export->next = connection;
		nbd_target_set_state(nbd_export->target, NBD_CONNECTING, NULL, "");
	}
	connection->fd = nbd_export->next == connection ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (connection->fd < 0)
		return false;
	connection->talks_ns = now();
	connection->stage = NBD_SHAKING;
	nbd_wake(); /* it has a limit */
	return true;
}

static void *make(void *argument)
{
	struct nbd_connection *connection = argument;
	struct nbd_export *nbd_export = connection->nbd_export;
	char details[NBD_DETAILS_BYTES] = "";
	struct nbd_handle *shaken = NULL;
	uint64_t size_bytes = 0;
	const char *problem;
	sigset_t signals;
	int fd;

	/* As in the loop: a server that goes is no reason to end. */
	sigfillset(&signals);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	fd = nbd_target_connect(nbd_export->target);
	problem = nbd_target_why(fd);
	if (fd >= 0 && begin_to_talk(connection, fd))
		shaken = nbd_handshake(fd, &nbd_export->target->uri, &size_bytes, &problem, details);
	else if (fd >= 0)
		close(fd);
	else if (fd != -EPERM)
		snprintf(details, sizeof(details), "%s", strerror(-fd));
	LOCK_SCOPE(&nbd_all.lock);
	cleanup_close_fd(&connection->fd);
	connection->fd = -1;
	connection->shaken = shaken;
	connection->size_bytes = size_bytes;
	connection->made = true; /* it is the loop's now */
	if (!shaken && nbd_export->next == connection)
		nbd_fail_next(nbd_export, problem, details);
	pthread_cond_broadcast(&nbd_all.made);
	nbd_wake();
	return NULL;
}

static bool begin_connection(struct nbd_export *nbd_export)
{
	struct nbd_connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return false;
	*connection = (struct nbd_connection){ .nbd_export = nbd_export, .begun_ns = now(), .stage = NBD_MAKING, .fd = -1 };
	if (thread_start(make, connection, STACK_BYTES) != 0) {
		free(connection);
		return false;
	}
	connection->next = nbd_all.first;
	nbd_all.first = connection;
	nbd_all.count++;
	nbd_export->connections++;
	nbd_export->next = connection;
	if (!nbd_export->current)
		nbd_target_set_state(nbd_export->target, NBD_CONNECTING, NULL, "");
	nbd_wake();
	return true;
}

/* There is none. Is there one to wait for (`next`), or room for one (nbd_all.made)? */
static bool want_connection(struct nbd_export *nbd_export)
{
	int64_t now_ns = now();
	bool crowded;

	if (nbd_export->target->malformed)
		return false;
	/* One that failed before, and is slow again, is not waited for by everybody who comes. */
	if (nbd_export->next)
		return nbd_export->failures == 0 || now_ns - nbd_export->next->begun_ns < WAIT_NBD_LOOK_NS;
	if (now_ns < nbd_export->again_ns || nbd_export->connections >= EXPORT_CONNECTIONS_MAX)
		return false;
	crowded = is_crowded(nbd_export);
	if (!crowded && make_room() && begin_connection(nbd_export))
		return true;
	/* Not its fault: it may be asked again at once. If it has one, that is what there is to say. */
	if (nbd_export->failures == 0)
		nbd_target_set_state(nbd_export->target, NBD_FAILED, "there are too many connections to block servers", "");
	return crowded && nbd_export->failures == 0;
}

/* ---- interface ------------------------------------------------------------------------------- */

int nbd_export_new(struct nbd_target *target, struct nbd_export **out)
{
	struct nbd_export *nbd_export = calloc(1, sizeof(*nbd_export));

	if (!nbd_export)
		return -ENOMEM;
	nbd_export->target = nbd_target_ref(target);
	clock_condition_init(&nbd_export->changed);
	*out = nbd_export;
	return 0;
}

void nbd_export_destroy(struct nbd_export *nbd_export)
{
	nbd_target_unref(nbd_export->target);
	pthread_cond_destroy(&nbd_export->changed);
	free(nbd_export);
}

void nbd_export_free(struct nbd_export *nbd_export)
{
	bool last;

	if (!nbd_export)
		return;
	pthread_mutex_lock(&nbd_all.lock);
	nbd_export->freed = true;
	nbd_export->next = NULL; /* what is being made ends by itself */
	if (nbd_export->current)
		nbd_retire(nbd_export);
	last = nbd_export->connections == 0;
	nbd_wake();
	pthread_mutex_unlock(&nbd_all.lock);
	if (last)
		nbd_export_destroy(nbd_export);
}

static bool is_good_for_look(const struct nbd_connection *connection, int64_t since_ns, int64_t now_ns)
{
	return connection->begun_ns >= since_ns && now_ns - connection->talks_ns <= WAIT_NBD_AGE_NS;
}

int nbd_export_look(struct nbd_export *nbd_export, int64_t since_ns, int64_t within_ns, struct nbd_look *look)
{
	int64_t now_ns = now();
	struct timespec until = clock_timespec(now_ns + within_ns);
	int error = 0;

	*look = (struct nbd_look){ 0 };
	LOCK_SCOPE(&nbd_all.lock);
	nbd_export->used_ns = now_ns;
	if (nbd_export->current && !is_good_for_look(nbd_export->current, since_ns, now_ns))
		nbd_retire(nbd_export);
	/* What is being made ends by itself. */
	if (nbd_export->next && nbd_export->next->begun_ns < since_ns)
		nbd_export->next = NULL;
	/* Ends with the connection, in success or failure, or with the time. */
	while (!nbd_export->current && error == 0 && want_connection(nbd_export)) {
		error = pthread_cond_timedwait(nbd_export->next ? &nbd_export->changed : &nbd_all.made, &nbd_all.lock, &until);
		/* One that came late took the place of the one that was begun. */
		if (nbd_export->current && nbd_export->current->begun_ns < since_ns)
			nbd_retire(nbd_export);
	}
	/* What the one that was too old had still to issue. */
	if (!nbd_export->current && !nbd_export->next)
		fail_queue(nbd_export);
	if (!nbd_export->current)
		return -EIO;
	*look = (struct nbd_look){ nbd_export->size_bytes, nbd_export->served, nbd_export->current->begun_ns,
				   nbd_export->current->talks_ns };
	return 0;
}

void nbd_export_renew(struct nbd_export *nbd_export)
{
	int64_t now_ns = now(), before_ns;

	LOCK_SCOPE(&nbd_all.lock);
	before_ns = WAIT_NBD_RENEW_NS + 2 * nbd_export->took_ns;
	if (before_ns > WAIT_NBD_RENEW_MAX_NS)
		before_ns = WAIT_NBD_RENEW_MAX_NS;
	if (!nbd_export->current || nbd_export->next || now_ns < nbd_export->renew_ns ||
	    now_ns - nbd_export->current->talks_ns < WAIT_NBD_AGE_NS - before_ns ||
	    /* One place is left for who may not go on with the old one. */
	    nbd_export->connections >= EXPORT_CONNECTIONS_MAX - 1 || nbd_all.count >= nbd_all.count_max ||
	    is_crowded(nbd_export))
		return;
	begin_connection(nbd_export);
}

bool nbd_export_is_connected(struct nbd_export *nbd_export)
{
	LOCK_SCOPE(&nbd_all.lock);
	return nbd_export->current != NULL;
}

void nbd_export_read(struct nbd_export *nbd_export, struct ring_piece *pieces, size_t count)
{
	struct nbd_batch batch = { .pieces = pieces, .count = count, .left = count };

	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		pieces[i].result = -EIO;
	pthread_cond_init(&batch.over, NULL);
	pthread_mutex_lock(&nbd_all.lock);
	nbd_export->used_ns = now();
	if (nbd_export->current || (want_connection(nbd_export) && nbd_export->next)) {
		if (nbd_export->last)
			nbd_export->last->next = &batch;
		else
			nbd_export->first = &batch;
		nbd_export->last = &batch;
		nbd_wake();
		while (batch.left > 0)
			pthread_cond_wait(&batch.over, &nbd_all.lock);
	}
	pthread_mutex_unlock(&nbd_all.lock);
	pthread_cond_destroy(&batch.over);
}
