/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file_source: the bytes of a descriptor as a source, by pread. For what nobody else writes to
 * (tools/ctl_image.h has one for live images).
 */
#pragma once

#include "base/source.h"

struct file_source {
	struct source source; /* first */
	int fd;		      /* borrowed */
};

/* Of a regular file, or of a block device as large as the kernel says. 0 or -errno. */
int file_source_of(int fd, struct file_source *source);

/* All of it, or -errno; -EIO at the end of the file. Interrupted calls go on. */
int file_read_all(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes);
int file_write_all(int fd, uint64_t offset_bytes, const void *buffer, size_t length_bytes);
