/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"

/* One read in flight. Half a megabyte keeps a disk busy and splits a FUSE request in two. */
#define SPLIT_BYTES ((size_t)512 << 10)

ssize_t read_all(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	size_t done = 0;

	/* Each turn adds at least one byte, or ends. */
	while (done < length_bytes) {
		ssize_t got = pread(fd, (char *)buffer + done, length_bytes - done, (off_t)(offset_bytes + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return done > 0 && errno == EINVAL ? (ssize_t)done : -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

#ifdef HAVE_LIBURING

#include <liburing.h>
#include <sys/resource.h>

/* As many as are read in one call. A disk wants 16 to 64 small ones. */
#define RING_ENTRIES 64

/* So many large reads at a time; what is more is done by pread. */
#define RINGS 16

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_uring rings[RINGS];
static struct io_uring *idle[RINGS]; /* lock */
static size_t idle_count;	     /* lock */
static size_t ring_count;	     /* constant after ring_setup_once */

/* liburing 2.3 declares what is for that, and does not have it. */
static bool set_up(const struct io_uring *ring, unsigned what, const void *argument, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, argument, count) == 0;
}

/* Of all that a ring can do past any filter of system calls, this one can read. Linux 5.10 has restrictions. */
static bool make_ring(struct io_uring *ring)
{
	struct io_uring_restriction reads_only = { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ };

	if (io_uring_queue_init(RING_ENTRIES, ring, IORING_SETUP_R_DISABLED) != 0)
		return false;
	if (set_up(ring, IORING_REGISTER_RESTRICTIONS, &reads_only, 1) && set_up(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return true;
	io_uring_queue_exit(ring);
	return false;
}

static void ring_setup_once(void)
{
	struct rlimit limit = { 0 };

	if (getenv("IMAGEFS_NO_IO_URING"))
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	/* Of few descriptors rings get a sixteenth. */
	while (ring_count < RINGS && ring_count < limit.rlim_cur / 16 && make_ring(&rings[ring_count])) {
		idle[ring_count] = &rings[ring_count];
		idle_count = ++ring_count;
	}
}

bool ring_available(void)
{
	pthread_once(&once, ring_setup_once);
	return ring_count > 0;
}

/* A ring for this read alone, or NULL: then pread does it. */
static struct io_uring *take_ring(void)
{
	if (!ring_available())
		return NULL;
	LOCK_SCOPE(&lock);
	return idle_count > 0 ? idle[--idle_count] : NULL;
}

static void give_ring(struct io_uring *ring)
{
	LOCK_SCOPE(&lock);
	idle[idle_count++] = ring;
}

static void queue_pieces(struct io_uring *ring, int fd, struct ring_piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (!sqe) /* cannot be: the ring is empty, and has RING_ENTRIES */
			abort();
		pieces[i].result = -EIO;
		io_uring_prep_read(sqe, fd, pieces[i].buffer, (unsigned)pieces[i].length_bytes, pieces[i].offset_bytes);
		io_uring_sqe_set_data(sqe, &pieces[i]);
	}
}

/* Wait for all that was submitted: the buffers belong to the kernel until then. */
static int reap_pieces(struct io_uring *ring, size_t count)
{
	while (count > 0) {
		struct io_uring_cqe *cqe;
		int result = io_uring_wait_cqe(ring, &cqe);
		struct ring_piece *piece;

		if (result == -EINTR)
			continue;
		if (result < 0)
			return result;
		piece = io_uring_cqe_get_data(cqe);
		piece->result = cqe->res;
		io_uring_cqe_seen(ring, cqe);
		count--;
	}
	return 0;
}

/* The call that hands over the last of them also waits for all: for one read it is the only one. */
static int submit_all(struct io_uring *ring, size_t count)
{
	size_t all = count;

	/* Each turn hands over at least one entry, or fails. */
	while (count > 0) {
		int submitted = io_uring_submit_and_wait(ring, (unsigned)all);

		if (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY)
			continue;
		if (submitted < 0)
			return submitted;
		count -= min_u64(count, (uint64_t)submitted);
	}
	return 0;
}

/* What came short or was interrupted is finished by pread. */
static void finish_piece(int fd, struct ring_piece *piece)
{
	ssize_t got = piece->result;

	if (got == -EAGAIN || got == -EINTR || (got >= 0 && (size_t)got < piece->length_bytes))
		piece->result = read_all(fd, piece->offset_bytes, piece->buffer, piece->length_bytes);
}

void ring_read_pieces(int fd, struct ring_piece *pieces, size_t count)
{
	struct io_uring *ring = take_ring();

	/* Each turn takes a ring full. */
	for (size_t some; ring && count > 0; pieces += some, count -= some) {
		some = min_u64(count, RING_ENTRIES);
		queue_pieces(ring, fd, pieces, some);
		/* A ring that cannot submit or reap owns our buffers for good: nothing sane is left to do. */
		if (submit_all(ring, some) != 0 || reap_pieces(ring, some) != 0)
			abort();
		for (size_t i = 0; i < some; i++)
			finish_piece(fd, &pieces[i]);
	}
	if (ring)
		give_ring(ring);
	for (size_t i = 0; i < count; i++)
		pieces[i].result = read_all(fd, pieces[i].offset_bytes, pieces[i].buffer, pieces[i].length_bytes);
}

ssize_t ring_read(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct ring_piece pieces[RING_ENTRIES];
	size_t count = 0, done = 0;

	/* A request of the kernel is a megabyte, which is two splits: more than a ring full is nobody's. */
	if (!ring_available() || length_bytes > SPLIT_BYTES * RING_ENTRIES)
		return read_all(fd, offset_bytes, buffer, length_bytes);
	for (size_t start = 0; start < length_bytes; start += SPLIT_BYTES, count++)
		pieces[count] = (struct ring_piece){ .offset_bytes = offset_bytes + start,
						     .buffer = (char *)buffer + start,
						     .length_bytes = min_u64(SPLIT_BYTES, length_bytes - start) };
	ring_read_pieces(fd, pieces, count);
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].result < 0)
			return pieces[i].result;
		done += (size_t)pieces[i].result;
		if ((size_t)pieces[i].result < pieces[i].length_bytes)
			break;
	}
	return (ssize_t)done;
}

#else

bool ring_available(void)
{
	return false;
}

ssize_t ring_read(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	return read_all(fd, offset_bytes, buffer, length_bytes);
}

void ring_read_pieces(int fd, struct ring_piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pieces[i].result = read_all(fd, pieces[i].offset_bytes, pieces[i].buffer, pieces[i].length_bytes);
}

#endif
