/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * direct_reads - what a device gives: reads of a file or device with O_DIRECT by io_uring.
 *
 *   direct_reads FILE OFFSET STRIDE BYTES COUNT DEPTH
 *
 * COUNT reads of BYTES, each STRIDE behind the last one, from OFFSET on, DEPTH of them in flight. Prints MB/s
 * of what was wanted. Where the device wants larger or otherwise aligned reads than that, what contains them
 * is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 256

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "direct_reads: %s: %s\n", what, strerror(error));
	exit(1);
}

struct plan {
	int fd;
	uint64_t offset, stride, bytes, unit;
	long count, depth;
};

static void submit(struct io_uring *ring, const struct plan *plan, long number, char *buffer)
{
	uint64_t from = plan->offset + plan->stride * (uint64_t)number, to = from + plan->bytes;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	from -= from % plan->unit;
	to += (plan->unit - to % plan->unit) % plan->unit;
	io_uring_prep_read(sqe, plan->fd, buffer, (unsigned)(to - from), from);
	io_uring_sqe_set_data(sqe, buffer);
}

static void run(struct io_uring *ring, const struct plan *plan, char *memory, size_t slot)
{
	long begun = 0, ended = 0;

	for (; begun < plan->depth && begun < plan->count; begun++)
		submit(ring, plan, begun, memory + slot * (size_t)begun);
	while (ended < plan->count) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;
		int error = io_uring_submit_and_wait(ring, 1);

		if (error < 0)
			die("submit", -error);
		io_uring_for_each_cqe(ring, head, cqe)
		{
			if (cqe->res < 0)
				die("read", -cqe->res);
			if (begun < plan->count)
				submit(ring, plan, begun++, io_uring_cqe_get_data(cqe));
			seen++;
		}
		io_uring_cq_advance(ring, seen);
		ended += seen;
	}
}

int main(int argc, char **argv)
{
	struct plan plan = { 0 };
	struct io_uring ring;
	char *memory;
	size_t slot;
	int error;

	if (argc != 7) {
		fprintf(stderr, "usage: direct_reads FILE OFFSET STRIDE BYTES COUNT DEPTH\n");
		return 2;
	}
	plan.fd = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (plan.fd < 0)
		die(argv[1], errno);
	plan.offset = strtoull(argv[2], NULL, 0), plan.stride = strtoull(argv[3], NULL, 0);
	plan.bytes = strtoull(argv[4], NULL, 0), plan.count = atol(argv[5]), plan.depth = atol(argv[6]);
	if (plan.bytes == 0 || plan.count < 1 || plan.depth < 1 || plan.depth > DEPTH_MAX)
		return 2;
	slot = (plan.bytes + 8191) / 4096 * 4096;
	memory = aligned_alloc(4096, slot * (size_t)plan.depth);
	if (!memory)
		die("memory", ENOMEM);
	plan.unit = pread(plan.fd, memory, 512, 512) == 512 ? 512 : 4096;
	error = io_uring_queue_init((unsigned)plan.depth, &ring, 0);
	if (error)
		die("io_uring", -error);
	double start = now_s();

	run(&ring, &plan, memory, slot);
	printf("%.2f\n", (double)plan.bytes * (double)plan.count / 1e6 / (now_s() - start));
	io_uring_queue_exit(&ring);
	free(memory);
	close(plan.fd);
	return 0;
}
