/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * output: an image as it is being written, from its first byte to its last.
 *
 * In a file what is zero becomes a hole. On a block device it is discarded, or written where the
 * device has no such thing; and its first MiB, with the partition table, is cleared at once and
 * written last: a device that was not written to its end is no image.
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/prep/problem.h"

#define OUTPUT_HEAD_BYTES ((size_t)1 << 20)

struct output {
	int fd; /* borrowed; a file is empty, and of nobody else */
	bool is_device;
	uint64_t size_bytes; /* of the device: there is no more room */
	uint64_t at;	     /* bytes taken so far */
	uint64_t zero_from;  /* [zero_from, at) is zero, and not written yet */
	unsigned char *head; /* owned: of a device, what is written last */
	size_t head_bytes;
};

/* -errno. A device loses its partition table here. */
int output_begin(struct output *output, int fd, struct problem *problem);

/* The next bytes. `problem` is filled with why: no space, an I/O error, the device's end. */
int output_add(struct output *output, const void *bytes, size_t length_bytes, struct problem *problem);

/* The next `length_bytes` are zero. */
int output_add_zeros(struct output *output, uint64_t length_bytes, struct problem *problem);

/* All is there: bring it to the disk. */
int output_finish(struct output *output, struct problem *problem);
void output_end(struct output *output);
