/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sweep: images that no name leads to any more are closed (CONTRACT S5): deleted, replaced
 * by rename, moved away, or behind a link that was removed.
 *
 * A deleted file shows that itself. The rest is in SOURCE, which is looked at when it has
 * changed. Files that are open in such an image stay readable until they are closed;
 * whatever else holds the image open is given back, at each sweep.
 */
#pragma once

#include "fuse/names/walk.h"

/* What was seen of SOURCE by the last sweep. Zero is ready for use. */
struct sweep {
	struct walk_lanes lanes;
	struct stat seen;
	bool complete; /* all of SOURCE was known then */
};

/* Every few seconds, on one of the queue's threads. Blocks as long as the directory of SOURCE does. */
void sweep_images(struct sweep *sweep, struct view *view, struct queue *queue);
