/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/image.h"

#include <errno.h>
#include <stdlib.h>

int image_observe(struct cache_image *image, const struct cache_op *op)
{
	int error;

	/* Whatever is written after the device was looked at is told of. */
	if (image->reports)
		write_log_listen(image->reports);
	error = image->device->ops->observe(image->device, op->may_block, &image->seen);

	if (error == 0 && image->reports)
		reports_observe(image->reports, &image->seen);
	return error;
}

int image_enter(struct cache_image *image, struct cache_op *op)
{
	int error;

	op->retry_ns = 0;
	if (op->may_block)
		pthread_mutex_lock(&image->lock);
	else if (pthread_mutex_trylock(&image->lock) != 0)
		return -EAGAIN;
	error = image_observe(image, op);
	if (error != 0)
		image_leave(image);
	return error;
}

void image_leave(struct cache_image *image)
{
	/* Repeats only when a node was pushed between the look and the unlock. */
	do {
		image->ops->reap(image);
		pthread_mutex_unlock(&image->lock);
	} while (atomic_load(&image->idle) && pthread_mutex_trylock(&image->lock) == 0);
}

/* The last user is gone, so nobody else can reach the tree: no lock is needed. */
void cache_image_put(struct cache_image *image)
{
	if (!image || atomic_fetch_sub(&image->users, 1) != 1)
		return;
	image->ops->reap(image);
	image->ops->free_tree(image);
	/* Its feed is about the device's descriptor. */
	if (image->reports)
		write_log_close_feed(image->reports);
	reports_unref(image->reports);
	cache_device_unref(image->device);
	pthread_mutex_destroy(&image->lock);
	free(image);
}

void cache_image_report_to(struct cache_image *image, struct reports *reports)
{
	image->reports = reports;
}

struct reports *cache_image_reports(struct cache_image *image)
{
	return image->reports;
}

const char *cache_image_problem(struct cache_image *image)
{
	return atomic_load(&image->problem);
}

const char *cache_image_change_source(struct cache_image *image)
{
	return image->device->ops->describe(image->device);
}
