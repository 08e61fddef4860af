/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * truth: what every path was answered with, so that all fetches of one can be held against each other while
 * the storm goes on, and against a directory of the true files when it is over. Then, because to read the
 * files takes time that the storm's figures would show.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "tools/storm/figures.h"

struct truth_entry;

/* Zero is an empty one. */
struct truth {
	void *root;		   /* of tsearch, by path */
	struct truth_entry *first; /* all of them */
};

/* Who asked for what. All strings are the caller's. */
struct truth_asked {
	const char *path;  /* as asked for */
	const char *board; /* "": one without a name, which asks without prefix */
	const char *name;  /* the path without the board's prefix */
	bool guess; /* it may be absent where the directory says nothing of the server's root: ROM and prefix
		     */
};

/* A file came whole. Blames it in `figures` if it is another than before. -ENOMEM. */
int truth_take_file(struct truth *truth, const struct truth_asked *asked, XXH128_hash_t hash, uint64_t bytes,
		    struct figures *figures);

/* The server said its length. */
int truth_take_size(struct truth *truth, const struct truth_asked *asked, uint64_t bytes,
		    struct figures *figures);

/* The server said that it is not there. */
int truth_take_absent(struct truth *truth, const struct truth_asked *asked);

/*
 * Blames what was there at one time and not at another; and, unless `directory` is NULL, what is not as in
 * there. It is laid out as the server's root, or holds the files that every board has: whichever it is, is
 * seen by whether it has a directory of the board's name. -errno: a file of it cannot be read.
 */
int truth_judge(struct truth *truth, const char *directory, struct figures *figures);

void truth_free(struct truth *truth);
