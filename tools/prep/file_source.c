/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/file_source.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read_all(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	char *at = buffer;

	while (length_bytes > 0) {
		ssize_t got = pread(fd, at, length_bytes, (off_t)offset_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		at += got;
		offset_bytes += (uint64_t)got;
		length_bytes -= (size_t)got;
	}
	return 0;
}

int file_write_all(int fd, uint64_t offset_bytes, const void *buffer, size_t length_bytes)
{
	const char *at = buffer;

	while (length_bytes > 0) {
		ssize_t put = pwrite(fd, at, length_bytes, (off_t)offset_bytes);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		at += put;
		offset_bytes += (uint64_t)put;
		length_bytes -= (size_t)put;
	}
	return 0;
}

static int file_source_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	return file_read_all(((const struct file_source *)self)->fd, offset_bytes, buffer, length_bytes);
}

int file_source_of(int fd, struct file_source *source)
{
	struct stat st;
	uint64_t size_bytes;

	if (fstat(fd, &st) != 0)
		return -errno;
	size_bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &size_bytes) != 0)
		return -errno;
	*source = (struct file_source){
		.source = { .read = file_source_read, .size_bytes = size_bytes },
		.fd = fd,
	};
	return 0;
}
