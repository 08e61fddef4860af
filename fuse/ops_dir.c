/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ops_dir.h"

#include <errno.h>
#include <limits.h>

#include "fuse/attributes.h"
#include "fuse/names/own.h"
#include "fuse/resolve.h"

/* ---- lookup -------------------------------------------------------------- */

static int answer_entry(struct request *request, struct inode *inode, const struct stat *st, double timeout)
{
	struct fuse_entry_param entry = {
		.ino = inode ? inode->id : 0,
		.attr_timeout = timeout,
		.entry_timeout = 0,
	};

	if (!inode)
		return -ENOMEM;
	entry.attr = *st;
	entry.attr.st_ino = inode->id;
	/* Not ours to answer any more, or the caller was interrupted: the kernel never hears of the inode. */
	if (!request_claim(request) || fuse_reply_entry(request->fuse, &entry) != 0)
		inodes_forget(request->fs->inodes, entry.ino, 1);
	inodes_put(request->fs->inodes, inode);
	return 0;
}

static int lookup_in_source(struct request *request, struct cache_op *op)
{
	struct imagefs *fs = request->fs;
	struct view_target target;
	struct inode *inode;
	struct stat st;
	int error = view_lookup(fs->view, op, request->name, &target);

	if (error != 0)
		return error;
	if (target.kind == VIEW_LINK) {
		inode = inodes_of_link(fs->inodes, request->name);
		stat_of_link(fs->options, 0, &target, &st);
	} else {
		/* A board's link that stands as a directory: whoever goes on does so for that board. */
		if (target.through_link)
			asked_link(&fs->asked, request->caller, request->name, request->name);
		asked_enter(&fs->asked, request->caller, request->name, target.image);
		inode = inodes_of_image(fs->inodes, request->name, target.image);
		stat_of_directory(fs->options, 0, target.st.st_mtim.tv_sec, &st);
	}
	return answer_entry(request, inode, &st, ATTRIBUTES_FOR_A_WALK);
}

/* The file of the name's own that `name` finds. 0: it was answered; -ENOENT: there is none. */
static int lookup_own(struct request *request, struct cache_op *op, const struct place *place, const char *directory,
		      const struct fat_names *names, const char *name)
{
	struct imagefs *fs = request->fs;
	const char *found = fat_names_find(names, name);
	struct own_file *file;
	struct stat st;
	int error;

	if (!found)
		return -ENOENT;
	if (!own_names_is_served(names, found))
		return OWN_TOO_MANY;
	error = own_files_find(fs->own, op, directory, found, &file);
	if (error != 0)
		return error;
	stat_of_own(fs->options, own_file_id(file), own_file_stat(file), &st);
	return answer_entry(request, inodes_of_own(fs->inodes, request->inode, request->name, place, file), &st,
			    ATTRIBUTES_FOR_EVER);
}

static int lookup_node(struct request *request, const struct place *place, const struct cache_node *node)
{
	struct stat st;

	stat_of_attributes(request->fs->options, &node->attributes, &st);
	return answer_entry(request, inodes_of_node(request->fs->inodes, request->inode, request->name, place, node), &st,
			    node->kind == CACHE_NODE_FILE ? ATTRIBUTES_FOR_EVER : ATTRIBUTES_FOR_A_WALK);
}

static void node_put(const struct cache_node *node)
{
	if (node->kind == CACHE_NODE_DIR)
		cache_dir_put(node->dir);
	else
		cache_version_put(node->version);
}

/* What the image has under that name may be hidden by another spelling of it, or by its long name. */
static int lookup_with_own(struct request *request, struct cache_op *op, const struct place *place)
{
	char directory[NAME_MAX + 1];
	struct fat_names names;
	struct cache_node node;
	int error = own_directory(directory, request->inode->name) ? own_names_read(directory, op, &names) : -EIO;

	if (error != 0)
		return error;
	error = lookup_own(request, op, place, directory, &names, request->name);
	if (error == -ENOENT) {
		error = cache_dir_lookup(place->dir, op, request->name, &node);
		if (error == 0 && fat_names_find(&names, node.name)) {
			node_put(&node);
			error = lookup_own(request, op, place, directory, &names, node.name);
		} else if (error == 0) {
			error = lookup_node(request, place, &node);
		}
	}
	fat_names_free(&names);
	return error;
}

static int lookup_in_place(void *context, struct cache_op *op, const struct place *place, bool own)
{
	struct request *request = context;
	struct cache_node node;
	int error;

	if (own)
		return lookup_with_own(request, op, place);
	error = cache_dir_lookup(place->dir, op, request->name, &node);
	return error != 0 ? error : lookup_node(request, place, &node);
}

/* The root of the mount, when it is the list of images? */
static bool is_source(const struct request *request)
{
	return request->inode->kind == INODE_ROOT && !view_is_single(request->fs->view);
}

static int in_directory(struct request *request, struct cache_op *op, resolve_act act)
{
	return resolve_directory(request->fs->view, request->fs->inodes, op, request->inode, act, request);
}

int try_lookup(struct request *request, struct cache_op *op)
{
	return is_source(request) ? lookup_in_source(request, op) : in_directory(request, op, lookup_in_place);
}

