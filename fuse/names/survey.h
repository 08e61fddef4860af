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

#include <limits.h>

#include "fuse/names/walk.h"

/* A number that no partition has. */
#define VIEW_PARTITION_NONE INT_MAX

struct view_board {
	char *name;
	char *text;    /* where it leads to, in the mount; of links to links the last one */
	int partition; /* of the image; -1: the boot partition; VIEW_PARTITION_NONE: as it is written there is none */
	size_t own_count; /* files of its own (own.h) */
};

struct view_found {
	char *name;		  /* in the mount */
	struct view_image *image; /* a user of it, if it was met before; else NULL */
	size_t own_count;	  /* files of its own (own.h) */
	bool gone;		  /* in use, but no name of SOURCE leads to it any more */
	struct view_board *boards; /* links of SOURCE that lead to it; sorted */
	size_t board_count;
};

/* A link of SOURCE that leads to no image, and to nothing else. */
struct view_bad_link {
	char *name; /* in the mount */
	char *text; /* where it leads to, there; of links to links the last one */
	enum archive_kind archive; /* of VIEW_BAD_ARCHIVE; ARCHIVE_NONE: by its name only */
	enum view_bad { VIEW_BAD_GONE, VIEW_BAD_ARCHIVE, VIEW_BAD_NO_IMAGE, VIEW_BAD_DIRECTORY, VIEW_BAD_ROUND } why;
};

/* A file of SOURCE that is not shown, since it is an archive of an image, or no raw one. */
struct view_archive {
	char *file;
	enum archive_kind kind;
};

struct view_survey {
	struct view_found *found; /* sorted by name, each name once */
	size_t count;
	struct view_bad_link *bad; /* sorted by name */
	size_t bad_count;
	struct view_archive *archives; /* sorted by name */
	size_t archive_count;
	char **links; /* names of all links; sorted */
	size_t link_count;
	bool partial; /* SOURCE, or what its links lead to, did not answer in time */
};

/* Blocks, for WAIT_NAME_NS at most; on one of the queue's threads. -ENOMEM. */
int view_survey(struct view *view, struct queue *queue, struct walk_lanes *lanes, struct view_survey *survey);
void view_survey_free(struct view_survey *survey);

/* The image of that name; NULL. Is there a link of that name? */
struct view_found *view_survey_image(const struct view_survey *survey, const char *name);
bool view_survey_has_link(const struct view_survey *survey, const char *name);
