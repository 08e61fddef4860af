/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/checked.h"

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

#define RING_ENTRIES 16

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ring_key;
static atomic_bool usable;

static void ring_destroy(void *ring)
{
	io_uring_queue_exit(ring);
	free(ring);
}

static void ring_setup_once(void)
{
	struct io_uring probe;

	if (getenv("IMAGEFS_NO_IO_URING") || pthread_key_create(&ring_key, ring_destroy) != 0)
		return;
	if (io_uring_queue_init(RING_ENTRIES, &probe, 0) == 0) {
		io_uring_queue_exit(&probe);
		atomic_store(&usable, true);
	}
}

bool ring_available(void)
{
	pthread_once(&once, ring_setup_once);
	return atomic_load(&usable);
}

/* This thread's ring, or NULL: then pread does it. */
static struct io_uring *ring_of_thread(void)
{
	struct io_uring *ring;

	if (!ring_available())
		return NULL;
	ring = pthread_getspecific(ring_key);
	if (ring)
		return ring;
	ring = malloc(sizeof(*ring));
	if (!ring)
		return NULL;
	/* Locked memory or descriptors may have run out since the probe: this thread uses pread. */
	if (io_uring_queue_init(RING_ENTRIES, ring, 0) != 0) {
		free(ring);
		return NULL;
	}
	pthread_setspecific(ring_key, ring);
	return ring;
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

static int submit_all(struct io_uring *ring, size_t count)
{
	/* Each turn hands over at least one entry, or fails. */
	while (count > 0) {
		int submitted = io_uring_submit(ring);

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
	struct io_uring *ring = ring_of_thread();

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
