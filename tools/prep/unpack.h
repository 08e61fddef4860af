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
