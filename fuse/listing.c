/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/listing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "fuse/names/list.h"
#include "fuse/resolve.h"

struct open_dir {
	_Atomic unsigned users; /* the open directory, and requests */
	pthread_mutex_t lock;
	/* Under the lock. */
	bool listed;
	int64_t fresh_ns; /* when it was listed for the first reading, that has not begun yet; or 0 */
	struct cache_listing names;
};

static int list_place(void *names, struct cache_op *op, const struct place *place)
{
	return cache_dir_list(place->dir, op, names);
}

static bool is_source(const struct request *request)
{
	return request->inode->kind == INODE_ROOT && !view_is_single(request->fs->view);
}

static int list(struct request *request, struct cache_op *op, struct cache_listing *names)
{
	struct imagefs *fs = request->fs;

	*names = (struct cache_listing){ 0 };
	if (is_source(request))
		return view_list(fs->view, op, fs->queue, names);
	return resolve_directory(fs->view, fs->inodes, op, request->inode, list_place, names);
}

/* ---- open directories ----------------------------------------------------- */

void open_dir_put(void *open)
{
	struct open_dir *dir = open;

	if (atomic_fetch_sub(&dir->users, 1) > 1)
		return;
	cache_listing_free(&dir->names);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

struct open_dir *open_dir_of(const struct fuse_file_info *file)
{
	struct open_dir *dir = (struct open_dir *)(uintptr_t)file->fh;

	atomic_fetch_add(&dir->users, 1);
	return dir;
}

int try_opendir(struct request *request, struct cache_op *op)
{
	struct cache_listing names = { 0 };
	struct open_dir *dir;
	/* Of SOURCE it takes long, and most who open it do not read it. */
	int error = is_source(request) ? 0 : list(request, op, &names);

	if (error != 0)
		return error;
	dir = calloc(1, sizeof(*dir));
	if (!dir) {
		cache_listing_free(&names);
		return -ENOMEM;
	}
	dir->users = 1;
	dir->names = names;
	dir->listed = !is_source(request);
	if (dir->listed)
		dir->fresh_ns = queue_now_ns();
	pthread_mutex_init(&dir->lock, NULL);
	request->file.fh = (uintptr_t)dir;
	if (!request_claim(request) || fuse_reply_open(request->fuse, &request->file) != 0)
		open_dir_put(dir);
	return 0;
}

/* Offsets count entries: 0 ".", 1 "..", then the names. How much was used. */
static size_t deal(const struct request *request, const struct cache_listing *names, char *buffer)
{
	size_t used = 0, size_bytes = request->length_bytes;

	for (size_t at = request->offset_bytes; at < names->count + 2; at++) {
		/* The number is only known to those who look the name up; 0 would hide the entry. */
		struct stat st = { .st_mode = S_IFDIR, .st_ino = 0xffffffff };
		const char *name = at == 0 ? "." : at == 1 ? ".." : names->entries[at - 2].name;
		size_t need;

		if (at >= 2 && !names->entries[at - 2].is_directory)
			st.st_mode = is_source(request) ? S_IFLNK : S_IFREG;
		need = fuse_add_direntry(request->fuse, buffer + used, size_bytes - used, name, &st, (off_t)at + 1);
		if (need > size_bytes - used)
			break;
		used += need;
	}
	return used;
}

/* The listing that is to be dealt from: a new one at the beginning. */
static int renew(struct request *request, struct cache_op *op, struct open_dir *dir)
{
	struct cache_listing names, last;
	int error;

	pthread_mutex_lock(&dir->lock);
	error = dir->listed && (request->offset_bytes > 0 || queue_now_ns() - dir->fresh_ns < WAIT_FRESH_LISTING_NS) ? 0 :
														      -ENODATA;
	dir->fresh_ns = 0;
	pthread_mutex_unlock(&dir->lock);
	if (error == 0)
		return 0;
	error = list(request, op, &names);
	/* The C library takes ENOENT for the end of the listing: an empty directory. */
	if (error != 0)
		return error == -ENOENT ? -ESTALE : error;
	pthread_mutex_lock(&dir->lock);
	last = dir->names;
	dir->names = names;
	dir->listed = true;
	pthread_mutex_unlock(&dir->lock);
	cache_listing_free(&last);
	return 0;
}

int try_readdir(struct request *request, struct cache_op *op)
{
	struct open_dir *dir = request->held;
	CLEANUP_FREE char *buffer = NULL;
	size_t used;
	int error = renew(request, op, dir);

	if (error != 0)
		return error;
	buffer = malloc(request->length_bytes);
	if (!buffer)
		return -ENOMEM;
	if (!request_claim(request))
		return 0;
	pthread_mutex_lock(&dir->lock);
	used = deal(request, &dir->names, buffer);
	pthread_mutex_unlock(&dir->lock);
	fuse_reply_buf(request->fuse, buffer, used);
	return 0;
}
