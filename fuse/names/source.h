/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source: where the images are: SOURCE, the path as it was given.
 *
 * Nothing of the path is resolved in advance, no link in it and no directory: each
 * look begins at its first component, so that what was moved away and put back, or
 * is mounted later, is what is seen (CONTRACT N8, C8). A relative path is relative
 * to the working directory of view_source_new. But what leads through MOUNTPOINT and out again is resolved then.
 *
 * What the daemon may not look up any more, since SOURCE is not open to it, and
 * whatever is opened is asked of the opener (cache/device/opener.h).
 *
 * Constant once there are threads; all functions may be called from any thread. They
 * wait as long as the filesystem of SOURCE does.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

struct kernel_events;
struct view_source;

/*
 * Before it is mounted at MOUNTPOINT. SOURCE may be the URI of an image behind a block server (cache/device/nbd_uri.h): then nothing of it is looked up here.
 * -ENOTDIR: neither a directory nor an image; -EACCES and others: it cannot be read.
 */
int view_source_new(const char *path, const char *mountpoint, struct view_source **source);

/* `kernel` (borrowed, may be NULL) listens to what is in the directory. Before there are other threads. */
void view_source_tell(struct view_source *source, struct kernel_events *kernel);

/* SOURCE, absolute. */
const char *view_source_path(const struct view_source *source);

/* Where the images are. */
const char *view_source_directory(const struct view_source *source);

/* The name of the one image (N5) in its directory; NULL: SOURCE is a directory of images. */
const char *view_source_file(const struct view_source *source);

/* SOURCE, if it is a URI; else NULL. The one image then has a name, and no directory has it. */
const char *view_source_uri(const struct view_source *source);

/*
 * What stands for an image behind a block server: no file has this device, since the kernel's begin at 1. The number is its
 * URI's (nbd_uri_number), the times are those of the link.
 */
#define VIEW_REMOTE_DEVICE ((dev_t)0)
static inline bool view_is_remote(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_dev == VIEW_REMOTE_DEVICE;
}
void view_remote_stat(const char *uri, const struct stat *link, struct stat *st);

/*
 * What the daemon's user may not look at itself is asked of the process that opens images (cache/device/opener.h), and that
 * answers when it can: it may be stopped, or hang in dead storage. So these are for a request, and where `op` may not block
 * they are -EAGAIN instead; NULL: it may.
 *
 * The directory of the images (of the one image) as it is now: a descriptor for the
 * caller to close. `flags` is O_PATH or O_RDONLY. -errno.
 */
struct cache_op;
int view_source_open(const struct cache_op *op, const struct view_source *source, int flags);

/* What SOURCE is now. -errno. */
int view_source_stat(const struct cache_op *op, const struct view_source *source, struct stat *st);

/* Likewise of others: does `error` of what was tried say that it is to be asked, and may it be? 0: yes; -EAGAIN; else `error`. */
int view_source_ask(const struct cache_op *op, int error);

/* fstatat(2) of a path that may lead anywhere, also into the mount. -errno. */
int view_source_stat_at(int dir_fd, const char *path, int flags, struct stat *st);

/* What an entry of SOURCE is, no link followed; `dir_fd` is what view_source_open gave. -errno. */
int view_source_lstat(const struct cache_op *op, int dir_fd, const char *name, struct stat *st);

/*
 * Have the kernel announce the writes of whoever opens an image from now on, also
 * of those behind links to elsewhere. Takes as long as what the links lead to.
 */
void view_source_listen(const struct view_source *source);
