/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meanings: what names of the mount's root were last found to mean, for as long as no name in
 * SOURCE changes (source_watch.h).
 *
 * A board's path is walked for each file, and every step of the walk asks for the meaning of its
 * first name (CONTRACT N8). That is half a dozen system calls; remembered, it is none.
 *
 * Remembered is what follows from the names in SOURCE alone: which file an image is, which text a
 * link has. Never what follows from what is in a file or behind a link out of SOURCE, nor that
 * there is no such name.
 *
 * A table of fixed size: what falls on the same place takes it. Any thread; waits for nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct meanings;

struct meanings *meanings_new(void); /* NULL: no memory */

struct meaning {
	const char *file; /* in SOURCE: of the image, or of the link */
	const char *text; /* of a link, in the mount; NULL: it is an image */
	struct stat st;	  /* of that file when it was looked at: which one it is, and of a link all */
	unsigned number;  /* of an image: CACHE_PARTITION_BOOT, or that of the partition */
};

/* `buffer` has MEANING_BYTES, and is what *meaning points into. False: it is not known under that generation. */
#define MEANING_BYTES 1024
bool meanings_find(struct meanings *meanings, uint64_t generation, const char *name, struct meaning *meaning, char *buffer);

/* It was found so after source_watch_look had returned that generation. Copied; what is too long for a buffer is not kept. */
void meanings_keep(struct meanings *meanings, uint64_t generation, const char *name, const struct meaning *meaning);
