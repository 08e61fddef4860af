/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_file: open, read, release; and the table of operations.
 *
 * Not implemented on purpose: flush and locks (the kernel's local ones serve
 * tftpd-hpa), extended attributes, access (default_permissions does it), and
 * everything that writes: the mount is read-only.
 */
#include <errno.h>
#include <fcntl.h>

#include "fuse/process/daemon.h"
#include "fuse/process/parallel.h"
#include "fuse/request.h"

int try_open(struct request *request, struct cache_op *op)
{
	struct cache_version *version = request->inode->version;
	int error;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	error = cache_version_open(version, op);
	if (error != 0)
		return error;
	/* The pages the kernel has are this version's: always good. */
	request->file.keep_cache = 1;
	if (!request_claim(request)) {
		cache_version_close(version);
		return 0;
	}
	request_opened(request);
	if (fuse_reply_open(request->fuse, &request->file) != 0)
		cache_version_close(version);
	return 0;
}

/* A job without a caller: keep an open file whole while its first reads are answered. */
static int try_keep(struct request *request, struct cache_op *op)
{
	return cache_version_keep(request->inode->version, op);
}

int try_read(struct request *request, struct cache_op *op)
{
	struct cache_bytes bytes;
	int error;

	op->keep_later = true;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	error = cache_version_read(request->inode->version, op, request->offset_bytes, request->length_bytes, &bytes);
	if (error != 0)
		return error;
	if (request_claim(request))
		fuse_reply_buf(request->fuse, (const char *)bytes.data, bytes.length_bytes);
	cache_bytes_release(&bytes);
	if (op->keep_wanted)
		request_in_background(request, try_keep);
	return 0;
}

/* ---- what libfuse calls -------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	struct imagefs *fs = userdata;

	/* Pages are never invalidated: another version is another inode. */
	connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	parallel_want(connection);
	connection->max_background = 64;
	connection->congestion_threshold = 48;
	if (fs->answering)
		fs->answering(fs);
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct request request = { .name = (char *)name };

	if (daemon_is_own_thread(fuse_req_ctx(fuse)->pid)) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	request_start(&request, fuse, parent, try_lookup);
}

static void op_forget(fuse_req_t fuse, fuse_ino_t id, uint64_t count)
{
	struct imagefs *fs = fuse_req_userdata(fuse);

	inodes_forget(fs->inodes, id, count);
	fuse_reply_none(fuse);
}

static void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	struct imagefs *fs = fuse_req_userdata(fuse);

	for (size_t i = 0; i < count; i++)
		inodes_forget(fs->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { 0 };

	(void)file;
	request_start(&request, fuse, id, try_getattr);
}

static void op_readlink(fuse_req_t fuse, fuse_ino_t id)
{
	struct request request = { 0 };

	request_start(&request, fuse, id, try_readlink);
}

static void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { .file = *file };

	request_start(&request, fuse, id, try_opendir);
}

static void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { .file = *file, .large = true };

	if ((file->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(fuse, EROFS);
		return;
	}
	request_start(&request, fuse, id, try_open);
}

static void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	struct request request = {
		.file = *file,
		.offset_bytes = (uint64_t)offset,
		.length_bytes = size_bytes,
		.large = true,
	};

	request_start(&request, fuse, id, try_read);
}

static void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct imagefs *fs = fuse_req_userdata(fuse);
	struct inode *inode = inodes_get(fs->inodes, id);

	(void)file;
	if (inode && inode->kind == INODE_FILE)
		cache_version_close(inode->version);
	inodes_put(fs->inodes, inode);
	fuse_reply_err(fuse, 0);
}

static void op_statfs(fuse_req_t fuse, fuse_ino_t id)
{
	struct request request = { 0 };

	request_start(&request, fuse, id ? id : 1, try_statfs);
}

const struct fuse_lowlevel_ops imagefs_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.statfs = op_statfs,
};
