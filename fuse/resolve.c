/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/resolve.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "fuse/names/image_open.h"

static int image_of(struct view *view, struct cache_op *op, const struct inode *inode,
		    int (*lookup)(struct view *view, struct cache_op *op, const char *name, struct view_target *target),
		    struct view_target *target)
{
	const struct inode *top = inode->top;
	int error;

	if (top->kind == INODE_ROOT)
		return view_is_single(view) ? view_single(view, op, target) : -ENOTDIR;
	if (top->kind != INODE_IMAGE)
		return -ENOTDIR;
	error = lookup(view, op, top->name, target);
	/* A link of that name is another directory: whoever comes by path goes there. */
	return error == 0 && target->kind != VIEW_IMAGE ? -ESTALE : error;
}

int resolve_image(struct view *view, struct cache_op *op, const struct inode *inode,
		  struct view_target *target)
{
	return image_of(view, op, inode, view_lookup, target);
}

/* The root of that partition of the image, and the image: a user of each. */
static int root_of(struct view *view, struct cache_op *op, const struct inode *inode,
		   struct view_image **image, struct cache_dir **root, bool *own)
{
	struct view_target target;
	struct cache_image *cache;
	int error = image_of(view, op, inode, view_lookup_which, &target);

	if (error != 0)
		return error;
	error = view_image_open(target.image, op, &cache);
	if (error == 0)
		error = cache_image_root(cache, op, target.number, root);
	if (error != 0)
		view_image_put(target.image);
	*image = target.image;
	*own = target.own && inode == inode->top;
	return error;
}

/* From the inode up: its name and those of the directories above it. */
static const char **path_of(const struct inode *inode)
{
	const char **names = calloc(inode->depth + 1, sizeof(*names));

	for (unsigned i = inode->depth; names && i-- > 0; inode = inode->parent)
		names[i] = inode->name;
	return names;
}

/* The directory at that path of the partition, a user of it. Bounded by the depth that cache/ allows. */
static int walk(struct cache_dir *root, struct cache_op *op, const struct inode *inode,
		struct cache_dir **dir)
{
	CLEANUP_FREE const char **names = path_of(inode);
	struct cache_node node;
	int error = names ? 0 : -ENOMEM;

	*dir = cache_dir_ref(root);
	for (size_t i = 0; error == 0 && names[i]; i++) {
		error = cache_dir_lookup(*dir, op, names[i], &node);
		if (error != 0)
			break;
		if (node.kind == CACHE_NODE_DIR) {
			cache_dir_put(*dir);
			*dir = node.dir;
		} else {
			cache_version_put(node.version);
			error = -ESTALE;
		}
	}
	if (error != 0)
		cache_dir_put(*dir);
	return error;
}

/* The place of the inode now: a user of it. `anew`: the last one does not stand any more. */
static int find_place(struct view *view, struct inodes *inodes, struct cache_op *op, struct inode *inode,
		      bool anew, struct place **place, bool *own)
{
	struct view_image *image;
	struct cache_dir *root, *dir;
	struct place *last;
	int error = root_of(view, op, inode, &image, &root, own);

	if (error != 0)
		return error;
	last = inodes_place(inodes, inode);
	if (last && last->root == root && !anew) {
		cache_dir_put(root);
		view_image_put(image);
		*place = last;
		return 0;
	}
	place_put(last);
	error = walk(root, op, inode, &dir);
	if (error != 0) {
		cache_dir_put(root);
		view_image_put(image);
		return error;
	}
	*place = place_new(image, root, dir, NULL);
	if (*place)
		inodes_bind(inodes, inode, *place);
	return *place ? 0 : -ENOMEM;
}

int resolve_directory(struct view *view, struct inodes *inodes, struct cache_op *op, struct inode *inode,
		      resolve_act act, void *context)
{
	struct place *place;
	int error = -ENOTDIR;
	bool own;

	if (inode->kind == INODE_FILE || inode->kind == INODE_LINK)
		return error;
	for (int try = 0; try < 2; try++) {
		error = find_place(view, inodes, op, inode, try > 0, &place, &own);
		if (error != 0)
			return error;
		error = act(context, op, place, own);
		place_put(place);
		if (error != -ESTALE)
			break;
	}
	return error;
}
