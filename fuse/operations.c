/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/operations.h"

#include <errno.h>
#include <fcntl.h>

#include "fuse/late.h"
#include "fuse/listing.h"
#include "fuse/ops_dir.h"
#include "fuse/process/daemon.h"
#include "fuse/process/parallel.h"
#include "fuse/remount.h"
#include "fuse/request_asked.h"
#include "fuse/request_run.h"

/* ---- files ------------------------------------------------------------------ */

/* As long as it is open, file->fh is its hold. */
static void close_file(struct imagefs *fs, struct inode *inode, struct place *place, const struct fuse_file_info *file)
{
	if (place->own)
		own_file_close(place->own);
	else
		cache_version_close(place->version);
	inodes_closed(fs->inodes, inode);
	hold_put(fs->holds, (struct hold *)(uintptr_t)file->fh);
}

static void answer_open(struct request *request, struct place *place, struct hold *hold)
{
	struct imagefs *fs = request->fs;

	request->file.fh = (uintptr_t)hold;
	inodes_opened(fs->inodes, request->inode, place);
	/* The pages the kernel has are this version's: always good. */
	request->file.keep_cache = 1;
	if (!request_claim(request)) {
		close_file(fs, request->inode, place, &request->file);
		return;
	}
	request_opened(&fs->asked, request->caller, place->image, request->inode);
	if (fuse_reply_open(request->fuse, &request->file) != 0)
		close_file(fs, request->inode, place, &request->file);
}

static int try_open(struct request *request, struct cache_op *op)
{
	struct place *place;
	struct hold *hold;
	int error;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	place = inodes_place(request->fs->inodes, request->inode);
	if (!place)
		return -ESTALE; /* let go: the kernel looks the name up once more */
	error = hold_take(request->fs->holds, request->user, place->image, &hold);
	if (error == 0) {
		error = place->own ? own_file_open(place->own, op) : cache_version_open(place->version, op);
		if (error == 0)
			answer_open(request, place, hold);
		else
			hold_put(request->fs->holds, hold);
	}
	place_put(place);
	return error;
}

/* A job without a caller: keep an open file whole while its first reads are answered. */
static int try_keep(struct request *request, struct cache_op *op)
{
	struct place *place = inodes_place(request->fs->inodes, request->inode);
	int error = place && place->version ? cache_version_keep(place->version, op) : 0;

	place_put(place);
	return error;
}

static const struct request_call keep = { .name = "read", .attempt = try_keep };

/* It is in memory. */
static int answer_own(struct request *request, struct own_file *file)
{
	const unsigned char *data = NULL;
	ssize_t length = own_file_read(file, request->offset_bytes, request->length_bytes, &data);

	if (length < 0)
		return (int)length;
	if (request_claim(request))
		fuse_reply_buf(request->fuse, (const char *)data, (size_t)length);
	own_file_close(file);
	return 0;
}

static int try_read(struct request *request, struct cache_op *op)
{
	struct cache_bytes bytes;
	struct place *place;
	int error;

	if (request->inode->kind != INODE_FILE)
		return -EISDIR;
	place = inodes_place(request->fs->inodes, request->inode);
	if (!place)
		return -ESTALE;
	if (place->own) {
		error = answer_own(request, place->own);
		place_put(place);
		return error;
	}
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

/* ---- what libfuse calls ------------------------------------------------------ */

static const struct request_call call_lookup = { .name = "lookup", .attempt = try_lookup, .walks = true };
static const struct request_call call_getattr = { .name = "stat", .attempt = try_getattr, .walks = true };
static const struct request_call call_readlink = { .name = "readlink", .attempt = try_readlink, .walks = true };
static const struct request_call call_opendir = { .name = "opendir", .attempt = try_opendir, .walks = true };
static const struct request_call call_readdir = { .name = "readdir", .attempt = try_readdir };
static const struct request_call call_open = { .name = "open", .attempt = try_open, .walks = true, .opens = true };
static const struct request_call call_read = { .name = "read", .attempt = try_read, .reads = true, .late = late_keep };
static const struct request_call call_statfs = { .name = "statfs", .attempt = try_statfs };

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	struct imagefs *fs = userdata;

	/* No new content needs it: another version is another inode (request_pages.h drops pages before an error). */
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
	request_start(&request, fuse, parent, &call_lookup);
}

