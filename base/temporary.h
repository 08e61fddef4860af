/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * temporary: a file without a name, for bytes that nobody is to find.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A new one in the directory, for reading and writing, for the caller to close; or -errno. */
static inline int temporary_file(const char *directory)
{
	char path[PATH_MAX];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), length;

	if (fd >= 0)
		return fd;
	/* Not every filesystem has O_TMPFILE. */
	length = snprintf(path, sizeof(path), "%s/.imagefs.XXXXXX", directory);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}
