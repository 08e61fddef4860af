/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * walk: what each name of SOURCE is, all at once.
 *
 * Names that need not wait (what they lead to is in the page cache, and was found by the
 * last listing) are looked up in place, the others side by side in their own lanes; those that do not answer in time
 * are told as they are: one dead device must not hide ten thousand boards.
 *
 * Side by side, but only so many at a time: each is a thread, and ten thousand of
 * them would cost more memory than all else. As long as they come back, more are
 * of no use, and the rest is worth waiting for; when none does, more are sent
 * after them. Those without a suffix go first, since nothing is known of them:
 * a listing without them says that they are not there.
 */
#pragma once

#include "fuse/names/view.h"
#include "fuse/names/walk_name.h"
#include "fuse/process/queue.h"

struct walk;

/* Where it waits for SOURCE, and for what links lead to. Zero is ready for use. */
struct walk_lanes {
	struct lane names, links;
};

/*
 * Look SOURCE up, until all is known, or nothing comes back, or the time is over that so many names may
 * take (waits.h). With `lanes`, SOURCE itself
 * is read in one of them, no image is opened, and it takes WAIT_NAME_NS at most; what hangs
 * then holds some threads, whatever the number of names, and no lane of the mount's. Blocks;
 * on one of the queue's threads. NULL: no memory.
 */
struct walk *walk_source(struct view *view, struct queue *queue, struct walk_lanes *lanes);

/*
 * When a walk that looks into images last got further: in reading SOURCE, which may hang; behind that it ends by itself,
 * so that it is now. 0: never. For who decides whether such a walk hangs. Lock-free.
 */
int64_t walk_moved_ns(void);
void walk_put(struct walk *walk); /* whatever still hangs goes on alone */

size_t walk_count(struct walk *walk);

/*
 * Call `each` with every name, under the walk's lock. The first error of those; else what
 * kept SOURCE from being read: -EIO, -ENOMEM, -ETIMEDOUT.
 */
int walk_each(struct walk *walk, int (*each)(void *context, const struct walk_name *name), void *context);
