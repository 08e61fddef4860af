/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "base/checked.h"

/* What is zero in pieces of this size is not written: the block size of most filesystems. */
#define PIECE_BYTES ((size_t)4096)

static int failed(int error, const char *what, struct problem *problem)
{
	return problem_set(problem, error, "%s: %s", what, strerror(-error));
}

static int write_at(int fd, const unsigned char *bytes, size_t length, uint64_t offset,
		    struct problem *problem)
{
	while (length > 0) {
		ssize_t written = pwrite(fd, bytes, length, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return failed(written < 0 ? -errno : -EIO, "writing", problem);
		bytes += written;
		length -= (size_t)written;
		offset += (uint64_t)written;
	}
	return 0;
}

/* A device may hold anything there. Discarding is tried first: it is quick, and reads as zero by the kernel's
 * promise. */
static int clear_device(int fd, uint64_t offset, uint64_t length, struct problem *problem)
{
	static const unsigned char zeros[1 << 16];

	if (length == 0 ||
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0 ||
	    fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
		return 0;
	for (uint64_t done = 0, step; done < length; done += step) {
		int error;

		step = min_u64(sizeof(zeros), length - done);
		error = write_at(fd, zeros, (size_t)step, offset + done, problem);
		if (error != 0)
			return error;
	}
	return 0;
}

int output_begin(struct output *output, int fd, struct problem *problem)
{
	struct stat st;

	*output = (struct output){ .fd = fd };
	if (fstat(fd, &st) != 0)
		return failed(-errno, "fstat", problem);
	output->is_device = S_ISBLK(st.st_mode);
	if (!output->is_device)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &output->size_bytes) != 0)
		return failed(-errno, "the size of the device", problem);
	output->head = malloc(OUTPUT_HEAD_BYTES);
	if (!output->head)
		return failed(-ENOMEM, "memory", problem);
	return clear_device(fd, 0, min_u64(OUTPUT_HEAD_BYTES, output->size_bytes), problem);
}

/* Zeros that were put off. */
static int settle_zeros(struct output *output, struct problem *problem)
{
	uint64_t from = output->zero_from;

	output->zero_from = output->at;
	return output->is_device ? clear_device(output->fd, from, output->at - from, problem) : 0;
}

static int has_room(const struct output *output, uint64_t length, struct problem *problem)
{
	if (!output->is_device || range_within(output->at, length, output->size_bytes))
		return 0;
	return problem_set(problem, -ENOSPC, "the image is larger than the device, which has %llu bytes",
			   (unsigned long long)output->size_bytes);
}

int output_add_zeros(struct output *output, uint64_t length_bytes, struct problem *problem)
{
	uint64_t in_head =
		output->at < OUTPUT_HEAD_BYTES ? min_u64(length_bytes, OUTPUT_HEAD_BYTES - output->at) : 0;
	int error = has_room(output, length_bytes, problem);

	if (error != 0)
		return error;
	if (output->head && in_head > 0) {
		memset(output->head + output->at, 0, (size_t)in_head);
		output->head_bytes = (size_t)(output->at + in_head);
		output->zero_from = output->head_bytes;
	}
	output->at += length_bytes;
	return 0;
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* How many bytes from here on are the same kind: all zero, or not. A piece ends at a multiple of its size in
 * the image. */
static size_t run_of(const struct output *output, const unsigned char *bytes, size_t length, bool *zero)
{
	size_t run = 0;

	while (run < length) {
		size_t piece = PIECE_BYTES - (size_t)((output->at + run) % PIECE_BYTES);
		bool this;

		if (piece > length - run)
			piece = length - run;
		this = is_zero(bytes + run, piece);
		if (run == 0)
			*zero = this;
		else if (this != *zero)
			break;
		run += piece;
	}
	return run;
}

static int add_run(struct output *output, const unsigned char *bytes, size_t length, struct problem *problem)
{
	int error = settle_zeros(output, problem);

	if (error == 0)
		error = has_room(output, length, problem);
	if (error == 0)
		error = write_at(output->fd, bytes, length, output->at, problem);
	if (error == 0)
		output->at += length;
	output->zero_from = output->at;
	return error;
}

int output_add(struct output *output, const void *data, size_t length_bytes, struct problem *problem)
{
	const unsigned char *bytes = data;
	int error = 0;

	if (output->head && output->at < OUTPUT_HEAD_BYTES) {
		size_t part = (size_t)min_u64(length_bytes, OUTPUT_HEAD_BYTES - output->at);

		error = has_room(output, part, problem);
		if (error != 0)
			return error;
		memcpy(output->head + output->at, bytes, part);
		output->at += part;
		output->head_bytes = (size_t)output->at;
		output->zero_from = output->at;
		bytes += part;
		length_bytes -= part;
	}
	while (length_bytes > 0 && error == 0) {
		bool zero = false;
		size_t run = run_of(output, bytes, length_bytes, &zero);

		error = zero ? output_add_zeros(output, run, problem) : add_run(output, bytes, run, problem);
		bytes += run;
		length_bytes -= run;
	}
	return error;
}

int output_finish(struct output *output, struct problem *problem)
{
	int error = settle_zeros(output, problem);

	if (error != 0)
		return error;
	if (!output->is_device && ftruncate(output->fd, (off_t)output->at) != 0)
		return failed(-errno, "its size", problem);
	/* The table after all that it leads to. */
	if (fdatasync(output->fd) != 0)
		return failed(-errno, "fdatasync", problem);
	if (!output->head)
		return 0;
	error = write_at(output->fd, output->head, output->head_bytes, 0, problem);
	if (error == 0 && fsync(output->fd) != 0)
		error = failed(-errno, "fsync", problem);
	return error;
}

void output_end(struct output *output)
{
	free(output->head);
	output->head = NULL;
}
