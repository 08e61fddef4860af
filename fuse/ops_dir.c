/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ops_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/attributes.h"

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
		atomic_store(&target.image->modified_seconds, target.st.st_mtim.tv_sec);
		asked_enter(&fs->asked, request->caller, request->name, target.image);
		inode = inodes_of_image(fs->inodes, target.image, target.number);
		stat_of_directory(fs->options, 0, target.st.st_mtim.tv_sec, &st);
	}
	return answer_entry(request, inode, &st, ATTRIBUTES_FOR_A_WALK);
}

static int lookup_in_dir(struct request *request, struct cache_op *op, struct cache_dir *dir, struct view_image *image)
{
	struct cache_node node;
	struct stat st;
	int error = cache_dir_lookup(dir, op, request->name, &node);

	if (error != 0)
		return error;
	stat_of_attributes(request->fs->options, &node.attributes, &st);
	return answer_entry(request,
			    inodes_of_node(request->fs->inodes, request->inode, request->name, view_image_ref(image), &node),
			    &st,
			    node.kind == CACHE_NODE_FILE ? ATTRIBUTES_FOR_EVER : ATTRIBUTES_FOR_A_WALK);
}

/* The root directory of an image inode, or of the root when SOURCE is one image. A user of it. */
static int image_root_of(struct request *request, struct cache_op *op, struct cache_dir **dir, struct view_image **image)
{
	struct view_target target = { .number = request->inode->number };
	struct cache_image *cache;
	int error;

	if (request->inode->kind == INODE_ROOT)
		error = view_single(request->fs->view, &target);
	else
		error = (target.image = view_image_ref(request->inode->image)) ? 0 : -EIO;
	if (error != 0)
		return error;
	error = view_image_open(target.image, op, &cache);
	if (error == 0)
		error = cache_image_root(cache, op, target.number, dir);
	if (error != 0) {
		view_image_put(target.image);
		return error;
	}
	*image = target.image;
	return 0;
}

int try_lookup(struct request *request, struct cache_op *op)
{
	struct inode *parent = request->inode;
	struct view_image *image;
	struct cache_dir *root;
	int error;

	if (parent->kind == INODE_DIR)
		return lookup_in_dir(request, op, parent->dir, parent->image);
	if (parent->kind == INODE_ROOT && !view_is_single(request->fs->view))
		return lookup_in_source(request, op);
	if (parent->kind != INODE_ROOT && parent->kind != INODE_IMAGE)
		return -ENOTDIR;
	error = image_root_of(request, op, &root, &image);
	if (error != 0)
		return error;
	error = lookup_in_dir(request, op, root, image);
	cache_dir_put(root);
	view_image_put(image);
	return error;
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

int try_getattr(struct request *request, struct cache_op *op)
{
	struct imagefs *fs = request->fs;
	struct inode *inode = request->inode;
	struct cache_attributes attributes;
	double timeout = ATTRIBUTES_FOR_A_WALK;
	struct stat st;
	int error = 0;

	switch (inode->kind) {
	case INODE_LINK:
		return getattr_link(request, op);
	case INODE_ROOT:
		stat_of_directory(fs->options, inode->id, fs->source_stat.st_mtim.tv_sec, &st);
		break;
	case INODE_IMAGE:
		stat_of_directory(fs->options, inode->id, atomic_load(&inode->image->modified_seconds), &st);
		break;
	case INODE_DIR:
		error = cache_dir_stat(inode->dir, op, &attributes);
		if (error != 0)
			return error;
		stat_of_attributes(fs->options, &attributes, &st);
		break;
	case INODE_FILE:
		cache_version_attributes(inode->version, &attributes);
		stat_of_attributes(fs->options, &attributes, &st);
		timeout = ATTRIBUTES_FOR_EVER;
		break;
	}
	return answer_attributes(request, &st, timeout);
}

int try_readlink(struct request *request, struct cache_op *op)
{
	char text[PATH_MAX];
	int error;

	if (request->inode->kind != INODE_LINK)
		return -ESTALE;
	error = view_read_link(request->fs->view, op, request->inode->name, text, sizeof(text));
	if (error == 0 && request_claim(request)) {
		asked_link(&request->fs->asked, request->caller, request->inode->name, text);
		fuse_reply_readlink(request->fuse, text);
	}
	return error;
}

/* The size of the volume, all of it used: read-only, as squashfs and iso9660 show it. */
int try_statfs(struct request *request, struct cache_op *op)
{
	struct statvfs fs = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255 };
	struct inode *inode = request->inode;
	struct cache_attributes attributes = { 0 };
	struct cache_dir *dir;
	struct view_image *image;
	int error = 0;

	if (inode->kind == INODE_FILE) {
		cache_version_attributes(inode->version, &attributes);
	} else if (inode->kind == INODE_DIR) {
		error = cache_dir_stat(inode->dir, op, &attributes);
	} else if (inode->kind == INODE_IMAGE || view_is_single(request->fs->view)) {
		error = image_root_of(request, op, &dir, &image);
		if (error == 0) {
			error = cache_dir_stat(dir, op, &attributes);
			cache_dir_put(dir);
			view_image_put(image);
		}
	}
	if (error != 0)
		return error;
	if (attributes.cluster_bytes > 0)
		fs.f_bsize = fs.f_frsize = attributes.cluster_bytes;
	fs.f_blocks = attributes.cluster_count;
	if (request_claim(request))
		fuse_reply_statfs(request->fuse, &fs);
	return 0;
}

