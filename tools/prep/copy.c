/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/copy.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/temporary.h"

#define PIECE_BYTES ((size_t)1 << 20)
/* What is left out if it is all zeros: a block of most filesystems. */
#define HOLE_BYTES ((size_t)4096)

/* ---- temporary files ------------------------------------------------------ */

const char *temporary_directory(void)
{
	const char *directory = getenv("TMPDIR");

	return directory && *directory ? directory : "/var/tmp";
}

/* ---- by reflink ----------------------------------------------------------- */

/* A descriptor of the clone, or -errno: whatever it is, copying is tried then. */
static int clone_beside(int image_fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *directory = !slash ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	struct file_clone_range range = { .src_fd = image_fd,
					  .src_offset = offset_bytes,
					  .src_length = length_bytes };
	CLEANUP_FD int fd = directory ? temporary_file(directory) : -ENOMEM;

	if (fd < 0)
		return fd;
	if (ioctl(fd, FICLONERANGE, &range) != 0 || ftruncate(fd, (off_t)length_bytes) != 0)
		return -errno;
	return steal_fd(&fd);
}

/* ---- by copying ----------------------------------------------------------- */

static bool is_zero(const char *bytes, size_t length)
{
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static int write_sparse(int fd, uint64_t offset_bytes, const char *bytes, size_t length)
{
	int error = 0;

	for (size_t at = 0, piece; at < length && error == 0; at += piece) {
		piece = (size_t)min_u64(length - at, HOLE_BYTES);
		if (!is_zero(bytes + at, piece))
			error = file_write_all(fd, offset_bytes + at, bytes + at, piece);
	}
	return error;
}

/* The bytes from `start` to `end` of the partition. */
static int copy_range(int fd, int image_fd, uint64_t partition_bytes, uint64_t start, uint64_t end,
		      char *buffer)
{
	int error = 0;

	for (uint64_t at = start, piece; at < end && error == 0; at += piece) {
		piece = min_u64(end - at, PIECE_BYTES);
		error = file_read_all(image_fd, partition_bytes + at, buffer, (size_t)piece);
		if (error == 0)
			error = write_sparse(fd, at, buffer, (size_t)piece);
	}
	return error;
}

static int copy_used(int fd, int image_fd, uint64_t offset_bytes, uint64_t length_bytes,
		     const struct clusters *clusters)
{
	CLEANUP_FREE char *buffer = malloc(PIECE_BYTES);
	int error = buffer ? 0 : -ENOMEM;

	if (error == 0 && ftruncate(fd, (off_t)length_bytes) != 0)
		error = -errno;
	/* Each turn goes on where clusters_used_at ended, which is further on. */
	for (uint64_t at = 0, end; at < length_bytes && error == 0; at = end) {
		bool used = clusters_used_at(clusters, at, &end);

		end = min_u64(end, length_bytes);
		if (used)
			error = copy_range(fd, image_fd, offset_bytes, at, end, buffer);
	}
	return error;
}

int copy_make(struct copy *copy, int image_fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
	      const struct clusters *clusters, const char **where)
{
	CLEANUP_FD int fd = clone_beside(image_fd, path, offset_bytes, length_bytes);
	int error = 0;

	*copy = (struct copy){ .fd = -1 };
	*where = temporary_directory();
	if (fd < 0) {
		fd = temporary_file(*where);
		error = fd < 0 ? fd : copy_used(fd, image_fd, offset_bytes, length_bytes, clusters);
	}
	if (error == 0)
		error = file_source_of(fd, &copy->file);
	if (error == 0 && fcntl(fd, F_SETFD, 0) != 0)
		error = -errno;
	if (error != 0)
		return error;
	snprintf(copy->path, sizeof(copy->path), "/proc/self/fd/%d", fd);
	copy->fd = steal_fd(&fd);
	return 0;
}

void copy_free(struct copy *copy)
{
	if (copy->fd >= 0)
		close(copy->fd);
	copy->fd = -1;
}
