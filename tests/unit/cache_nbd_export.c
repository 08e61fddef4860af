/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/nbd_export.c, nbd_connection.c: reads and connections that come to no good end. */
#include <criterion/criterion.h>
#include <endian.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_loop.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

#define SERVED_MAX 16
#define PIECES 40 /* more than are in flight on a connection */

struct server {
	char path[64];
	int listener;
	_Atomic unsigned count;
	int served[SERVED_MAX];
};

/* One connection waits to be accepted, the next is EAGAIN. */
static void listen_at(struct server *server, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(server->path, sizeof(server->path), "/tmp/cache_nbd_export.%d.%s", (int)getpid(), name);
	strcpy(address.sun_path, server->path);
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(server->listener, 0), 0);
}

static void fill(const struct server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, server->path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* By the old handshake, of which a server says all, and the client nothing. What it is asked then it does not answer. */
static void *accept_all(void *argument)
{
	struct server *server = argument;
	unsigned char hello[152] = "NBDMAGIC";
	const uint64_t version = htobe64(0x00420281861253), size = htobe64(1 << 20);
	int fd;

	memcpy(hello + 8, &version, 8);
	memcpy(hello + 16, &size, 8);
	hello[27] = 1; /* NBD_FLAG_HAS_FLAGS */
	while (server->count < SERVED_MAX && (fd = accept(server->listener, NULL, NULL)) >= 0) {
		server->served[server->count] = fd;
		server->count++;
		if (write(fd, hello, sizeof(hello)) != sizeof(hello))
			abort();
	}
	return NULL;
}

static void serve(struct server *server)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, accept_all, server), 0);
	pthread_detach(thread);
}

static struct nbd_export *export_of(const struct server *server, const char *name)
{
	char text[128];
	struct nbd_target *target;
	struct nbd_export *nbd_export;

	snprintf(text, sizeof(text), "nbd+unix:///%s?socket=%s", name, server->path);
	target = nbd_target_new(text, NULL);
	cr_assert_null(target->malformed);
	cr_assert_eq(nbd_loop_start(), 0);
	cr_assert_eq(nbd_export_new(target, &nbd_export), 0);
	return nbd_export;
}

static int look(struct nbd_export *nbd_export)
{
	struct nbd_look look;

	return nbd_export_look(nbd_export, 0, WAIT_NBD_LOOK_NS, &look);
}

static void pause_ms(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = WAIT_MS }, NULL);
}

