/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * images: the images that were met, by device and inode number.
 *
 * An image is opened when something in it is first asked for, and closed when
 * nobody uses it and others are wanted more, or it was deleted. Whoever uses one
 * (a user, added with _ref and given back with _put) has it open as long, with two
 * exceptions: none before view_image_open, and users that `let_go` gives back.
 * All functions may be called from any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/tree/cache.h"
#include "fuse/names/asked.h"
#include "fuse/names/source.h"
#include "fuse/process/queue.h"

struct inode;
struct kernel_events;
struct view_images;

/* One image that was looked at. Counted by its users; kept for a while after the last. */
struct view_image {
	_Atomic(struct cache_image *) cache; /* NULL until it is opened; see view_image_open */
	dev_t device;		   /* constant: st_dev and st_ino, or st_rdev and 0 */
	ino_t inode;		   /* constant */
	char *name;		   /* constant: the name it was first met under, in SOURCE; for the log */
	char *file;		   /* the table's lock: where in SOURCE it was last found, to be opened there */
	struct lane lane;	   /* the queue's */
	struct lane reports_lane;  /* likewise, for keeping bytes before a server overwrites them */
	_Atomic unsigned savings;  /* jobs in it */
	_Atomic unsigned unattached; /* control files open for it that are not listened to (yet) */
	_Atomic long long last_complaint;
	char *complaint;	   /* the table's lock: the last one, or NULL */
	int64_t complaint_ns;	   /* likewise: CLOCK_MONOTONIC */
	atomic_bool shown;	   /* its name or its content made it an image when it was last asked for */
	_Atomic(struct asked_log *) asked; /* NULL until something of it is asked for */
	_Atomic uint64_t opened, absent; /* files, and names that are not there; whoever asked */
	struct inode *bound;	 /* fuse/inode.c's: inodes that use it; protected by their table's lock */
	_Atomic int fd;		 /* while `cache` is there; the device's, or -1 */
	struct view_images *images; /* constant: the table it is in; its lock protects the rest */
	unsigned users;
	bool gone; /* it was deleted: closed with its last user */
	struct view_image *next;	  /* its hash chain */
	struct view_image *newer, *older; /* of the used or of the unused ones, by the last use */
};

struct view_settings {
	struct cache *cache; /* borrowed */
	bool believe_nothing;
	struct kernel_events *kernel; /* borrowed; NULL: not to be listened to, and */
	const char *why_no_kernel;    /* why: constant text */
	size_t unused_max; /* images kept open though nobody uses them */
	size_t open_max;   /* images open at a time: past it the least recently used are closed */
	/*
	 * Give back all users of the image that are kept for later only, since it is to be
	 * closed. Called without a lock. Images whose files are open are used all the same.
	 */
	void (*let_go)(void *context, struct view_image *image);
	void *let_go_context;
};

/* Settings are copied, `source` is borrowed. -ENOMEM. */
int view_images_new(const struct view_source *source, const struct view_settings *settings, struct view_images **images);

/*
 * The image that `st` (followed) says stands at `file` of SOURCE; it is not opened.
 * *image gets a user. -ENOMEM.
 */
int view_images_get(struct view_images *images, const char *file, const struct stat *st, struct view_image **image);

/* A user of the image that `st` (followed) describes, if it was met before and not forgotten; else NULL. */
struct view_image *view_images_known(struct view_images *images, const struct stat *st);

/* A user of each that is remembered; *all is for the caller to free, also after -ENOMEM. */
int view_images_all(struct view_images *images, struct view_image ***all, size_t *count);

/* Let go of those whose file was deleted. To be called every now and then, where it may wait. */
void view_images_sweep(struct view_images *images);

/* Where it was last found, relative to SOURCE. For the caller to free; NULL: no memory. */
char *view_image_file(struct view_image *image);

/* Was its file deleted? */
bool view_image_gone(struct view_image *image);

/* How many use it; the caller is one of them. */
unsigned view_image_users(struct view_image *image);

/*
 * The image itself, opened if it is not yet: a lookup of its name alone opens
 * nothing. -EAGAIN: op does not block; -ESTALE: another file has its place, look
 * the name up again; -EIO, -ENOMEM. Borrowed; lives as long as the user.
 */
int view_image_open(struct view_image *image, struct cache_op *op, struct cache_image **cache);

/* Remember what was last wrong with it, and tell: a copy for the caller to free, or NULL. */
void view_image_complain(struct view_image *image, const char *text);
char *view_image_complaint(struct view_image *image, int64_t *when_ns);

struct view_image *view_image_ref(struct view_image *image);
void view_image_put(struct view_image *image); /* NULL is fine; never blocks */
