/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/*
 * Any file may be behind a number that a process says. What is asked of it here are
 * things that the kernel knows by itself; but the last one to close a file may have to
 * wait for its server. So strangers' files are closed by a thread, and no more are
 * looked at when that does not come back.
 */
#define STRANGE_MAX 8
static _Atomic unsigned strange;

static void *close_strange(void *fd)
{
	close((int)(intptr_t)fd);
	atomic_fetch_sub(&strange, 1);
	return NULL;
}

static void close_somewhere_else(int fd)
{
	pthread_t thread;

	/* Without a thread it stays open, and counts. */
	atomic_fetch_add(&strange, 1);
	if (pthread_create(&thread, NULL, close_strange, (void *)(intptr_t)fd) == 0)
		pthread_detach(thread);
}

/* The filesystem that all memfds of small pages are on. 0: none could be made. */
static dev_t memory_device(void)
{
	struct stat st = { 0 };
	CLEANUP_FD int fd = memfd_create("imagefs", MFD_CLOEXEC);

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_dev : 0;
}

/* Neither reading it nor closing it waits for anybody, and it stays as long as it is. */
static bool is_ledger(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* Seals are of memory alone, so that fstat(2) may be asked: huge pages may be missing, others are not. */
	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && st.st_dev == memory_device() &&
	       st.st_size == (off_t)sizeof(struct ledger);
}

static int get_fd(pid_t process, uint64_t fd)
{
	CLEANUP_FD int pidfd = -1;
	long got;

	if (fd > INT_MAX)
		return -EPROTO;
	pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	if (pidfd < 0)
		return -errno;
	got = syscall(SYS_pidfd_getfd, pidfd, (int)fd, 0);
	return got < 0 ? -errno : (int)got;
}

/* Time namespaces shift the clock: times of one that differs would make young writes old. */
#define OFFERED_WITHIN_NS (INT64_C(5) * 1000000000)

static bool is_of_this_clock(struct ledger *ledger, int64_t now_ns)
{
	uint64_t made_ns = atomic_load(&ledger->made_ns);

	return made_ns <= (uint64_t)now_ns && (uint64_t)now_ns - made_ns < OFFERED_WITHIN_NS;
}

int ledger_share(pid_t process, uint64_t number, int64_t now_ns, struct ledger **out)
{
	struct ledger *ledger;
	int fd;

	if (atomic_load(&strange) >= STRANGE_MAX)
		return -EBUSY;
	fd = get_fd(process, number);
	if (fd < 0)
		return fd;
	if (!is_ledger(fd)) {
		close_somewhere_else(fd);
		return -EPROTO;
	}
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (ledger == MAP_FAILED)
		return -errno;
	if (atomic_load(&ledger->magic) != LEDGER_MAGIC || !is_of_this_clock(ledger, now_ns)) {
		ledger_unshare(ledger);
		return -EPROTO;
	}
	*out = ledger;
	return 0;
}

void ledger_unshare(struct ledger *ledger)
{
	if (ledger)
		munmap(ledger, sizeof(*ledger));
}
