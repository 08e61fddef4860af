/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/separate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/opener.h"
#include "fuse/process/fd_message.h"
#include "fuse/process/log.h"
#include "fuse/process/separate_opener.h"

/*
 * So many requests at a time, those that hang among them: more than the daemon has threads; fewer where
 * descriptors are few, of which each is one here and one there.
 */
#define CONNECTIONS_MAX 2112
#define CONNECTIONS_LEAST 8

/* So many are kept for later ones. */
#define IDLE_MAX 32

struct connection {
	_Atomic pid_t thread; /* behind it, in the other process; 0: none */
	int fd; /* lock, or who has taken it; -1: the place is free */
};

static int first_fd = -1; /* constant after the start */
static pid_t opener_pid;  /* likewise */
static struct connection connections[CONNECTIONS_MAX];
static _Atomic unsigned connection_count; /* written under the lock: places that were ever in use */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *idle[IDLE_MAX]; /* lock */
static size_t idle_count;  /* lock */
/* Constant after the start: descriptors are few, or there is no need for more. */
static size_t idle_max, connections_max;
static unsigned connections_used; /* lock: those that are there, or are being made */

/* For what must not fail at the end: made in time, and held by its own lock. */
static struct connection last = { .fd = -1 };
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * A byte that is sent on the one has the kernel continue the opener, on the other kill it. The daemon
 * may signal nobody by then; this was arranged before (fcntl(2), F_SETSIG).
 */
enum { TO_CONTINUE, TO_KILL, SPURS };
static int spurs[SPURS] = { -1, -1 };

/* ---- connections ---------------------------------------------------------------- */

/*
 * How long an answer is waited for; NULL: as long as it takes. False: it did not come. With patience it is not waited
 * for room in a socket either: what has none is what many wait for in vain.
 */
typedef bool (*patience)(int fd);

/* A pair of sockets, of which the thread behind it says who it is. */
static int connect_to_opener(pid_t *thread, patience wait)
{
	int fds[2], none[OPENER_FDS];
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return -errno;
	got = fd_message_send(first_fd, wait ? MSG_DONTWAIT : 0, "", 1, &fds[1], 1);
	close(fds[1]);
	if (got == 0 && wait && !wait(fds[0]))
		got = -ETIMEDOUT;
	if (got == 0)
		got = fd_message_receive(fds[0], thread, sizeof(*thread), none);
	if (got == sizeof(*thread))
		return fds[0];
	close(fds[0]);
	return got < 0 ? (int)got : -EPIPE;
}

/* Under the lock. */
static struct connection *free_place(void)
{
	unsigned count = atomic_load(&connection_count);

	for (unsigned i = 0; i < count; i++)
		if (connections[i].fd < 0)
			return &connections[i];
	if (count == CONNECTIONS_MAX)
		return NULL;
	atomic_store(&connection_count, count + 1);
	return &connections[count];
}

/* A place for another one, if it may be. The caller makes it, or gives it back. */
static bool count_connection(void)
{
	LOCK_SCOPE(&lock);
	return connections_used < connections_max && ++connections_used > 0;
}

static void uncount_connection(void)
{
	LOCK_SCOPE(&lock);
	connections_used--;
}

/* -EAGAIN: there are so many that one more would take what others need. */
static int make_connection(struct connection **out, patience wait)
{
	pid_t thread;
	int fd;

	if (!count_connection())
		return -EAGAIN;
	fd = connect_to_opener(&thread, wait);
	if (fd < 0) {
		uncount_connection();
		return fd;
	}
	LOCK_SCOPE(&lock);
	*out = free_place(); /* there is one: they are counted */
	(*out)->fd = fd;
	atomic_store(&(*out)->thread, thread);
	return 0;
}

static int take_connection(struct connection **out, patience wait)
{
	pthread_mutex_lock(&lock);
	*out = idle_count > 0 ? idle[--idle_count] : NULL;
	pthread_mutex_unlock(&lock);
	return *out ? 0 : make_connection(out, wait);
}

static void give_connection(struct connection *connection, bool works)
{
	LOCK_SCOPE(&lock);
	if (works && idle_count < idle_max) {
		idle[idle_count++] = connection;
		return;
	}
	atomic_store(&connection->thread, 0);
	close(connection->fd);
	connection->fd = -1;
	connections_used--;
}

/* Does it work? */
static bool ask_on(int fd, const struct opener_request *request, struct opener_answer *answer, patience wait)
{
	int fds[OPENER_FDS] = { -1, -1 };
	ssize_t got = fd_message_send(fd, wait ? MSG_DONTWAIT : 0, request, sizeof(*request), request->fds,
				      fd_message_count(request->fds));
	bool works;

	if (got == 0 && wait && !wait(fd))
		got = -ETIMEDOUT;
	if (got == 0)
		got = fd_message_receive(fd, answer, sizeof(*answer), fds);
	works = got >= (ssize_t)offsetof(struct opener_answer, st);
	memcpy(answer->fds, fds, sizeof(fds));
	if (!works)
		answer->result = got < 0 ? (int)got : -EPIPE;
	return works;
}

static _Atomic int64_t silent_ns; /* when it was found out that the opener answers nobody, by the clock below; 0: never */

