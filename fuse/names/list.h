/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: all names of the mount's root, for readdir.
 *
 * Ten thousand images on slow storage take their time: so the names are found by a job, and can be dealt while they come.
 * The kernel holds the directory's lock during each readdir, and who creates a name waits for that (to be told that nothing can be created
 * here), and behind him everybody who looks a new name up: no readdir is to last as long as a listing.
 */
#pragma once

#include "fuse/names/view.h"
#include "fuse/process/queue.h"

struct view_listing;

/*
 * Begin: the job is run in `lane`. One user, the caller; all borrowed for as long as the process. NULL: no memory. An image that
 * does not answer within WAIT_NAME_NS is listed without its partitions.
 */
struct view_listing *view_listing_start(struct view *view, struct queue *queue, struct lane *lane);
struct view_listing *view_listing_ref(struct view_listing *listing);
void view_listing_put(struct view_listing *listing); /* NULL is fine */

/* Nobody wants to know the rest: it ends soon, with -ECANCELED if that was before all is known. NULL is fine. */
void view_listing_stop(struct view_listing *listing);

/*
 * Wait until all names are there: 0; or, when WAIT_LISTING_PIECE_NS are over, so many bytes of them: 1 (SIZE_MAX: for all). -EIO,
 * -ENOMEM, -ETIMEDOUT: SOURCE cannot be read. Blocks.
 */
int view_listing_wait(struct view_listing *listing, size_t least_bytes);

/*
 * The names that are there, each once, as dirents.h has them, for the caller to free: sorted, or in the order in which they came.
 * What came is what the next call begins with. -ENOMEM.
 */
int view_listing_bytes(struct view_listing *listing, bool sorted, char **bytes, size_t *length_bytes);

/* Is nothing listed? Looks at all names; blocks. False too where that is not known. */
bool view_lists_nothing(struct view *view, struct queue *queue);

/* Does a look at SOURCE's names alone tell that there is something to list? Opens no image. */
bool view_has_names(const struct view *view);
