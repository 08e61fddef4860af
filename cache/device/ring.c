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
#include <sys/resource.h>

#define RING_ENTRIES 16

/* More threads than these would not make a disk faster. */
#define RINGS_MAX 256

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ring_key;
static atomic_bool usable;
static unsigned rings_max; /* constant after once: of few descriptors rings get a sixteenth */
static _Atomic unsigned rings;

static void ring_destroy(void *ring)
{
	io_uring_queue_exit(ring);
	free(ring);
	atomic_fetch_sub(&rings, 1);
}

static void ring_setup_once(void)
{
	struct rlimit limit = { 0 };
	struct io_uring probe;

	getrlimit(RLIMIT_NOFILE, &limit);
	rings_max = (unsigned)min_u64(limit.rlim_cur / 16, RINGS_MAX);
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
	/* Locked memory or descriptors may have run out since the probe: this thread uses pread. */
	if (atomic_fetch_add(&rings, 1) < rings_max && (ring = malloc(sizeof(*ring)))) {
		if (io_uring_queue_init(RING_ENTRIES, ring, 0) == 0) {
			pthread_setspecific(ring_key, ring);
			return ring;
		}
		free(ring);
	}
	atomic_fetch_sub(&rings, 1);
	return NULL;
}

struct split {
	size_t start;
	size_t length;
	ssize_t result;
};

static size_t queue_splits(struct io_uring *ring, int fd, uint64_t offset_bytes, unsigned char *buffer,
			   size_t length_bytes, struct split *splits)
{
	size_t count = 0;

	for (size_t start = 0; start < length_bytes && count < RING_ENTRIES; start += SPLIT_BYTES, count++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (!sqe) /* cannot be: the ring is empty, and has RING_ENTRIES */
			break;
		splits[count] = (struct split){ start, min_u64(SPLIT_BYTES, length_bytes - start), -EIO };
		io_uring_prep_read(sqe, fd, buffer + start, (unsigned)splits[count].length, offset_bytes + start);
		io_uring_sqe_set_data(sqe, &splits[count]);
	}
	return count;
}

/* Wait for all that was submitted: the buffers belong to the kernel until then. */
static int reap_splits(struct io_uring *ring, size_t count)
{
	while (count > 0) {
		struct io_uring_cqe *cqe;
		int result = io_uring_wait_cqe(ring, &cqe);
		struct split *split;

		if (result == -EINTR)
			continue;
		if (result < 0)
			return result;
		split = io_uring_cqe_get_data(cqe);
		split->result = cqe->res;
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

/* Join the parts; what came short or was interrupted is finished by pread. */
static ssize_t join_splits(int fd, uint64_t offset_bytes, unsigned char *buffer, const struct split *splits,
			   size_t count)
{
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		size_t start = splits[i].start, length = splits[i].length;
		ssize_t got = splits[i].result;

		if (got == -EAGAIN || got == -EINTR)
			got = 0;
		if (got < 0)
			return got;
		if ((size_t)got < length) {
			ssize_t rest = read_all(fd, offset_bytes + start, buffer + start, length);

			if (rest < 0)
				return rest;
			got = rest;
		}
		done += (size_t)got;
		if ((size_t)got < length)
			break;
	}
	return (ssize_t)done;
}

ssize_t ring_read(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct io_uring *ring = ring_of_thread();
	struct split splits[RING_ENTRIES];
	size_t count;

	/* A request of the kernel is a megabyte, which is two splits: more than a ring full is nobody's. */
	if (!ring || length_bytes > SPLIT_BYTES * RING_ENTRIES)
		return read_all(fd, offset_bytes, buffer, length_bytes);
	count = queue_splits(ring, fd, offset_bytes, buffer, length_bytes, splits);
	/* A ring that cannot submit or reap owns our buffers for good: nothing sane is left to do. */
	if (submit_all(ring, count) != 0 || reap_splits(ring, count) != 0)
		abort();
	return join_splits(fd, offset_bytes, buffer, splits, count);
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

#endif
