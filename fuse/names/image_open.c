/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/image_open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/kernel.h"
#include "cache/changes/nbd_writes.h"
#include "cache/changes/write_log.h"
#include "cache/device/disk.h"
#include "cache/device/nbd.h"
#include "cache/device/nbd_loop.h"
#include "cache/device/opener.h"
#include "fuse/process/log.h"

/* ---- what it is opened as ---------------------------------------------------- */

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -EAGAIN; /* the last one: of connections to the opener */
}

int view_shortage(struct cache_op *op, int error)
{
	if (!is_shortage(error))
		return error;
	op->retry_ns = WAIT_RETRY_BUSY_NS;
	op->rule = "there are too few file descriptors";
	return -EINPROGRESS;
}

/* A descriptor of just this image, or a negative error. */
static int open_image(struct view_image *image)
{
	CLEANUP_FREE char *file = view_image_file(image);
	CLEANUP_FD int dir_fd = view_source_open(NULL, view_images_source(image->images), O_PATH);
	CLEANUP_FD int fd = dir_fd < 0 ? dir_fd : file ? opener_open(file) : -ENOMEM;
	struct view_identity identity;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		static _Atomic long long last;
		int error = fd < 0 ? fd : -errno;

		if (error != -ENOENT && !is_shortage(error) && log_allowed(&last))
			log_line(LOG_LEVEL_ERROR, "%s: cannot be opened: %s", image->name, strerror(-error));
		return error == -ENOENT ? -ESTALE : is_shortage(error) ? error : -EIO;
	}
	identity = view_identity_of(&st);
	if (!view_identity_equal(&identity, &image->identity))
		return -ESTALE;
	return steal_fd(&fd);
}

/* What is known of its writes: by the kernel's events where they can be had, and by what servers report. */
static int make_log(const struct view_settings *settings, const struct cache_device *device, struct cache_image *cache)
{
	struct write_log *log;
	int error = write_log_new(&log);

	if (error != 0) {
		cache_image_put(cache);
		return error;
	}
	if (!settings->kernel)
		write_log_no_feed(log, settings->why_no_kernel);
	else if ((error = disk_silent_error(device)) != 0 ||
		 (error = kernel_feed_new(settings->kernel, disk_fd(device), log)) != 0)
		write_log_no_feed(log, kernel_why_not(error));
	cache_image_set_log(cache, log);
	return 0;
}

static int silent_fd(void *context, int fd)
{
	return kernel_silent_fd(context, fd);
}

/* Nothing is connected to before it is looked at. */
static int make_remote(struct view_image *image, struct cache_image **cache, int *fd_of_device)
{
	const struct view_settings *settings = view_images_settings(image->images);
	struct cache_device *device;
	struct write_log *log;
	int error = nbd_device_new(image->remote, &device);

	*fd_of_device = -1;
	if (error == 0)
		error = cache_image_new(settings->cache, device, 0, cache);
	if (error != 0)
		return error;
	error = write_log_new(&log);
	if (error == 0)
		cache_image_set_log(*cache, log);
	if (error == 0 && !settings->believe_nothing && nbd_available())
		error = nbd_writes_new(device, log);
	if (error != 0)
		cache_image_put(*cache);
	return error;
}

static int make_cache(struct view_image *image, struct cache_image **cache, int *fd_of_device)
{
	const struct view_settings *settings = view_images_settings(image->images);
	struct disk_options options = {
		.believe_nothing = settings->believe_nothing,
		.ctime_lag_ns = WAIT_CTIME_LAG_NS,
		.silent_fd = settings->kernel ? silent_fd : NULL,
		.context = settings->kernel,
		.descriptors_low = settings->descriptors_low,
	};
	struct cache_device *device;
	int fd, error;

	if (image->remote)
		return make_remote(image, cache, fd_of_device);
	fd = open_image(image);
	if (fd < 0)
		return fd;
	error = disk_new(fd, view_images_watch(image->images), &options, &device);
	if (error != 0)
		return error == -ENOMEM || is_shortage(error) ? error : -EIO;
	error = cache_image_new(settings->cache, device, disk_sector_bytes(device), cache);
	if (error == 0)
		error = make_log(settings, device, *cache);
	if (error == 0)
		*fd_of_device = disk_fd(device);
	return error;
}

/* ---- in the room that there is ---------------------------------------------------- */

/* Descriptors have run out, whoever has them: we do with half of the images, at least. */
#define SHORTAGE_TRIES 4

/*
 * Who has looked a file up and is about to open it would find it gone: what was used a moment
 * ago is closed only when few descriptors are left. The lowest free one is what the kernel gives.
 */
static int open_in_room(struct view_image *image, struct cache_image **cache, int *fd)
{
	struct view_images *images = image->images;
	const struct view_settings *settings = view_images_settings(images);
	size_t open = view_images_count_open(images, 1);
	static _Atomic long long last;
	int error;

	view_images_make_room(images, settings->open_max, queue_now_ns() - WAIT_IMAGE_IN_USE_NS);
	error = make_cache(image, cache, fd);
	if (error == 0 && *fd >= settings->descriptors_low)
		view_images_make_room(images, open - min_u64(open, 2), INT64_MAX);
	for (int tries = 1; is_shortage(error) && tries <= SHORTAGE_TRIES; tries++) {
		view_images_make_room(images, open >> tries, INT64_MAX);
		error = make_cache(image, cache, fd);
	}
	if (is_shortage(error) && log_allowed(&last))
		log_line(LOG_LEVEL_ERROR, "%s: cannot be opened: %s", image->name, strerror(-error));
	return error;
}

int view_image_open(struct view_image *image, struct cache_op *op, struct cache_image **cache)
{
	struct cache_image *none = NULL;
	int error, fd;

	*cache = atomic_load(&image->cache);
	if (*cache)
		return 0;
	if (!op->may_block)
		return -EAGAIN;
	error = open_in_room(image, cache, &fd);
	if (error == 0 && atomic_compare_exchange_strong(&image->cache, &none, *cache)) {
		atomic_store(&image->fd, fd);
		log_debug(LOG_DEBUG_IMAGES, "%s: opened", image->name);
		return 0;
	}
	view_images_count_open(image->images, -1);
	if (error == 0) {
		cache_image_put(*cache); /* somebody was faster */
		*cache = none;
	}
	return view_shortage(op, error);
}
