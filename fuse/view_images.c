/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view_images: images by device and inode number.
 *
 * As long as an image is open its number cannot be given to another file, so the
 * pair is its identity: a file replaced by rename is another image, and one file
 * under two names is one. Images nobody uses stay open, up to a limit, the
 * longest unused going first.
 */
#include "fuse/view_images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/disk.h"
#include "cache/watch.h"
#include "fuse/log.h"

#define BUCKETS 4096

struct view_images {
	struct view_settings settings;
	struct watch *watch; /* or NULL */
	pthread_mutex_t lock; /* never held across I/O on an image */
	struct view_image *buckets[BUCKETS];
	struct view_image *newest, *oldest; /* the unused ones */
	size_t unused;
};

int view_images_new(struct view *view, const struct view_settings *settings, struct view_images **out)
{
	struct view_images *images = calloc(1, sizeof(*images));

	(void)view;
	if (!images)
		return -ENOMEM;
	images->settings = *settings;
	pthread_mutex_init(&images->lock, NULL);
	if (watch_new(&images->watch) != 0)
		log_line(LOG_LEVEL_WARNING, "inotify is not to be had: every image is read again at every open");
	*out = images;
	return 0;
}

/* ---- the table; all under the lock --------------------------------------- */

static struct view_image **bucket_of(struct view_images *images, dev_t device, ino_t inode)
{
	return &images->buckets[(inode ^ device * 31) % BUCKETS];
}

static void unlist_unused(struct view_images *images, struct view_image *image)
{
	*(image->newer ? &image->newer->older : &images->newest) = image->older;
	*(image->older ? &image->older->newer : &images->oldest) = image->newer;
	image->newer = image->older = NULL;
	images->unused--;
}

static void list_unused(struct view_images *images, struct view_image *image)
{
	image->newer = NULL;
	image->older = images->newest;
	*(images->newest ? &images->newest->newer : &images->oldest) = image;
	images->newest = image;
	images->unused++;
}

static struct view_image *find(struct view_images *images, dev_t device, ino_t inode)
{
	struct view_image *image = *bucket_of(images, device, inode);

	while (image && (image->device != device || image->inode != inode))
		image = image->next;
	if (image && image->users++ == 0)
		unlist_unused(images, image);
	return image;
}

static void unlink_image(struct view_images *images, struct view_image *image)
{
	struct view_image **at = bucket_of(images, image->device, image->inode);

	while (*at != image)
		at = &(*at)->next;
	*at = image->next;
}

/* ---- life of one image --------------------------------------------------- */

static void image_free(struct view_image *image)
{
	cache_image_put(image->cache);
	free(image->name);
	free(image);
}

/* The identity of what `st` describes: a device is the same behind every node. */
static void identity(const struct stat *st, dev_t *device, ino_t *inode)
{
	*device = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	*inode = S_ISBLK(st->st_mode) ? 0 : st->st_ino;
}

static int open_device(struct view_images *images, int dir_fd, const char *file, const struct stat *st,
		       struct cache_device **device)
{
	struct disk_options options = {
		.believe_nothing = images->settings.believe_nothing,
		.settle_ns = images->settings.settle_ns,
	};
	CLEANUP_FD int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	dev_t wanted_device, found_device;
	ino_t wanted_inode, found_inode;
	struct stat found;

	if (fd < 0 || fstat(fd, &found) != 0) {
		static _Atomic long long last;

		if (log_allowed(&last))
			log_line(LOG_LEVEL_ERROR, "%s: cannot be opened: %s", file, strerror(errno));
		return errno == ENOENT ? -ESTALE : -EIO;
	}
	identity(st, &wanted_device, &wanted_inode);
	identity(&found, &found_device, &found_inode);
	if (wanted_device != found_device || wanted_inode != found_inode)
		return -ESTALE;
	return disk_new(steal_fd(&fd), images->watch, &options, device);
}

static int image_new(struct view_images *images, int dir_fd, const char *file, const struct stat *st,
		     struct view_image **out)
{
	struct view_image *image = calloc(1, sizeof(*image));
	struct cache_device *device;
	int error = image ? open_device(images, dir_fd, file, st, &device) : -ENOMEM;

	if (error == 0)
		error = cache_image_new(images->settings.cache, device, disk_sector_bytes(device), &image->cache);
	if (error != 0) {
		free(image);
		return error;
	}
	image->name = strdup(file);
	image->images = images;
	identity(st, &image->device, &image->inode);
	image->users = 1;
	*out = image;
	return 0;
}

int view_images_get(struct view_images *images, struct cache_op *op, int dir_fd, const char *file,
		    const struct stat *st, struct view_image **out)
{
	struct view_image *image, *other;
	dev_t device;
	ino_t inode;
	int error;

	identity(st, &device, &inode);
	pthread_mutex_lock(&images->lock);
	image = find(images, device, inode);
	pthread_mutex_unlock(&images->lock);
	if (!image && !op->may_block)
		return -EAGAIN;
	if (!image) {
		error = image_new(images, dir_fd, file, st, &image);
		if (error != 0)
			return error;
		pthread_mutex_lock(&images->lock);
		other = find(images, device, inode); /* somebody was faster */
		if (!other) {
			image->next = *bucket_of(images, device, inode);
			*bucket_of(images, device, inode) = image;
		}
		pthread_mutex_unlock(&images->lock);
		if (other) {
			image_free(image);
			image = other;
		}
	}
	*out = image;
	return 0;
}

struct view_image *view_image_ref(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	image->users++;
	return image;
}

void view_image_put(struct view_image *image)
{
	struct view_images *images;
	struct view_image *surplus = NULL;

	if (!image)
		return;
	images = image->images;
	pthread_mutex_lock(&images->lock);
	if (--image->users == 0) {
		list_unused(images, image);
		if (images->unused > images->settings.unused_max) {
			surplus = images->oldest;
			unlist_unused(images, surplus);
			unlink_image(images, surplus);
		}
	}
	pthread_mutex_unlock(&images->lock);
	if (surplus)
		image_free(surplus);
}
