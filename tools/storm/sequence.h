/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sequence: what a board asks for, in its order. A text of lines, of which tests/data/firmware/README is the
 * reference; those of Pi 3, 4 and 5 are built in. What that text has for tests of lost packets (`repeat`,
 * `deaf`) is a plain fetch here: a load must not wait for what nobody lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum step_kind {
	STEP_BLKSIZE, /* number: from now on ask for this block size */
	STEP_SLASHES, /* number: so many between prefix and name */
	STEP_ROM,     /* the Pi 3's boot ROM: without prefix, without options */
	STEP_PREFIX,  /* names, the first of `names`: is one there? Else there is no prefix from now on */
	STEP_PROBE,   /* is it there? */
	STEP_FETCH,   /* fetch it, if it is there */
	STEP_WANTED,  /* fetch it; it is wrong if it is not there */
	STEP_FILE,    /* probe, and if it is there fetch */
};

struct step {
	enum step_kind kind;
	unsigned number;
	size_t names; /* PREFIX: how many steps from this one on are of the same question */
	char *name;   /* owned by the sequence */
};

struct sequence {
	struct step *steps;
	size_t count;
};

/* "3", "4", "5"; NULL: no such model is known. */
const char *sequence_of_model(const char *model);

/* The content of a file, for the caller to free; NULL and errno. */
char *sequence_load(const char *path);

/*
 * Reads `text`. `directory` is where the true files are, of which a line `dir NAME` takes those in NAME;
 * NULL: such a line is left out. -errno; -EINVAL with the number of the bad line in *line. Frees nothing of
 * `sequence`, which is to be freed in each case.
 */
int sequence_read(struct sequence *sequence, const char *text, const char *directory, size_t *line);

/* One more step; a copy of `name`. -ENOMEM. */
int sequence_add(struct sequence *sequence, enum step_kind kind, const char *name, unsigned number);

void sequence_free(struct sequence *sequence);