/* ---- directories --------------------------------------------------------- */

/* An open directory: its names, from the image or from SOURCE. */
struct open_dir {
	struct cache_listing listing;
	struct view_list list;
	bool of_source;
};

static size_t open_dir_count(const struct open_dir *dir)
{
	return dir->of_source ? dir->list.count : dir->listing.count;
}

static const char *open_dir_name(const struct open_dir *dir, size_t index, mode_t *mode)
{
	if (dir->of_source) {
		*mode = dir->list.names[index].is_link ? S_IFLNK : S_IFDIR;
		return dir->list.names[index].name;
	}
	*mode = dir->listing.entries[index].is_directory ? S_IFDIR : S_IFREG;
	return dir->listing.entries[index].name;
}

static void open_dir_free(struct open_dir *dir)
{
	cache_listing_free(&dir->listing);
	view_list_free(&dir->list);
	free(dir);
}

static int list_of_inode(struct request *request, struct cache_op *op, struct open_dir *dir)
{
	struct inode *inode = request->inode;
	struct view_image *image;
	struct cache_dir *root;
	int error;

	if (inode->kind == INODE_DIR)
		return cache_dir_list(inode->dir, op, &dir->listing);
	if (inode->kind == INODE_ROOT && !view_is_single(request->fs->view)) {
		dir->of_source = true;
		return view_list(request->fs->view, op, request->fs->queue, &dir->list);
	}
	if (inode->kind != INODE_ROOT && inode->kind != INODE_IMAGE)
		return -ENOTDIR;
	error = image_root_of(request, op, &root, &image);
	if (error != 0)
		return error;
	error = cache_dir_list(root, op, &dir->listing);
	cache_dir_put(root);
	view_image_put(image);
	return error;
}

int try_opendir(struct request *request, struct cache_op *op)
{
	struct open_dir *dir = calloc(1, sizeof(*dir));
	int error;

	if (!dir)
		return -ENOMEM;
	error = list_of_inode(request, op, dir);
	if (error != 0) {
		open_dir_free(dir);
		return error;
	}
	request->file.fh = (uintptr_t)dir;
	if (!request_claim(request) || fuse_reply_open(request->fuse, &request->file) != 0)
		open_dir_free(dir);
	return 0;
}

/* Offsets count entries: 0 ".", 1 "..", then the names. */
void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	const struct open_dir *dir = (const struct open_dir *)(uintptr_t)file->fh;
	size_t used = 0, count = open_dir_count(dir) + 2;
	char *buffer = malloc(size_bytes);

	(void)id;
	if (!buffer) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	for (size_t at = (size_t)offset; at < count; at++) {
		/* The number is only known to those who look the name up; 0 would hide the entry. */
		struct stat st = { .st_mode = S_IFDIR, .st_ino = 0xffffffff };
		const char *name = at == 0 ? "." : at == 1 ? ".." : open_dir_name(dir, at - 2, &st.st_mode);
		size_t need = fuse_add_direntry(fuse, buffer + used, size_bytes - used, name, &st, (off_t)at + 1);

		if (need > size_bytes - used)
			break;
		used += need;
	}
	fuse_reply_buf(fuse, buffer, used);
	free(buffer);
}

void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	open_dir_free((struct open_dir *)(uintptr_t)file->fh);
	fuse_reply_err(fuse, 0);
}
