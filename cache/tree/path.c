/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/path.h"

#include <errno.h>

#include "base/waits.h"
#include "cache/tree/volume.h"

static bool is_as_seen(const struct cache_dir *dir)
{
	const struct cache_image *image = dir->image;

	return dir->cached.loaded && dir->cached.error == 0 && dir->slots &&
	       dir->path_checked == image->seen.generation && image->seen.in_flight == 0;
}

/*
 * It and those above it that have to be looked at, from the highest down, linked
 * by `down`. Each is pinned: what the refresh finds may detach it (which makes lists
 * of `link`), and the caller still has to hear of it. As long as the path, at most DIR_DEPTH_MAX.
 */
static struct cache_dir *pin_path(struct cache_dir *dir)
{
	struct cache_dir *down = NULL;

	for (; dir && !is_as_seen(dir); dir = dir->parent) {
		node_pin(&dir->node);
		dir->down = down;
		down = dir;
	}
	return down;
}

/* `dir` is pinned by the caller. */
static int refresh_path(struct cache_dir *dir, struct cache_dir *path, struct cache_op *op)
{
	struct cache_image *image = dir->image;
	uint64_t generation = image->seen.generation;
	int error = path && !path->parent ? volume_refresh(path->volume, op) : 0;

	/* From the root down, so that a directory whose entry is gone is detached before it is believed. */
	for (struct cache_dir *at = path; at && error == 0 && !at->detached; at = at->down) {
		error = dir_refresh_content(at, op);
		if (error == 0 && image->seen.generation == generation)
			at->path_checked = generation;
		/* A deep path of wide directories needs one of them at a time. */
		if (at != dir && image_is_crowded(image))
			dir_reduce(at);
	}
	return dir->detached ? -ESTALE : error;
}

static int refresh_once(void *object, struct cache_op *op)
{
	struct cache_dir *dir = object, *path;
	int error;

	if (dir->detached)
		return -ESTALE;
	path = pin_path(dir);
	error = refresh_path(dir, path, op);
	while (path) {
		struct cache_dir *at = path;

		path = at->down;
		node_unpin(&at->node);
		dir_free_if_gone(at);
	}
	return error;
}

static int complete_once(void *object, struct cache_op *op)
{
	struct cache_dir *dir = object;
	int error = refresh_once(dir, op);

	return error == 0 && dir->partial ? dir_complete_content(dir, op) : error;
}

int path_until_one_generation(struct cache_image *image, struct cache_op *op, int (*once)(void *object, struct cache_op *op),
			      void *object)
{
	for (int try = 0; try < REFRESH_TRIES; try++) {
		uint64_t generation = image->seen.generation;
		int error = once(object, op);

		if (error != 0 || image->seen.generation == generation)
			return error;
	}
	op->retry_ns = WAIT_RETRY_NS;
	return -EINPROGRESS;
}

int path_refresh_dir(struct cache_dir *dir, struct cache_op *op)
{
	return path_until_one_generation(dir->image, op, refresh_once, dir);
}

int path_complete_dir(struct cache_dir *dir, struct cache_op *op)
{
	return path_until_one_generation(dir->image, op, complete_once, dir);
}

static int refresh_version_once(void *object, struct cache_op *op)
{
	struct cache_version *version = object;
	int error;

	if (version->detached)
		return -ESTALE;
	error = version->retired ? path_complete_dir(version->dir, op) : path_refresh_dir(version->dir, op);
	if (version->detached)
		return -ESTALE;
	if (error != 0)
		return error;
	if (version->retired && !dir_has_entry(version->dir, &version->entry))
		return dir_supersede(version);
	error = version_refresh_chain(version, op);
	return version->chain_changed ? dir_supersede(version) : error;
}

int path_refresh_version(struct cache_version *version, struct cache_op *op)
{
	return path_until_one_generation(version->image, op, refresh_version_once, version);
}
