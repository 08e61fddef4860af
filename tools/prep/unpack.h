/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unpack: an image as it was downloaded, turned into an image.
 *
 * libarchive unpacks xz, zstd, gzip, bzip2 and zip as a stream, from a pipe as well; what it is
 * is seen by its first bytes, not by its name. Each byte that is read goes into a SHA-256 on its
 * way. In a zip the image is the member NAME.img or NAME.raw; two of them are an error.
 * What libarchive leaves out is done here: the CRC of a gzip.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "tools/prep/output.h"
#include "tools/prep/problem.h"

enum unpack_kind {
	UNPACK_PLAIN,
	UNPACK_XZ,
	UNPACK_ZSTD,
	UNPACK_GZIP,
	UNPACK_BZIP2,
	UNPACK_ZIP,
	UNPACK_FOREIGN, /* an image that qemu-img converts: qcow2, vmdk, vhdx */
};

/* "xz" and so on; "image" for a plain one. */
const char *unpack_kind_name(enum unpack_kind kind);

/* By the first bytes of a file or device; from a pipe: UNPACK_PLAIN, and unpack() looks by itself. -errno. */
int unpack_kind_of(int fd, enum unpack_kind *kind);

struct unpack {
	const char *name;		    /* for the bar */
	const char *sum;		    /* wanted, in lower case; NULL: any */
	bool progress;			    /* a bar, if there is a terminal */
	volatile sig_atomic_t *interrupted; /* stop when it is set: -EINTR */
};

/*
 * Read `from`, from where it stands to its end, into `output`. The caller finishes that: until
 * then nothing is decided. 0: all of it was there, and was right. -EBADMSG: damaged, cut off, or
 * another sum; -ENOSPC and others of writing; -EINTR.
 */
int unpack(const struct unpack *unpack, int from, struct output *output, struct problem *problem);
