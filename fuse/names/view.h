/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view: what the names in the mount's root mean (CONTRACT N1-N5, N7).
 *
 * SOURCE is read anew for every answer: a handful of fstatat calls, no state
 * that could be old. What is remembered is only the images themselves, by
 * device and inode number while they are open, so that their caches live on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/tree/cache.h"
#include "fuse/names/asked.h"
#include "fuse/process/queue.h"

struct kernel_events;
struct view;

/* One image that was looked at. Counted by its users; kept for a while after the last. */
struct view_image {
	_Atomic(struct cache_image *) cache; /* NULL until it is opened; see view_image_open */
	dev_t device;		   /* constant: st_dev and st_ino, or st_rdev and 0 */
	ino_t inode;		   /* constant */
	char *name;		   /* constant: the name it was first met under, in SOURCE; for the log */
	char *file;		   /* the table's lock: where it was last found, to be opened there */
	int dir_fd;		   /* constant: the single image's directory, or -1: SOURCE as it is now */
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
	_Atomic int64_t modified_seconds; /* the file's mtime when its name was last looked up */
	struct view_images *images; /* constant: the table it is in; its lock protects the rest */
	unsigned users;
	struct view_image *next;	  /* its hash chain */
	struct view_image *newer, *older; /* the unused ones, by age */
};

struct view_settings {
	struct cache *cache; /* borrowed */
	bool believe_nothing;
	struct kernel_events *kernel; /* borrowed; NULL: not to be listened to, and */
	const char *why_no_kernel;    /* why: constant text */
	size_t unused_max; /* images kept open though nobody uses them */
};

/*
 * Open SOURCE. *problem is a constant text and errno-style result negative when
 * that fails: "no such file or directory", or what it is instead of a directory
 * or an image.
 */
int view_new(const char *source, const struct view_settings *settings, struct view **view);

/* Is SOURCE one image (N5), and not a directory? */
bool view_is_single(const struct view *view);

/* The device and inode number of SOURCE, for those who must not mount over it. */
void view_source_stat(const struct view *view, struct stat *st);

enum view_kind {
	VIEW_LINK,  /* a symlink: view_read_link */
	VIEW_IMAGE, /* an image's boot partition, or partition `number` of it */
};

struct view_target {
	enum view_kind kind;
	struct view_image *image; /* a user of it; NULL for a link */
	unsigned number;	  /* CACHE_PARTITION_BOOT, or the number after the colon */
	struct stat st;		  /* of the image file, or of the link itself */
	size_t link_bytes;	  /* length of the link's text in the mount */
};

/*
 * What `name` is. -ENOENT, -EIO, or as cache.h: -EAGAIN, -EINPROGRESS. May open
 * files, so it wants op->may_block for anything it has not met yet.
 */
int view_lookup(struct view *view, struct cache_op *op, const char *name, struct view_target *target);

/*
 * The image that `name` leads to, for those who name it in another way than the
 * mount does: also by the name of its file, and by that of a link of SOURCE to
 * it, or to a partition of it. As view_lookup.
 */
int view_find_image(struct view *view, struct cache_op *op, const char *name, struct view_target *target);

/* The text of the link `name` in the mount. -ENOENT, -ESTALE when it is none any more; -EAGAIN: op does not block. */
int view_read_link(struct view *view, struct cache_op *op, const char *name, char *text, size_t size_bytes);

struct view_name {
	char *name;
	bool is_link;
};

struct view_list {
	struct view_name *names; /* sorted */
	size_t count, capacity;
};

/*
 * All names of the root. Wants op->may_block. An image that does not answer
 * within a fraction of a second is listed without its partitions.
 */
int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct view_list *list);
void view_list_free(struct view_list *list);

/* Does a look at SOURCE's names alone tell that there is something to list? Opens no image. */
bool view_has_names(const struct view *view);

/* The only image, when SOURCE is one. -EIO when it is not there now, -ENOMEM. */
int view_single(struct view *view, struct view_target *target);

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
