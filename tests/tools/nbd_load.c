/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_load - how fast an NBD server takes writes.
 *
 *   nbd_load URI OFFSET SPAN REQUEST-BYTES DEPTH COUNT
 *
 * COUNT writes at random places of SPAN bytes from OFFSET on, DEPTH of them in flight
 * on one connection. Prints MB/s, and the time from a write's submission to its reply
 * in microseconds: median and 99 %. Fails at the first write that fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_DEPTH 64

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void die(const char *what)
{
	fprintf(stderr, "nbd_load: %s: %s\n", what, nbd_get_error());
	exit(1);
}

static void run(struct nbd_handle *nbd, uint64_t offset, uint64_t places, size_t bytes, int depth, long count,
		char *data, double *took)
{
	struct {
		int64_t cookie;
		double since;
	} slot[MAX_DEPTH] = { 0 };
	long begun = 0, ended = 0;
	uint64_t random = 88172645463325252;

	while (ended < count) {
		for (int i = 0; i < depth && begun < count; i++) {
			if (slot[i].cookie)
				continue;
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			slot[i].since = now_us();
			slot[i].cookie = nbd_aio_pwrite(nbd, data, bytes, offset + random % places * bytes,
							NBD_NULL_COMPLETION, 0);
			if (slot[i].cookie == -1)
				die("write");
			begun++;
		}
		if (nbd_poll(nbd, -1) == -1)
			die("poll");
		for (int i = 0; i < depth; i++) {
			if (!slot[i].cookie)
				continue;
			int r = nbd_aio_command_completed(nbd, (uint64_t)slot[i].cookie);
			if (r == -1)
				die("write");
			if (r == 1) {
				took[ended++] = now_us() - slot[i].since;
				slot[i].cookie = 0;
			}
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fprintf(stderr, "usage: nbd_load URI OFFSET SPAN REQUEST-BYTES DEPTH COUNT\n");
		return 2;
	}
	uint64_t offset = strtoull(argv[2], NULL, 0), span = strtoull(argv[3], NULL, 0);
	size_t bytes = strtoull(argv[4], NULL, 0);
	int depth = atoi(argv[5]);
	long count = atol(argv[6]);
	char *data = bytes ? malloc(bytes) : NULL;
	double *took = count > 0 ? calloc((size_t)count, sizeof *took) : NULL;
	struct nbd_handle *nbd = nbd_create();

	if (!data || !took || span < bytes || depth < 1 || depth > MAX_DEPTH)
		return 2;
	memset(data, 0x5a, bytes);
	if (!nbd || nbd_connect_uri(nbd, argv[1]) == -1)
		die(argv[1]);

	double start = now_us();
	run(nbd, offset, span / bytes, bytes, depth, count, data, took);
	double seconds = (now_us() - start) / 1e6;

	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
	qsort(took, (size_t)count, sizeof *took, by_value);
	printf("%.2f %.1f %.1f\n", (double)bytes * (double)count / 1e6 / seconds, took[count / 2],
	       took[count * 99 / 100]);
	free(took);
	free(data);
	return 0;
}
