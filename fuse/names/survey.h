/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey: all images there are and the boards that are led to them, without looking
 * into any of them.
 *
 * For status and the list of control files, which must neither wait for an image
 * nor push those in use out of memory. So a file that is an image by its content
 * only is found when the mount has been asked for it before.
 */
#pragma once

#include "fuse/names/walk.h"

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

/* Blocks, for WAIT_NAME_NS at most; on one of the queue's threads. -ENOMEM. */
int view_survey(struct view *view, struct queue *queue, struct walk_lanes *lanes, struct view_survey *survey);
void view_survey_free(struct view_survey *survey);
