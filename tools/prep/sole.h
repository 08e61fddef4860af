/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sole: an image that we alone write to, as far as that can be known (holder.h). Of us, who all take a lock
 * (flock) of the image, there is one at a time.
 *
 * What remains: between sole_writable, which must give the lease back to open the image for writing, and
 * sole_close, nothing keeps others from opening it. That is as long as the changed bytes take to be written.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

struct sole {
	char *path;  /* owned: the image's, without links */
	int reading; /* owned */
	int writing; /* owned; -1 until sole_writable */
	bool forced, leased;
	struct stat st;
};

/*
 * Open it for reading, and see that nobody writes to it (unless `force`). 0; -EBUSY, -EACCES as holder_lease;
 * or of open. After an error *problem (for the caller to free) is a sentence. sole_close in any case.
 */
int sole_open(struct sole *sole, const char *path, bool force, char **problem);

/* Open it for writing as well, and see that nobody was faster. Again: see only. Errors as above. */
int sole_writable(struct sole *sole, char **problem);

void sole_close(struct sole *sole);
