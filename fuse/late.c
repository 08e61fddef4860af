/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/late.h"

#include <stdlib.h>

/* So often it is looked whether the copy is made, and the image still there. */
#define ROUNDS (WAIT_KEEP_LATE_NS / WAIT_SWEEP_NS)

struct late {
	struct job job; /* first */
	struct imagefs *fs;
	struct inode *inode; /* a reference */
	struct place *place; /* a user of it */
	bool open;	     /* the version, for as long as it is kept */
	int rounds;
};

/*
 * No user's hold (holds.h) is taken: this opens nothing for a user. It has a user of the place, which
 * keeps the version, the image and its lane until late_done; the version, once open, refuses no other who opens it, and
 * one that is no more the file's cannot be opened (-ESTALE), which is the end here. What it costs others of the image
 * is the room for one copy in the image's own share; for others than that it is one image that cannot be closed, for
 * WAIT_KEEP_LATE_NS at most.
 */
static int64_t late_run(struct job *job)
{
	struct late *late = (struct late *)job;
	struct cache_op op = { .may_block = true };

	if (!late->open && cache_version_open(late->place->version, &op) != 0)
		return 0;
	late->open = true;
	/* Where content has to last before it is believed, it takes two. */
	cache_version_keep(late->place->version, &op);
	return ++late->rounds < ROUNDS && !view_image_is_gone(late->place->image) ? WAIT_SWEEP_NS : 0;
}

static void late_done(struct job *job)
{
	struct late *late = (struct late *)job;

	if (late->open)
		cache_version_close(late->place->version);
	place_put(late->place);
	atomic_store(&late->inode->late, false);
	inodes_put(late->fs->inodes, late->inode);
	free(late);
}

/* Where nothing is believed from one open to the next, and there is no time to compare it: then it is of no use. */
static bool is_slow(const struct view_image *image)
{
	struct cache_image *cache = atomic_load(&image->cache);

	return cache && cache_image_is_slow(cache);
}

void late_keep(const struct request *request)
{
	struct inodes *inodes = request->fs->inodes;
	struct late *late;

	if (request->inode->kind != INODE_FILE || atomic_exchange(&request->inode->late, true))
		return;
	late = calloc(1, sizeof(*late));
	if (late)
		late->place = inodes_place(inodes, request->inode);
	if (!late || !late->place || !late->place->version || is_slow(late->place->image)) {
		atomic_store(&request->inode->late, false);
		place_put(late ? late->place : NULL);
		free(late);
		return;
	}
	late->fs = request->fs;
	late->inode = inodes_get(inodes, request->inode->id);
	late->job = (struct job){ .run = late_run, .done = late_done, .lane = &late->place->image->lane };
	queue_submit(request->fs->queue, &late->job);
}
