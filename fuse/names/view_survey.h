/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view_survey: all images there are, without looking into any of them.
 *
 * For status and the list of control files, which must neither wait for an image
 * nor push those in use out of memory. So a file that is an image by its content
 * only is found when the mount has been asked for it before.
 */
#pragma once

#include "fuse/names/view.h"

struct view_found {
	char *name;		  /* in the mount */
	struct view_image *image; /* a user of it, if it was met before; else NULL */
	bool gone;		  /* in use, but no name of SOURCE leads to it any more */
	char **boards;		  /* links of SOURCE that lead to it; sorted */
	size_t board_count;
};

struct view_survey {
	struct view_found *found; /* sorted by name, each name once */
	size_t count;
	bool partial; /* SOURCE, or what its links lead to, did not answer in time */
};

/* Where surveys wait for what does not answer. Zero is ready for use. */
struct view_survey_lanes {
	struct lane names, links;
};

/* Blocks, for some 300 ms at most; on one of the queue's threads. -ENOMEM, -EIO when SOURCE cannot be read. */
int view_survey(struct view *view, struct queue *queue, struct view_survey_lanes *lanes, struct view_survey *survey);
void view_survey_free(struct view_survey *survey);

void view_found_free(struct view_found *found); /* what it holds */

/* ---- between view_survey.c and view_boards.c ------------------------------ */

/* An entry of SOURCE that may be an image or lead to one. */
struct view_entry {
	char *file;
	char *text;	/* of a link; else NULL */
	bool resolved;	/* a link with a directory in its text: `st` is what it leads to, no type: nothing */
	struct stat st; /* of a file, followed */
};

/* What the entries amount to. Takes nothing over. -ENOMEM. */
int view_boards(struct view_images *images, const struct view_entry *entries, size_t count, struct view_survey *survey);