static void op_forget(fuse_req_t fuse, fuse_ino_t id, uint64_t count)
{
	struct imagefs *fs = fuse_req_userdata(fuse);

	inodes_forget(fs->inodes, id, count);
	fuse_reply_none(fuse);
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { 0 };

	(void)file;
	request_start(&request, fuse, id, &call_getattr);
}

static void op_readlink(fuse_req_t fuse, fuse_ino_t id)
{
	struct request request = { 0 };

	request_start(&request, fuse, id, &call_readlink);
}

static void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { .file = *file };

	request_start(&request, fuse, id, &call_opendir);
}

static void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	const struct imagefs *fs = fuse_req_userdata(fuse);
	struct request request = {
		.offset_bytes = (uint64_t)offset,
		.length_bytes = size_bytes,
		.held = open_dir_of(file),
		.give_back = open_dir_put,
	};

	if (id == FUSE_ROOT_ID && !view_is_single(fs->view)) {
		request.more_ns = WAIT_LISTING_NS;
		request.slow_ns = WAIT_SLOW_LISTING_NS;
	}
	request_start(&request, fuse, id, &call_readdir);
}

static void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct open_dir *dir = open_dir_of(file);

	(void)id;
	open_dir_put(dir); /* that user, */
	open_dir_put(dir); /* and the open directory's */
	fuse_reply_err(fuse, 0);
}

static void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct request request = { .file = *file };

	if ((file->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(fuse, EROFS);
		return;
	}
	request_start(&request, fuse, id, &call_open);
}

static void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	struct request request = {
		.file = *file,
		.offset_bytes = (uint64_t)offset,
		.length_bytes = size_bytes,
		.slow_ns = WAIT_SLOW_READ_NS,
	};

	request_start(&request, fuse, id, &call_read);
}

static void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct imagefs *fs = fuse_req_userdata(fuse);
	struct inode *inode = inodes_get(fs->inodes, id);
	struct place *place = inode ? inodes_place(fs->inodes, inode) : NULL;

	if (place && inode->kind == INODE_FILE)
		close_file(fs, inode, place, file);
	place_put(place);
	inodes_put(fs->inodes, inode);
	fuse_reply_err(fuse, 0);
}

static void op_statfs(fuse_req_t fuse, fuse_ino_t id)
{
	struct request request = { 0 };

	request_start(&request, fuse, id ? id : 1, &call_statfs);
}

/*
 * There are none, and that is said each time, as vfat says it: EOPNOTSUPP. Without this operation libfuse says ENOSYS
 * once, and the kernel answers by itself from then on; but of access lists it says ENODATA then (fs/fuse/acl.c), "none
 * here", not "none anywhere". So ls -l (coreutils before 9.6) asked of each file, by its whole path, of which each name is
 * a request: twice as many requests as ls needs. After EOPNOTSUPP it asks nothing more of this mount.
 */
static void op_getxattr(fuse_req_t fuse, fuse_ino_t id, const char *name, size_t size_bytes)
{
	(void)id, (void)name, (void)size_bytes;
	fuse_reply_err(fuse, EOPNOTSUPP);
}

static void op_ioctl(fuse_req_t fuse, fuse_ino_t id, unsigned command, void *argument, struct fuse_file_info *file,
		     unsigned flags, const void *in, size_t in_bytes, size_t out_bytes)
{
	const struct imagefs *fs = fuse_req_userdata(fuse);

	(void)id, (void)argument, (void)file, (void)flags, (void)in, (void)in_bytes;
	remount_answer(fuse, fs->options, view_source_path(view_source(fs->view)), command, out_bytes);
}

const struct fuse_lowlevel_ops imagefs_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.ioctl = op_ioctl,
};