/* Until the condition, which is read under the lock, is true, or ten seconds have passed. */
#define WAIT_UNTIL(condition)                                                          \
	do {                                                                           \
		bool is_so = false;                                                    \
		for (int left = 10000; !is_so && left > 0; left--, pause_ms()) {       \
			LOCK_SCOPE(&nbd_all.lock);                                     \
			is_so = (condition);                                           \
		}                                                                      \
		cr_assert(is_so, #condition);                                          \
	} while (0)

static void look_until_there(struct nbd_export *nbd_export)
{
	int left = 100;

	while (left-- > 0 && look(nbd_export) != 0)
		pause_ms();
	cr_assert_geq(left, 0);
}

static bool is_over(struct nbd_handle *handle)
{
	return nbd_aio_is_closed(handle) == 1 || nbd_aio_is_dead(handle) == 1;
}

/* The server ends a connection at rest; before the loop has done anything about it there is a read. */
Test(cache_nbd_export, r_a_read_behind_the_end_of_its_connection_fails)
{
	struct server server = { .count = 0 };
	char buffer[512];
	struct ring_piece piece = { .buffer = buffer, .length_bytes = sizeof(buffer) };
	struct nbd_batch batch = { .pieces = &piece, .count = 1, .left = 1 };
	struct nbd_export *nbd_export;
	struct timespec until;
	int error = 0;

	listen_at(&server, "end");
	serve(&server);
	nbd_export = export_of(&server, "x");
	look_until_there(nbd_export);
	clock_condition_init(&batch.over);

	pthread_mutex_lock(&nbd_all.lock);
	cr_assert_not_null(nbd_export->current);
	close(server.served[server.count - 1]);
	/* The loop may be anywhere, and at the lock, too: what it would find is found for it. */
	for (int left = 10000; !is_over(nbd_export->current->handle) && left > 0; left--) {
		nbd_aio_notify_read(nbd_export->current->handle);
		pause_ms();
	}
	cr_assert(is_over(nbd_export->current->handle));
	nbd_export->first = nbd_export->last = &batch; /* as nbd_export_read */
	nbd_wake();
	until = clock_timespec(clock_now_ns(CLOCK_MONOTONIC) + 10 * WAIT_S);
	while (batch.left > 0 && error == 0)
		error = pthread_cond_timedwait(&batch.over, &nbd_all.lock, &until);
	cr_assert_eq(batch.left, 0, "nobody ends it");
	cr_assert_null(nbd_export->first);
	pthread_mutex_unlock(&nbd_all.lock);
	unlink(server.path);
}

static void *read_pieces(void *argument)
{
	static char buffers[PIECES][512];
	static struct ring_piece pieces[PIECES];

	for (size_t i = 0; i < PIECES; i++)
		pieces[i] = (struct ring_piece){ .buffer = buffers[i], .offset_bytes = 512 * i, .length_bytes = 512 };
	nbd_export_read(argument, pieces, PIECES);
	return NULL;
}

/* A look finds a connection too old that has reads to issue yet, and cannot have another. */
Test(cache_nbd_export, r_what_an_old_connection_had_to_issue_fails_without_a_new_one)
{
	struct server server = { .count = 0 };
	struct nbd_export *nbd_export;
	pthread_t reader;
	struct timespec until;

	listen_at(&server, "old");
	serve(&server);
	nbd_export = export_of(&server, "x");
	look_until_there(nbd_export);
	cr_assert_eq(pthread_create(&reader, NULL, read_pieces, nbd_export), 0);
	WAIT_UNTIL(nbd_export->first && nbd_export->first->issued > 0 && nbd_export->current && nbd_export->current->reads == 32);

	pthread_mutex_lock(&nbd_all.lock);
	nbd_export->connections += 4; /* as if so many were on their way */
	nbd_export->current->talks_ns -= 2 * WAIT_NBD_AGE_NS;
	pthread_mutex_unlock(&nbd_all.lock);
	cr_expect_neq(look(nbd_export), 0);
	cr_expect_null(nbd_export->first);
	/* The others end with the server's silence. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	cr_assert_eq(pthread_timedjoin_np(reader, NULL, &until), 0, "a read that nobody ends");
	unlink(server.path);
}

/* As behind a nameserver that does not answer: it takes longer than an export waits, each time. */
Test(cache_nbd_export, r_a_socket_that_comes_late_is_taken)
{
	struct server server = { .count = 0 };
	struct nbd_export *nbd_export;
	struct nbd_connection *late;

	listen_at(&server, "late");
	fill(&server);
	nbd_export = export_of(&server, "x");
	cr_expect_neq(look(nbd_export), 0);
	pthread_mutex_lock(&nbd_all.lock);
	late = nbd_export->next;
	cr_assert_not_null(late);
	late->begun_ns -= 2 * WAIT_NBD_CONNECT_NS;
	nbd_wake();
	pthread_mutex_unlock(&nbd_all.lock);
	WAIT_UNTIL(!nbd_export->next && nbd_export->failures == 1);

	serve(&server);
	WAIT_UNTIL(nbd_export->current);
	/* It is as old as what the server may have opened for it, and not as the wish for it. */
	pthread_mutex_lock(&nbd_all.lock);
	cr_assert_eq(nbd_export->current, late);
	nbd_export->used_ns = late->talks_ns = clock_now_ns(CLOCK_MONOTONIC);
	pthread_mutex_unlock(&nbd_all.lock);
	cr_expect_eq(look(nbd_export), 0);
	cr_expect_eq(nbd_export->current, late);
	unlink(server.path);
}

Test(cache_nbd_export, s5_a_server_that_does_not_answer_leaves_room_for_others)
{
	struct server silent = { .count = 0 }, well = { .count = 0 };
	struct nbd_export *first, *second, *third, *other;

	nbd_set_connections_max(8);
	listen_at(&silent, "silent");
	listen_at(&well, "well");
	fill(&silent);
	serve(&well);
	first = export_of(&silent, "1");
	second = export_of(&silent, "2");
	third = export_of(&silent, "3");
	other = export_of(&well, "x");
	cr_expect_neq(look(first), 0);
	cr_expect_neq(look(second), 0);
	cr_expect_neq(look(third), 0);
	cr_expect_eq(third->connections, 0);
	cr_expect_eq(third->failures, 0, "that is not its fault");
	cr_expect_str_eq(nbd_target_problem(third->target), "there are too many connections to block servers");
	look_until_there(other);
	/* And it has its own as soon as there is room. */
	serve(&silent);
	look_until_there(third);
	unlink(silent.path);
	unlink(well.path);
}