/* ---- attributes ---------------------------------------------------------- */

static int answer_attributes(struct request *request, const struct stat *st, double timeout)
{
	if (request_claim(request))
		fuse_reply_attr(request->fuse, st, timeout);
	return 0;
}

static int getattr_link(struct request *request, struct cache_op *op)
{
	struct view_target target;
	struct stat st;
	int error = view_lookup(request->fs->view, op, request->inode->name, &target);

	if (error == 0 && target.kind != VIEW_LINK) {
		view_image_put(target.image);
		error = -ESTALE;
	}
	if (error != 0)
		return error;
	stat_of_link(request->fs->options, request->inode->id, &target, &st);
	return answer_attributes(request, &st, 0);
}

/* A mount stays what it is when SOURCE is away: its contents tell. */
static int getattr_root(struct request *request, struct cache_op *op)
{
	struct stat source, st;
	int error = view_source_stat(op, view_source(request->fs->view), &source);

	if (error == -EAGAIN)
		return error;
	if (error != 0)
		source = request->fs->source_stat;
	stat_of_directory(request->fs->options, request->inode->id, source.st_mtim.tv_sec, &st);
	return answer_attributes(request, &st, ATTRIBUTES_FOR_A_WALK);
}

static int getattr_image(struct request *request, struct cache_op *op)
{
	struct view_target target;
	struct stat st;
	int error = resolve_image(request->fs->view, op, request->inode, &target);

	if (error != 0)
		return error;
	view_image_put(target.image);
	stat_of_directory(request->fs->options, request->inode->id, target.st.st_mtim.tv_sec, &st);
	return answer_attributes(request, &st, ATTRIBUTES_FOR_A_WALK);
}

static int getattr_in_place(void *context, struct cache_op *op, const struct place *place, bool own)
{
	struct request *request = context;
	struct cache_attributes attributes;
	struct stat st;
	int error = cache_dir_stat(place->dir, op, &attributes);

	(void)own;
	if (error != 0)
		return error;
	attributes.id = request->inode->id;
	stat_of_attributes(request->fs->options, &attributes, &st);
	return answer_attributes(request, &st, ATTRIBUTES_FOR_A_WALK);
}

static int getattr_file(struct request *request)
{
	struct place *place = inodes_place(request->fs->inodes, request->inode);
	struct cache_attributes attributes;
	struct stat st;

	if (!place)
		return -ESTALE;
	if (place->own) {
		stat_of_own(request->fs->options, request->inode->id, own_file_stat(place->own), &st);
	} else {
		cache_version_attributes(place->version, &attributes);
		stat_of_attributes(request->fs->options, &attributes, &st);
	}
	place_put(place);
	return answer_attributes(request, &st, ATTRIBUTES_FOR_EVER);
}

int try_getattr(struct request *request, struct cache_op *op)
{
	switch (request->inode->kind) {
	case INODE_LINK:
		return getattr_link(request, op);
	case INODE_ROOT:
		return getattr_root(request, op);
	case INODE_IMAGE:
		return getattr_image(request, op);
	case INODE_DIR:
		return in_directory(request, op, getattr_in_place);
	case INODE_FILE:
		return getattr_file(request);
	}
	return -EIO;
}

int try_readlink(struct request *request, struct cache_op *op)
{
	char text[PATH_MAX];
	int error;

	if (request->inode->kind != INODE_LINK)
		return -ESTALE;
	error = view_read_link(request->fs->view, op, request->inode->name, text);
	if (error == 0 && request_claim(request)) {
		asked_link(&request->fs->asked, request->caller, request->inode->name, text);
		fuse_reply_readlink(request->fuse, text);
	}
	return error;
}

/* ---- statfs -------------------------------------------------------------- */

static int answer_statfs(struct request *request, const struct cache_attributes *attributes)
{
	struct statvfs fs = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255 };

	if (attributes->cluster_bytes > 0)
		fs.f_bsize = fs.f_frsize = attributes->cluster_bytes;
	fs.f_blocks = attributes->cluster_count;
	if (request_claim(request))
		fuse_reply_statfs(request->fuse, &fs);
	return 0;
}

static int statfs_in_place(void *context, struct cache_op *op, const struct place *place, bool own)
{
	struct cache_attributes attributes;
	int error = cache_dir_stat(place->dir, op, &attributes);

	(void)own;
	return error != 0 ? error : answer_statfs(context, &attributes);
}

/* The size of the volume, all of it used: read-only, as squashfs and iso9660 show it. */
int try_statfs(struct request *request, struct cache_op *op)
{
	struct cache_attributes attributes = { 0 };
	struct place *place;

	if (is_source(request) || request->inode->kind == INODE_LINK)
		return answer_statfs(request, &attributes);
	if (request->inode->kind != INODE_FILE)
		return in_directory(request, op, statfs_in_place);
	place = inodes_place(request->fs->inodes, request->inode);
	if (!place)
		return -ESTALE;
	if (place->version)
		cache_version_attributes(place->version, &attributes);
	place_put(place);
	return answer_statfs(request, &attributes);
}
