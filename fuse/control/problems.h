/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * problems: what somebody has to do something about, out of all that status knows.
 *
 * A link that leads to nothing, a board that asks and has no link, an image that is
 * damaged, refuses, or is written for so long that nobody is answered. What was asked
 * for longer than PROBLEM_RECENT_NS ago is none any more: the board was switched off,
 * or has found another way. What is only worth to be known (writes that are not known
 * exactly, names that a Pi asks for and can do without) is none either.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/archive.h"
#include "base/waits.h"

struct status;
struct status_image;

#define PROBLEM_RECENT_NS (600 * WAIT_S)
#define PROBLEM_FLUX_NS (10 * WAIT_S)

enum problem_kind {
	PROBLEM_SOURCE, /* the directory of images does not answer */
	PROBLEM_NO_LINK, /* a board asked, and there is no link of that name */
	PROBLEM_LINK,	/* a link leads to nothing */
	PROBLEM_IMAGE,	/* cannot be understood */
	PROBLEM_FILE,	/* of an image could not be had */
	PROBLEM_WRITES, /* an image is being written, and nobody is answered */
	PROBLEM_KINDS,
};

struct problem {
	enum problem_kind kind;
	char *name;	/* of the board or the image, or SOURCE; in the mount. Any bytes, as the text */
	char *text;	/* a line without its end: "leads to focal, which is not there" */
	int64_t age_ns; /* since it was last asked for; -1: it was not, or that is nothing to it */
};

struct problems {
	struct problem *list; /* by kind, then by name */
	size_t count;
};

/* Of a status that is complete but for them. *problems is to be freed also after -ENOMEM. */
int problems_find(const struct status *status, struct problems *problems);
void problems_free(struct problems *problems);

/* "no_link", for programs. */
const char *problem_kind_name(enum problem_kind kind);

/* Has an image or a link that name, or is it a partition's of an image that is there? Of one that was asked for in vain. */
bool problem_is_named(const struct status *status, const char *name);

/*
 * The command line that makes an image of `file`, a file of SOURCE or elsewhere, or which image was made of
 * it already. Without an end of the line.
 */
void problem_write_archive(FILE *out, const struct status *status, const char *file, enum archive_kind kind);

/* Is the image that comes of `file`, a name in SOURCE, there? */
bool problem_is_unpacked(const struct status *status, const char *file);

/* Is what was last wrong with it a problem still? */
bool problem_is_complaint(const struct status_image *image);

/* A line for each; members of a JSON object, one problem a line, with a comma behind them; metrics. */
void problems_write_text(FILE *out, const struct problems *problems);
void problems_write_json(FILE *out, const struct problems *problems);
void problems_write_metrics(FILE *out, const struct problems *problems);
