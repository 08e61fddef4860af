/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/ops_file.h"

#include <errno.h>

#include "fuse/request_asked.h"

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
	request_opened(&request->fs->asked, request->caller, request->inode);
	if (fuse_reply_open(request->fuse, &request->file) != 0)
		cache_version_close(version);
	return 0;
}

/* A job without a caller: keep an open file whole while its first reads are answered. */
static int try_keep(struct request *request, struct cache_op *op)
{
	return cache_version_keep(request->inode->version, op);
}

static const struct request_call keep = { .name = "read", .attempt = try_keep };

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
		request_in_background(request, &keep);
	return 0;
}
