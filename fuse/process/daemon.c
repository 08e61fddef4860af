/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/statx.h"
#include "fuse/process/log.h"
#include "fuse/process/separate.h"

/* What it takes to start, and to serve one image after the other. */
#define DESCRIPTORS_LEAST 32
#define ADDRESS_SPACE_LEAST_KIB 262144ULL

/* So long a message waits for room at most. */
#define NOTIFY_SECONDS 1

static int ready_fd = -1;
static int null_fd = -1, notify_fd = -1; /* constant after daemon_reach_out */

void daemon_fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY); /* what is written there is not lost without an error (--help) */
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

void daemon_close_inherited(int kept)
{
	if (kept > 3)
		close_range(3, (unsigned)kept - 1, 0);
	close_range(kept >= 3 ? (unsigned)kept + 1 : 3, ~0U, 0);
}

void daemon_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

bool daemon_has_room(void)
{
	struct rlimit files, memory;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < DESCRIPTORS_LEAST) {
		log_line(LOG_LEVEL_ERROR, "at most %llu files may be open (ulimit -n), and %d are needed",
			 (unsigned long long)files.rlim_cur, DESCRIPTORS_LEAST);
		return false;
	}
	if (getrlimit(RLIMIT_AS, &memory) == 0 && memory.rlim_cur < ADDRESS_SPACE_LEAST_KIB << 10) {
		log_line(LOG_LEVEL_ERROR, "the address space is limited to %llu KiB (ulimit -v), and %llu are needed",
			 (unsigned long long)memory.rlim_cur >> 10, ADDRESS_SPACE_LEAST_KIB);
		return false;
	}
	return true;
}

rlim_t daemon_descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

void daemon_tame_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 256 << 10);
	mallopt(M_ARENA_MAX, 2);
}

/* The child's fate, seen from the parent: a byte is success, an end without one is not. */
static _Noreturn void wait_for_child(int fd, pid_t child)
{
	char byte;
	int status;
	ssize_t got;

	do
		got = read(fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

bool daemon_fork(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	child = fork();
	if (child < 0)
		return false;
	if (child > 0) {
		close(fds[1]);
		wait_for_child(fds[0], child);
	}
	close(fds[0]);
	ready_fd = fds[1];
	return true;
}

/* The protocol is one datagram to a socket (sd_notify(3), section "Notes"). */
static int connect_to_manager(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;

	if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@') /* the abstract namespace */
		address.sun_path[0] = '\0';
	/* A manager that does not read is not waited for: boards are served, and the mount goes when it shall. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ .tv_sec = NOTIFY_SECONDS }, sizeof(struct timeval));
	if (connect(fd, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0)
		return -1;
	return steal_fd(&fd);
}

void daemon_reach_out(void)
{
	notify_fd = connect_to_manager();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (ready_fd < 0)
		return;
	/* Not before: an automounter lets only its own process group walk to a mountpoint that is being mounted. */
	setsid();
	tzset(); /* of the log: its file is read once */
}

void daemon_report(void)
{
	if (ready_fd < 0)
		return;
	log_to_syslog();
	if (chdir("/") != 0)
		log_line(LOG_LEVEL_DEBUG, "cannot leave the directory of start");
	for (int fd = 0; null_fd >= 0 && fd <= 2; fd++)
		dup2(null_fd, fd);
	/* A parent that is gone has nothing to wait for. */
	if (write(ready_fd, "", 1) < 0)
		log_line(LOG_LEVEL_DEBUG, "nobody waited for the mount");
	close(ready_fd);
	ready_fd = -1;
}

bool daemon_notify(const char *lines)
{
	return notify_fd < 0 || send(notify_fd, lines, strlen(lines), MSG_NOSIGNAL) >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* Numbers are given from below: behind so many that are free there is none any more. */
#define FREE_IN_A_ROW 1024

void daemon_let_go_of_files(void)
{
	struct statx st;

	for (int fd = 3, unused = 0; unused < FREE_IN_A_ROW; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags < 0) {
			unused++;
			continue;
		}
		unused = 0;
		/* Nobody is asked: the roots of our own mounts have O_PATH, and are served by nobody now, or never were. */
		if (!(flags & O_PATH) && (statx_or_stat(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) != 0 ||
					  !(S_ISREG(st.stx_mode) || S_ISBLK(st.stx_mode) || S_ISDIR(st.stx_mode))))
			continue;
		/* Its number is not free: another thread may still use it, and close it. */
		if (null_fd >= 0)
			dup3(null_fd, fd, O_CLOEXEC);
	}
}

static _Atomic unsigned walkers; /* threads of ours that walk a path */

void daemon_walk_begin(void)
{
	atomic_fetch_add(&walkers, 1);
}

void daemon_walk_end(void)
{
	atomic_fetch_sub(&walkers, 1);
}

/* Who asks walks a path and is counted since before: the kernel passed the question on after that. */
bool daemon_is_own_thread(pid_t caller)
{
	if (caller <= 0)
		return false;
	return (atomic_load(&walkers) > 0 && syscall(SYS_tgkill, getpid(), caller, 0) == 0) || separate_is_thread(caller);
}
