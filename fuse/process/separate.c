/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/separate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/waits.h"
#include "cache/device/opener.h"
#include "fuse/process/log.h"
#include "fuse/process/mount.h"
#include "fuse/process/privileges.h"

/*
 * So many requests at a time, those that hang among them: more than the daemon has threads; fewer where
 * descriptors are few, of which each is one here and one there.
 */
#define CONNECTIONS_MAX 2112
#define CONNECTIONS_LEAST 8
/* linux/stat.h, since 6.8: STATX_MNT_ID_UNIQUE. */
#define UNIQUE_ID 0x4000U

/* So many are kept for later ones. */
#define IDLE_MAX 32

#define TITLE "imagefs-opener"

/* A thread of the other process: paths, and what the C library wants. */
#define STACK_BYTES ((size_t)256 << 10)

/* To it on the first socket: a connection (a descriptor, and a byte), or where a mount is. */
struct told {
	enum separate_mount mount;
	bool remove;
	bool mounted; /* nothing but that */
	char directory[PATH_MAX];
};

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

/* ---- messages with descriptors ------------------------------------------------- */

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(OPENER_FDS * sizeof(int))];
};

static int send_with(int flags, int fd, const void *data, size_t bytes, const int *fds, size_t fd_count)
{
	union control control = { 0 };
	struct iovec iov = { (void *)data, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static int send_message(int fd, const void *data, size_t bytes, const int *fds, size_t fd_count)
{
	return send_with(0, fd, data, bytes, fds, fd_count);
}

/* The bytes, or 0 at the end, or -errno. What there is no descriptor for is -1 (-EMFILE: they did not fit). */
static ssize_t receive_message(int fd, void *data, size_t bytes, int fds[OPENER_FDS])
{
	union control control;
	struct iovec iov = { data, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	ssize_t got;

	fds[0] = fds[1] = -1;
	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
		for (size_t i = 0; i < OPENER_FDS; i++)
			cleanup_close_fd(&fds[i]);
		fds[0] = fds[1] = -1;
		return -EMFILE;
	}
	return got;
}

/* The descriptors that there are come first. */
static size_t count_fds(const int fds[OPENER_FDS])
{
	return (size_t)((fds[0] >= 0) + (fds[0] >= 0 && fds[1] >= 0));
}

/* ---- the process that keeps the privileges ---------------------------------------- */

static struct told mounts[SEPARATE_MOUNTS]; /* written before any thread reads it: whoever tells waits for the answer */

static _Atomic uint64_t mount_ids[SEPARATE_MOUNTS]; /* of those that are to be broken when the daemon is killed; 0: not */

static _Atomic uint64_t mount_devices[SEPARATE_MOUNTS]; /* of what is mounted there: st_dev; 0: not known */

static atomic_bool detached[SEPARATE_MOUNTS]; /* once and for all */
static bool sealed; /* of the first thread */
static _Atomic size_t served; /* connections */
static pid_t daemon_pid; /* constant */

/* Of the mount that is seen there; never that of another one, before or since. 0: before Linux 6.8. */
static uint64_t unique_id_at(const char *directory)
{
	CLEANUP_FD int fd = open(directory, O_PATH | O_CLOEXEC);
	struct statx st;

	/* The daemon is not asked: it may be no more. */
	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, UNIQUE_ID, &st) == 0 && st.stx_mask & UNIQUE_ID ?
		       st.stx_mnt_id : 0;
}

/* Of the filesystem that is seen there: while it lives, no other one has that. 0: not known. */
static uint64_t device_at(const char *directory)
{
	CLEANUP_FD int fd = open(directory, O_PATH | O_CLOEXEC);
	struct statx st;

	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 ?
		       makedev(st.stx_dev_major, st.stx_dev_minor) : 0;
}

static int detach(unsigned which, bool mounted)
{
	const struct told *mount = which < SEPARATE_MOUNTS ? &mounts[which] : NULL;
	uint64_t id, device;

	if (!mount || mount->directory[0] == '\0' || atomic_exchange(&detached[which], true))
		return -ENOENT;
	id = atomic_exchange(&mount_ids[which], 0);
	/* What is mounted there now may be another daemon's. */
	device = atomic_load(&mount_devices[which]);
	if (mounted && (id == 0 || unique_id_at(mount->directory) == id) && (device == 0 || device_at(mount->directory) == device))
		mount_detach(mount->directory);
	if (mount->remove)
		rmdir(mount->directory);
	return 0;
}

static void *serve_connection(void *argument)
{
	int fd = (int)(intptr_t)argument;
	pid_t thread = (pid_t)syscall(SYS_gettid);
	struct opener_request request;
	struct opener_answer answer;

	for (bool goes_on = send_message(fd, &thread, sizeof(thread), NULL, 0) == 0; goes_on;) {
		int fds[OPENER_FDS];
		ssize_t got = receive_message(fd, &request, sizeof(request), fds);

		if (got != sizeof(request))
			break;
		memcpy(request.fds, fds, sizeof(fds));
		if (request.what == OPENER_ASK_OTHER)
			answer = (struct opener_answer){ .result = detach(request.flags[0], request.flags[1]), .fds = { -1, -1 } };
		else
			opener_perform(&request, &answer);
		goes_on = send_message(fd, &answer, offsetof(struct opener_answer, st) + answer.text_bytes, answer.fds,
				       count_fds(answer.fds)) == 0;
		for (size_t i = 0; i < OPENER_FDS; i++) {
			cleanup_close_fd(&fds[i]);
			cleanup_close_fd(&answer.fds[i]);
		}
	}
	close(fd);
	atomic_fetch_sub(&served, 1);
	return NULL;
}

/*
 * Who took over the daemon may ask for more of them than it ever does; those that end are counted a moment
 * longer than there. Without a thread: who asked sees the end of it.
 */
static void start_connection(int fd)
{
	if (atomic_fetch_add(&served, 1) < 2 * connections_max &&
	    thread_start(serve_connection, (void *)(intptr_t)fd, STACK_BYTES) == 0)
		return;
	close(fd);
	atomic_fetch_sub(&served, 1);
}

static void take_mount(const struct told *told)
{
	sealed = sealed || told->mount >= SEPARATE_MOUNTS;
	if (sealed)
		return;
	if (told->mounted) {
		atomic_store(&mount_ids[told->mount], unique_id_at(mounts[told->mount].directory));
		atomic_store(&mount_devices[told->mount], device_at(mounts[told->mount].directory));
		return;
	}
	if (mounts[told->mount].directory[0] == '\0' &&
	    memchr(told->directory, '\0', sizeof(told->directory)))
		mounts[told->mount] = *told;
}

/* What is mounted there now may be another daemon's. */
static void break_mount(unsigned which)
{
	CLEANUP_FD int held = open(mounts[which].directory, O_PATH | O_CLOEXEC); /* busy: broken, not taken away */
	uint64_t id = atomic_load(&mount_ids[which]);

	if (held >= 0 && id != 0 && unique_id_at(mounts[which].directory) == id)
		umount2(mounts[which].directory, MNT_FORCE | UMOUNT_NOFOLLOW);
}

/* The signal comes when the daemon's first thread ends, which a kill does at once (PR_SET_PDEATHSIG, prctl(2)). */
static void *wait_for_death(void *unused)
{
	siginfo_t info;
	sigset_t death;

	sigemptyset(&death);
	sigaddset(&death, SIGUSR1);
	for (;;)
		if (sigwaitinfo(&death, &info) == SIGUSR1 && info.si_pid == daemon_pid)
			for (unsigned which = 0; which < SEPARATE_MOUNTS; which++)
				break_mount(which);
	return unused;
}

static _Noreturn void serve(int fd)
{
	static struct told told;
	int fds[OPENER_FDS];
	ssize_t got;

	while ((got = receive_message(fd, &told, sizeof(told), fds)) != 0) {
		if (fds[0] >= 0)
			start_connection(fds[0]);
		else if (got == sizeof(told)) {
			take_mount(&told);
			send_message(fd, "", 1, NULL, 0);
		}
	}
	_exit(0);
}

/* Nothing of the daemon's may be kept: its terminal, its caller's pipe, above all its connection to the kernel. */
static void let_go_of_all(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t signals;

	for (int standard = 0; null >= 0 && standard <= 2; standard++)
		dup2(null, standard);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	/* It ends when the daemon does, who unmounts first. */
	sigfillset(&signals);
	sigdelset(&signals, SIGCHLD);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	if (chdir("/") != 0)
		_exit(1);
}

/* ---- the daemon's side --------------------------------------------------------------- */

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
	if (opener_keeps_back(fds[0])) {
		close(fds[0]);
		close(fds[1]);
		return -EMFILE;
	}
	got = send_with(wait ? MSG_DONTWAIT : 0, first_fd, "", 1, &fds[1], 1);
	close(fds[1]);
	if (got == 0 && wait && !wait(fds[0]))
		got = -ETIMEDOUT;
	if (got == 0)
		got = receive_message(fds[0], thread, sizeof(*thread), none);
	if (got == sizeof(*thread))
		return fds[0];
	close(fds[0]);
	return got < 0 ? (int)got : -EPIPE;
}