/* Stopped, it answers nobody: then what is nice to know is not asked for with each request. */
static bool wait_briefly(int fd)
{
	struct pollfd answer = { .fd = fd, .events = POLLIN };

	if (poll(&answer, 1, WAIT_PROGRAM_NS / WAIT_MS) > 0)
		return true;
	atomic_store(&silent_ns, clock_now_ns(CLOCK_MONOTONIC));
	return false;
}

static bool was_silent(void)
{
	int64_t when_ns = atomic_load(&silent_ns);

	return when_ns != 0 && clock_now_ns(CLOCK_MONOTONIC) - when_ns < WAIT_OPENER_NS;
}

static void ask(const struct opener_request *request, struct opener_answer *answer)
{
	/*
	 * A request that is about to be answered waits for these, on a thread that must not: they only make things nicer,
	 * or faster. All else cannot be answered without.
	 */
	bool can_do_without = request->what == OPENER_ASK_PROCESS || request->what == OPENER_ASK_WATCH_PATH;
	patience wait = can_do_without ? wait_briefly : NULL;
	struct connection *connection;
	int error = wait && was_silent() ? -ETIMEDOUT : take_connection(&connection, wait);

	if (error == 0)
		give_connection(connection, ask_on(connection->fd, request, answer, wait));
	else
		*answer = (struct opener_answer){ .result = error, .fds = { -1, -1 } };
}

bool separate_has_ended(void)
{
	char byte;
	struct iovec iov = { &byte, sizeof(byte) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(first_fd, &message, MSG_PEEK | MSG_DONTWAIT) == 0;
}

pid_t separate_pid(void)
{
	return opener_pid;
}

bool separate_is_thread(pid_t thread)
{
	if (atomic_load(&last.thread) == thread)
		return true;
	for (unsigned i = 0; i < atomic_load(&connection_count); i++)
		if (atomic_load(&connections[i].thread) == thread)
			return true;
	return false;
}

static void tell(const struct separate_told *told)
{
	char byte;

	if (fd_message_send(first_fd, 0, told, sizeof(*told), NULL, 0) == 0)
		while (read(first_fd, &byte, 1) < 0 && errno == EINTR)
			;
}

void separate_tell_mount(enum separate_mount mount, const char *directory, bool remove)
{
	static struct separate_told told;

	told = (struct separate_told){ .mount = mount, .remove = remove };
	snprintf(told.directory, sizeof(told.directory), "%s", directory);
	tell(&told);
}

void separate_mounted(enum separate_mount mount)
{
	static struct separate_told told;

	told = (struct separate_told){ .mount = mount, .mounted = true };
	tell(&told);
}

void separate_seal(void)
{
	static struct separate_told told = { .mount = SEPARATE_MOUNTS };

	tell(&told);
}

/*
 * Stopped, it is continued; if it does not answer then, killed. What was done is said when it is there again, or no
 * more: the log may need it, too.
 */
static bool wait_with_spurs(int fd)
{
	struct pollfd answer = { .fd = fd, .events = POLLIN };
	bool answered = false;
	int spur = 0;

	while (!(answered = poll(&answer, 1, WAIT_OPENER_NS / WAIT_MS) > 0) && spur < SPURS)
		send(spurs[spur++], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (answered && spur > 0)
		log_line(LOG_LEVEL_WARNING, "the process that opens images did not answer, and was %s",
			 spur == SPURS ? "killed: the mount may still be there" : "continued");
	return answered;
}

bool separate_detach(enum separate_mount mount, bool mounted)
{
	struct opener_request request = { .what = OPENER_ASK_OTHER, .flags = { mount, mounted }, .fds = { -1, -1 } };
	struct opener_answer answer;

	LOCK_SCOPE(&last_lock);
	if (last.fd >= 0 && !ask_on(last.fd, &request, &answer, wait_with_spurs)) {
		close(last.fd);
		last.fd = -1;
	}
	return last.fd >= 0;
}

/* Of the socket at the other end, as who may send it now. */
static bool arrange_signal(int fd, pid_t process, int signal)
{
	return fcntl(fd, F_SETOWN, process) == 0 && fcntl(fd, F_SETSIG, signal) == 0 && fcntl(fd, F_SETFL, O_ASYNC) == 0;
}

static int arrange_end(void)
{
	pid_t thread;
	int fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, spurs) != 0 ||
	    !arrange_signal(spurs[TO_KILL], opener_pid, SIGCONT) || !arrange_signal(spurs[TO_CONTINUE], opener_pid, SIGKILL))
		return -errno;
	fd = connect_to_opener(&thread, NULL);
	if (fd < 0)
		return fd;
	last.fd = fd;
	atomic_store(&last.thread, thread);
	return 0;
}

static size_t bounded(size_t value, size_t least, size_t most)
{
	return value < least ? least : value < most ? value : most;
}

int separate_start(const char *directory, const char *file, char *title, size_t title_bytes)
{
	struct separate_opener opener = {
		.daemon = getpid(), .directory = directory, .file = file, .title = title, .title_bytes = title_bytes
	};
	struct rlimit limit = { 0 };
	int fds[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return -errno;
	getrlimit(RLIMIT_NOFILE, &limit);
	idle_max = bounded(limit.rlim_cur / 16, 0, IDLE_MAX);
	connections_max = opener.connections_max = bounded(limit.rlim_cur / 4, CONNECTIONS_LEAST, CONNECTIONS_MAX);
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		separate_opener_run(fds[1], &opener);
	close(fds[1]);
	opener_pid = child;
	first_fd = fds[0];
	opener_ask_with(ask);
	return arrange_end();
}
