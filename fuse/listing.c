/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/listing.h"

#include <errno.h>
#include <pthread.h>
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
	pthread_mutex_t lock;
	struct view_listing *growing; /* lock: of SOURCE, that is dealt from while it is made; or NULL */
	bool dealt;		      /* lock: names of it were, in the order in which they came */
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
static int pack(const struct names *names, char **bytes, size_t *length_bytes)
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
		*at = (char)DIRENT_FILE;
		at = stpcpy(at + 1, names->own.list[i]) + 1;
	}
	for (size_t i = 0; i < others->count; i++) {
		if (fat_names_find(&names->own, others->entries[i].name))
			continue;
		*at = (char)(others->entries[i].is_directory ? DIRENT_DIRECTORY : DIRENT_FILE);
		at = stpcpy(at + 1, others->entries[i].name) + 1;
	}
	*length_bytes = (size_t)(at - *bytes);
	return 0;
}

/* List the directory, of an image, now. */
static int list(struct request *request, struct cache_op *op, char **bytes, size_t *length_bytes)
{
	struct imagefs *fs = request->fs;
	struct names names = { .name = request->inode->name };
	int error = resolve_directory(fs->view, fs->inodes, op, request->inode, list_place, &names);

	if (error != 0)
		return error;
	error = pack(&names, bytes, length_bytes);
	fat_names_free(&names.own);
	cache_listing_free(&names.others);
	return error;
}

/* ---- open directories ----------------------------------------------------- */

/* Under the lock, or as its last user. */
static void stop_growing(struct open_dir *dir)
{
	if (dir->growing)
		handle_grown(&dir->handle);
	view_listing_stop(dir->growing);
	view_listing_put(STEAL_POINTER(dir->growing));
	dir->dealt = false;
}

void open_dir_put(void *open)
{
	struct open_dir *dir = open;

	if (atomic_fetch_sub(&dir->users, 1) > 1)
		return;
	stop_growing(dir);
	handle_close(&dir->handle);
	pthread_mutex_destroy(&dir->lock);
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
	pthread_mutex_init(&dir->lock, NULL);
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

static int deal(struct request *request, const char *bytes, size_t length_bytes)
{
	CLEANUP_FREE char *buffer = malloc(request->length_bytes);

	if (buffer && request_claim(request))
		fuse_reply_buf(request->fuse, buffer,
			       dirents_deal(request->fuse, buffer, request->length_bytes, bytes, length_bytes,
					    request->offset_bytes));
	return buffer ? 0 : -ENOMEM;
}

static int deal_content(struct request *request, struct content *content)
{
	size_t length_bytes;
	const char *bytes = content_bytes(content, &length_bytes);
	int error = deal(request, bytes, length_bytes);

	content_put(content);
	return error;
}

/* ---- SOURCE, which takes its time ------------------------------------------ */

/*
 * What is being listed, a use of it: begun with this READDIR where it reads from the beginning, or `anew`. NULL: no memory,
 * or the user's share of them is used up.
 */
static struct view_listing *growing_of(const struct request *request, struct open_dir *dir, bool anew)
{
	struct imagefs *fs = request->fs;

	LOCK_SCOPE(&dir->lock);
	if (request->offset_bytes == 0 || (anew && !dir->growing)) {
		stop_growing(dir);
		if (handle_grow(&dir->handle) && !(dir->growing = view_listing_start(fs->view, fs->queue, &fs->list_lane)))
			handle_grown(&dir->handle);
	}
	return dir->growing ? view_listing_ref(dir->growing) : NULL;
}

/* It is whole: from now on it is dealt from the handle's content. As it was dealt, or sorted: then it is another's too. */
static int take_whole(struct request *request, struct open_dir *dir, struct view_listing *listing, bool dropped)
{
	struct content *content;
	size_t length_bytes;
	bool another;
	char *bytes;
	int error;

	{
		LOCK_SCOPE(&dir->lock);
		/* Another READDIR began anew: this one was answered by the clock. */
		error = dir->growing == listing ? view_listing_bytes(listing, !dir->dealt, &bytes, &length_bytes) : -EIO;
		if (dir->growing == listing)
			stop_growing(dir);
	}
	if (error != 0)
		return error;
	content = handle_fill(&dir->handle, bytes, length_bytes, &another);
	if (!content)
		return -ENOMEM;
	if (dropped && another) {
		content_put(content);
		return -EIO;
	}
	return deal_content(request, content);
}

/* Names that came so far; or "." and ".." alone. */
static int deal_some(struct request *request, struct open_dir *dir, struct view_listing *listing)
{
	CLEANUP_FREE char *bytes = NULL;
	size_t length_bytes;
	int error;

	{
		LOCK_SCOPE(&dir->lock);
		error = view_listing_bytes(listing, false, &bytes, &length_bytes);
		dir->dealt |= length_bytes > 0;
	}
	return error != 0 ? error : deal(request, bytes, length_bytes);
}

static int readdir_source(struct request *request, const struct cache_op *op, struct open_dir *dir)
{
	uint64_t offset = request->offset_bytes;
	struct content *content = offset > 0 ? handle_content(&dir->handle) : NULL;
	struct view_listing *listing;
	bool dropped;
	int result;

	if (!op->may_block) {
		content_put(content);
		return -EAGAIN;
	}
	pthread_mutex_lock(&dir->lock);
	dropped = offset > 0 && !dir->growing;
	pthread_mutex_unlock(&dir->lock);
	if (content && dropped)
		return deal_content(request, content);
	content_put(content);
	listing = growing_of(request, dir, dropped);
	if (!listing)
		return -ENOMEM;
	/* One that was dropped has to be the same again: of that a part says nothing. */
	result = view_listing_wait(listing, dropped ? SIZE_MAX : offset < 2 ? 0 : (size_t)offset - 1);
	if (result == 1)
		result = deal_some(request, dir, listing);
	else if (result == 0)
		result = take_whole(request, dir, listing, dropped);
	view_listing_put(listing);
	/* The C library takes ENOENT for the end of the listing: an empty directory. */
	return result == -ENOENT ? -ESTALE : result;
}

int try_readdir(struct request *request, struct cache_op *op)
{
	struct open_dir *dir = request->held;
	struct content *content;
	int error;

	if (is_source(request))
		return readdir_source(request, op, dir);
	error = renew(request, op, dir, &content);
	return error != 0 ? error : deal_content(request, content);
}