/* Under the lock. */
static struct connection *free_place(void)
{
	struct connection *connection = atomic_load(&connection_count) < CONNECTIONS_MAX ? &connections[connection_count] : NULL;

	for (unsigned i = 0; i < atomic_load(&connection_count); i++)
		if (connections[i].fd < 0)
			return &connections[i];
	if (connection)
		atomic_fetch_add(&connection_count, 1);
	return connection;
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
	ssize_t got = send_with(wait ? MSG_DONTWAIT : 0, fd, request, sizeof(*request), request->fds, count_fds(request->fds));
	bool works;

	if (got == 0 && wait && !wait(fd))
		got = -ETIMEDOUT;
	if (got == 0)
		got = receive_message(fd, answer, sizeof(*answer), fds);
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

static void tell(const struct told *told)
{
	char byte;

	if (send_message(first_fd, told, sizeof(*told), NULL, 0) == 0)
		while (read(first_fd, &byte, 1) < 0 && errno == EINTR)
			;
}

void separate_tell_mount(enum separate_mount mount, const char *directory, bool remove)
{
	static struct told told;

	told = (struct told){ .mount = mount, .remove = remove };
	snprintf(told.directory, sizeof(told.directory), "%s", directory);
	tell(&told);
}

void separate_mounted(enum separate_mount mount)
{
	static struct told told;

	told = (struct told){ .mount = mount, .mounted = true };
	tell(&told);
}

void separate_seal(void)
{
	static struct told told = { .mount = SEPARATE_MOUNTS };

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
	struct rlimit limit = { 0 };
	int fds[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return -errno;
	getrlimit(RLIMIT_NOFILE, &limit);
	idle_max = bounded(limit.rlim_cur / 16, 0, IDLE_MAX);
	connections_max = bounded(limit.rlim_cur / 4, CONNECTIONS_LEAST, CONNECTIONS_MAX);
	daemon_pid = getpid();
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		let_go_of_all(fds[1]);
		snprintf(memset(title, 0, title_bytes), title_bytes, TITLE);
		prctl(PR_SET_NAME, TITLE, 0, 0, 0);
		privileges_keep();
		prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
		opener_set_source(directory, file);
		thread_start(wait_for_death, NULL, STACK_BYTES);
		serve(fds[1]);
	}
	close(fds[1]);
	opener_pid = child;
	first_fd = fds[0];
	opener_ask_with(ask);
	return arrange_end();
}
