/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy: a private copy of one partition, in a temporary file without a name, so that nothing is left
 * of it whatever happens. Beside the image by reflink, where the filesystem can; else in
 * $TMPDIR (/var/tmp), and there what the FAT calls free is left out: it reads as zeros.
 */
#pragma once

#include <stdint.h>

#include "tools/prep/clusters.h"
#include "tools/prep/file_source.h"

struct copy {
	int fd;			 /* owned, and inherited by children */
	char path[32];		 /* by which children open it */
	struct file_source file; /* its bytes */
};

/*
 * Copy `length_bytes` at `offset_bytes` of the image at `path`, open as `image_fd`. 0, -ENOSPC, or another
 * -errno. *where is the directory that did not have it, for messages; constant, or of the environment.
 */
int copy_make(struct copy *copy, int image_fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
	      const struct clusters *clusters, const char **where);
void copy_free(struct copy *copy);

/* $TMPDIR, or /var/tmp. */
const char *temporary_directory(void);
