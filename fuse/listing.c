/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/listing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "fuse/names/list.h"
#include "fuse/names/own.h"
#include "fuse/process/dirents.h"
#include "fuse/process/handles.h"
#include "fuse/resolve.h"

struct open_dir {
	_Atomic unsigned users; /* the open directory, and requests */
	struct handle handle;
	_Atomic int64_t fresh_ns; /* when it was listed for the first reading, that has not begun yet; or 0 */
};

/* What is in a directory, and what stands before it. */
struct names {
	const char *name; /* the directory's own */
	struct fat_names own;
	struct cache_listing others;
};

static int list_place(void *context, struct cache_op *op, const struct place *place, bool own)
{
	struct names *names = context;
	char directory[NAME_MAX + 1];
	int error = 0;

	if (own)
		error = own_directory(directory, names->name) ? own_names_read(directory, op, &names->own) : -EIO;
	if (error == 0)
		error = cache_dir_list(place->dir, op, &names->others);
	if (error != 0)
		fat_names_free(&names->own);
	return error;
}

static bool is_source(const struct request *request)
{
	return request->inode->kind == INODE_ROOT && !view_is_single(request->fs->view);
}

/* The names as dirents.h has them, for the caller to free. */
static int pack(const struct names *names, enum dirent_type leaf, char **bytes, size_t *length_bytes)
{
	const struct cache_listing *others = &names->others;
	size_t length = 0;
	char *at;

	for (size_t i = 0; i < names->own.count; i++)
		length += strlen(names->own.list[i]) + 2;
	for (size_t i = 0; i < others->count; i++)
		length += strlen(others->entries[i].name) + 2;
	*bytes = at = malloc(length ? length : 1);
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < names->own.count; i++) {
		*at = (char)leaf;
		at = stpcpy(at + 1, names->own.list[i]) + 1;
	}
	for (size_t i = 0; i < others->count; i++) {
		if (fat_names_find(&names->own, others->entries[i].name))
			continue;
		*at = (char)(others->entries[i].is_directory ? DIRENT_DIRECTORY : leaf);
		at = stpcpy(at + 1, others->entries[i].name) + 1;
	}
	*length_bytes = (size_t)(at - *bytes);
	return 0;
}

/* List the directory now. */
static int list(struct request *request, struct cache_op *op, char **bytes, size_t *length_bytes)
{
	struct imagefs *fs = request->fs;
	struct names names = { .name = request->inode->name };
	int error = is_source(request) ?
			    view_list(fs->view, op, fs->queue, &names.others) :
			    resolve_directory(fs->view, fs->inodes, op, request->inode, list_place, &names);

	if (error != 0)
		return error;
	error = pack(&names, is_source(request) ? DIRENT_LINK : DIRENT_FILE, bytes, length_bytes);
	fat_names_free(&names.own);
	cache_listing_free(&names.others);
	return error;
}

/* ---- open directories ----------------------------------------------------- */

void open_dir_put(void *open)
{
	struct open_dir *dir = open;

	if (atomic_fetch_sub(&dir->users, 1) > 1)
		return;
	handle_close(&dir->handle);
	free(dir);
}

struct open_dir *open_dir_of(const struct fuse_file_info *file)
{
	struct open_dir *dir = (struct open_dir *)(uintptr_t)file->fh;

	atomic_fetch_add(&dir->users, 1);
	return dir;
}

static int open_dir_new(struct request *request, struct open_dir **out)
{
	struct open_dir *dir = calloc(1, sizeof(*dir));
	int error = dir ? handle_open(request->fs->handles, request->user, request->inode->id, &dir->handle) : -ENOMEM;

	if (error != 0) {
		free(dir);
		return error;
	}
	dir->users = 1;
	*out = dir;
	return 0;
}

int try_opendir(struct request *request, struct cache_op *op)
{
	struct content *content = NULL;
	struct open_dir *dir;
	size_t length_bytes;
	char *bytes = NULL;
	bool another;
	/* Of SOURCE it takes long, and most who open it do not read it. */
	int error = is_source(request) ? 0 : list(request, op, &bytes, &length_bytes);

	if (error == 0)
		error = open_dir_new(request, &dir);
	if (error != 0) {
		free(bytes);
		return error;
	}
	if (bytes && (content = handle_fill(&dir->handle, bytes, length_bytes, &another)))
		dir->fresh_ns = queue_now_ns();
	content_put(content);
	request->file.fh = (uintptr_t)dir;
	if (!request_claim(request) || fuse_reply_open(request->fuse, &request->file) != 0)
		open_dir_put(dir);
	return 0;
}

/* The names that are to be dealt from, a use of them: new ones at the beginning, and where they were dropped. */
static int renew(struct request *request, struct cache_op *op, struct open_dir *dir, struct content **content)
{
	int64_t fresh_ns = atomic_exchange(&dir->fresh_ns, 0);
	bool begins = request->offset_bytes == 0, another = false;
	size_t length_bytes;
	char *bytes;
	int error;

	*content = handle_content(&dir->handle);
	if (*content && (!begins || queue_now_ns() - fresh_ns < WAIT_FRESH_LISTING_NS))
		return 0;
	content_put(*content);
	error = list(request, op, &bytes, &length_bytes);
	/* The C library takes ENOENT for the end of the listing: an empty directory. */
	if (error != 0)
		return error == -ENOENT ? -ESTALE : error;
	*content = handle_fill(&dir->handle, bytes, length_bytes, &another);
	if (!*content)
		return -ENOMEM;
	if (begins || !another)
		return 0;
	content_put(*content);
	return -EIO;
}

int try_readdir(struct request *request, struct cache_op *op)
{
	struct open_dir *dir = request->held;
	CLEANUP_FREE char *buffer = NULL;
	struct content *content;
	const char *bytes;
	size_t length_bytes;
	int error = renew(request, op, dir, &content);

	if (error != 0)
		return error;
	buffer = malloc(request->length_bytes);
	if (buffer && request_claim(request)) {
		bytes = content_bytes(content, &length_bytes);
		fuse_reply_buf(request->fuse, buffer,
			       dirents_deal(request->fuse, buffer, request->length_bytes, bytes, length_bytes,
					    request->offset_bytes));
	}
	content_put(content);
	return buffer ? 0 : -ENOMEM;
}
