/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey: all images there are, without looking into any of them.
 *
 * For status and the list of control files, which must neither wait for an image
 * nor push those in use out of memory. So a file that is an image by its content
 * only is found when the mount has been asked for it before.
 */
#pragma once

#include "fuse/names/boards.h"
#include "fuse/names/view.h"
#include "fuse/process/queue.h"

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
