/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/parallel.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where the library can do it itself, and where it cannot be helped: nothing below is needed. */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 13) && FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
#define PATCH_ANSWER 1
#else
#define PATCH_ANSWER 0
#endif

#if PATCH_ANSWER
/* linux/fuse.h: struct fuse_init_out, FUSE_PARALLEL_DIROPS. */
#define INIT_OUT_FLAGS 12
#define INIT_PARALLEL_DIROPS (UINT32_C(1) << 18)

/* The next answer of this thread, which called the init operation, is the one to INIT. */
static _Thread_local bool answers_init;

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	uint32_t flags;

	(void)userdata;
	if (answers_init && count == 2 && iov[1].iov_len >= INIT_OUT_FLAGS + sizeof(flags)) {
		memcpy(&flags, (char *)iov[1].iov_base + INIT_OUT_FLAGS, sizeof(flags));
		flags |= INIT_PARALLEL_DIROPS;
		memcpy((char *)iov[1].iov_base + INIT_OUT_FLAGS, &flags, sizeof(flags));
	}
	answers_init = false;
	return writev(fd, iov, count);
}

/* Of the session whose end is heard of; the function is constant once the descriptor is set. */
static _Atomic int watched_fd = -1;
static void (*unmounted)(void);

static ssize_t read_request(int fd, void *buffer, size_t length_bytes, void *userdata)
{
	ssize_t got = read(fd, buffer, length_bytes);

	(void)userdata;
	if (got < 0 && errno == ENODEV && fd == atomic_load(&watched_fd)) {
		unmounted();
		errno = ENODEV;
	}
	return got;
}
#endif

void parallel_want(struct fuse_conn_info *connection)
{
	if (!(connection->capable & FUSE_CAP_PARALLEL_DIROPS))
		return;
	connection->want |= FUSE_CAP_PARALLEL_DIROPS;
#if PATCH_ANSWER
	answers_init = true;
#endif
}

void parallel_arrange(struct fuse_session *session, void (*on_unmount)(void))
{
#if PATCH_ANSWER
	static const struct fuse_custom_io io = { .writev = write_answer, .read = read_request };

	if (on_unmount) {
		unmounted = on_unmount;
		atomic_store(&watched_fd, fuse_session_fd(session));
	}
	/* If not, lookups wait for each other, and all else works. */
	(void)fuse_session_custom_io(session, &io, fuse_session_fd(session));
#else
	(void)session;
	(void)on_unmount;
#endif
}
