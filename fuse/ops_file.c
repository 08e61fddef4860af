/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ops_file.h"

#include <errno.h>

#include "fuse/request_asked.h"

static void close_file(struct imagefs *fs, struct inode *inode, struct place *place)
{
	cache_version_close(place->version);
	inodes_closed(fs->inodes, inode);
}

static void answer_open(struct request *request, struct place *place)
{
	struct imagefs *fs = request->fs;

	inodes_opened(fs->inodes, request->inode, place);
	/* The pages the kernel has are this version's: always good. */
	request->file.keep_cache = 1;
	if (!request_claim(request)) {
		close_file(fs, request->inode, place);
		return;
	}
	request_opened(&fs->asked, request->caller, place->image, request->inode);
	if (fuse_reply_open(request->fuse, &request->file) != 0)
		close_file(fs, request->inode, place);
}

int try_open(struct request *request, struct cache_op *op)
{
	struct place *place;
	int error;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	place = inodes_place(request->fs->inodes, request->inode);
	if (!place)
		return -ESTALE; /* let go: the kernel looks the name up once more */
	error = cache_version_open(place->version, op);
	if (error == 0)
		answer_open(request, place);
	place_put(place);
	return error;
}

/* A job without a caller: keep an open file whole while its first reads are answered. */
static int try_keep(struct request *request, struct cache_op *op)
{
	struct place *place = inodes_place(request->fs->inodes, request->inode);
	int error = place ? cache_version_keep(place->version, op) : 0;

	place_put(place);
	return error;
}

static const struct request_call keep = { .name = "read", .attempt = try_keep };

int try_read(struct request *request, struct cache_op *op)
{
	struct cache_bytes bytes;
	struct place *place;
	int error;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	place = inodes_place(request->fs->inodes, request->inode);
	if (!place)
		return -ESTALE;
	error = cache_version_read(place->version, op, request->offset_bytes, request->length_bytes, &bytes);
	if (op->keep_wanted)
		request_in_background(request, &keep);
	if (error == 0) {
		if (request_claim(request))
			fuse_reply_buf(request->fuse, (const char *)bytes.data, bytes.length_bytes);
		cache_bytes_release(&bytes);
	}
	place_put(place);
	return error;
}

void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct imagefs *fs = fuse_req_userdata(fuse);
	struct inode *inode = inodes_get(fs->inodes, id);
	struct place *place = inode ? inodes_place(fs->inodes, inode) : NULL;

	(void)file;
	if (place && inode->kind == INODE_FILE)
		close_file(fs, inode, place);
	place_put(place);
	inodes_put(fs->inodes, inode);
	fuse_reply_err(fuse, 0);
}
