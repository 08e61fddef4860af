/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * images: the images that were met, by device and inode number.
 *
 * An image is opened when something in it is first asked for, and closed when
 * nobody uses it and others are wanted more, or it was deleted. Whoever uses one
 * (a user, added with _ref and given back with _put) has it open as long, with two
 * exceptions: none before view_image_open (image_open.h), and users that `let_go` gives back.
 * All functions may be called from any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/order.h"
#include "cache/tree/cache.h"
#include "fuse/names/asked.h"
#include "fuse/names/source.h"
#include "fuse/process/queue.h"

struct inode;
struct kernel_events;
struct nbd_target;
struct view_images;
struct watch;

/*
 * Which file: st_dev and st_ino; of a block device st_rdev and 0. While it is open no other file has it. Of an image
 * behind a block server what view_remote_stat says: one URI is one image.
 */
struct view_identity {
	dev_t device;
	ino_t inode;
};

/* One image that was looked at. Counted by its users; kept for a while after the last. */
struct view_image {
	_Atomic(struct cache_image *) cache; /* NULL until it is opened; see image_open.h */
	struct view_identity identity; /* constant */
	char *name;		   /* constant: the name it was first met under, in SOURCE; for the log */
	uint64_t share;		   /* constant: by its name, what is waited for it is counted under (links.h) */
	struct nbd_target *remote; /* constant: behind which block server; NULL: it is a file or device */
	char *file;		   /* the table's lock: where in SOURCE it was last found, to be opened there */
	struct lane lane;	   /* the queue's */
	struct lane reports_lane;  /* likewise, for keeping bytes before a server overwrites them */
	_Atomic unsigned savings;  /* jobs in it */
	_Atomic unsigned unattached; /* control files open for it that are not listened to (yet) */
	_Atomic long long last_complaint;
	char *complaint;	   /* the table's lock: the last one, or NULL */
	int64_t complaint_ns;	   /* likewise: CLOCK_MONOTONIC */
	bool complaint_is_damage;  /* likewise */
	atomic_bool shown;	   /* its name or its content made it an image when it was last asked for */
	atomic_bool none;	   /* neither did, when it was last looked into */
	_Atomic int64_t flux_since_ns, flux_ns, rest_ns; /* view_image_in_flux's */
	_Atomic(struct asked_log *) asked; /* NULL until something of it is asked for */
	_Atomic uint64_t opened, absent; /* files, and names that are not there; whoever asked */
	struct inode *bound;	 /* fuse/inode.c's: inodes that use it; protected by their table's lock */
	_Atomic int fd;		 /* while `cache` is there; the device's, or -1 */
	struct view_images *images; /* constant: the table it is in; its lock protects the rest */
	unsigned users;
	int64_t used_ns; /* CLOCK_MONOTONIC: when its name was last looked up */
	bool gone; /* no name leads to it: closed with its last user */
	struct view_image *next;	  /* its hash chain */
	struct order_link by_use;	  /* of the used or of the unused ones */
};

struct view_settings {
	struct cache *cache; /* borrowed */
	bool believe_nothing;
	struct kernel_events *kernel; /* borrowed; NULL: not to be listened to, and */
	const char *why_no_kernel;    /* why: constant text */
	size_t unused_max; /* images kept open though nobody uses them */
	size_t open_max;   /* images open at a time: past it the least recently used are closed */
	int descriptors_low; /* an image that gets this descriptor: few are left, it is one too many */
	/*
	 * Give back all users of the image that are kept for later only, since it is to be
	 * closed. Called without a lock. Images whose files are open are used all the same.
	 */
	void (*let_go)(void *context, struct view_image *image);
	void *let_go_context;
};

/* Settings are copied, `source` is borrowed. -ENOMEM. */
int view_images_new(const struct view_source *source, const struct view_settings *settings, struct view_images **images);

/* The queue of all images' changes; NULL: none is to be had. */
struct watch *view_images_watch(struct view_images *images);

/* As they were given; constant. */
const struct view_source *view_images_source(const struct view_images *images);
const struct view_settings *view_images_settings(const struct view_images *images);

/*
 * The image that `st` (followed) says stands at `file` of SOURCE; it is not opened. `uri` is the text of that link if
 * `st` says that it is one (view_is_remote), else nobody looks at it; for SOURCE itself `file` is "". *image gets a user. -ENOMEM.
 */
int view_images_get(struct view_images *images, const char *file, const char *uri, const struct stat *st,
		    struct view_image **image);

/* A user of the image that `st` (followed) describes, if it was met before and not forgotten; else NULL. */
struct view_image *view_images_known(struct view_images *images, const struct stat *st);
struct view_image *view_images_met(struct view_images *images, const struct view_identity *identity);

/* The identity of what `st` describes: a device is the same behind every node. */
struct view_identity view_identity_of(const struct stat *st);
bool view_identity_equal(const struct view_identity *a, const struct view_identity *b);

/* A user of each that is remembered; *all is for the caller to free, also after -ENOMEM. */
int view_images_all(struct view_images *images, struct view_image ***all, size_t *count);

/* Where it was last found, relative to SOURCE. For the caller to free; NULL: no memory. */
char *view_image_file(struct view_image *image);

/*
 * For image_open.h. So many more (fewer) are open, or being opened: how many that are now. An image whose `cache` is set
 * is taken off when it is closed.
 */
size_t view_images_count_open(struct view_images *images, int change);

/*
 * Until no more than so many are open, or being opened: close the least recently used. Of those that are used none that
 * was used since `before_ns`, and only as many as their users let go. Blocks as long as those take.
 */
void view_images_make_room(struct view_images *images, size_t open_max, int64_t before_ns);

/* How many are open, and may be. */
void view_images_count(struct view_images *images, uint64_t *open, uint64_t *open_max);

/* How many use it; the caller is one of them. */
unsigned view_image_users(struct view_image *image);

/* No name of SOURCE leads to it any more: it is closed with its last user, and those that can go are asked to. */
void view_image_let_go(struct view_image *image);

/* Was it let go, and not found by a name since? */
bool view_image_is_gone(struct view_image *image);

/*
 * Remember what was last wrong with it, and tell: a copy for the caller to free, or NULL. Is it damage of the
 * image, which stays until somebody repairs it?
 */
void view_image_complain(struct view_image *image, const char *text, bool is_damage);
char *view_image_complaint(struct view_image *image, int64_t *when_ns, bool *is_damage);

/*
 * Somebody had to wait because it is being written; somebody got what he asked for, or it makes no
 * sense at rest. How long there was nothing but the first, up to the last look; 0: it is not so, or
 * nobody looked of late.
 */
void view_image_flux(struct view_image *image, int64_t now_ns);
void view_image_rest(struct view_image *image, int64_t now_ns);
int64_t view_image_in_flux(struct view_image *image, int64_t now_ns);

struct view_image *view_image_ref(struct view_image *image);
void view_image_put(struct view_image *image); /* NULL is fine; never blocks */
