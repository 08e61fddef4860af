/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring: one large aligned read, or many small ones, as several in flight.
 *
 * Each thread that reads has an io_uring of its own, made at its first read and
 * gone with the thread, so that no lock and no other image's read is ever in
 * the way. Where io_uring is forbidden (seccomp, kernel.io_uring_disabled) or
 * absent, or when the environment says IMAGEFS_NO_IO_URING, the same reads are
 * done by pread, one after the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Read `length_bytes` at `offset_bytes` of `fd` into `buffer`, all of them
 * multiples of the alignment that fd asks for. Returns the bytes read from the
 * start without a gap (short only at the end of the file), or -errno.
 */
ssize_t ring_read(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* One of many reads. */
struct ring_piece {
	uint64_t offset_bytes;
	void *buffer;
	size_t length_bytes;
	ssize_t result; /* out: as ring_read's */
};

/* Read them side by side; aligned as above. */
void ring_read_pieces(int fd, struct ring_piece *pieces, size_t count);

/* The same for any range, by pread alone. */
ssize_t read_all(int fd, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* Does this process read through io_uring? For the log and for status. */
bool ring_available(void);
