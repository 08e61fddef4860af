/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring: one large aligned read, or many small ones, as several in flight.
 *
 * There are a few io_urings, made once, of which a read has one to itself, so that
 * no other image's read is ever in the way. The kernel lets them do nothing but
 * read: else whoever takes over the daemon could open and connect through them, past
 * the filter of system calls. They are made before that filter is, which forbids to
 * make more. Where io_uring is forbidden (kernel.io_uring_disabled), absent or cannot
 * be restricted (before Linux 5.10), when the environment says IMAGEFS_NO_IO_URING,
 * or while all rings are in use, the same reads are done by pread, one after the other.
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

/* Does this process read through io_uring? The first call makes the rings. */
bool ring_available(void);
