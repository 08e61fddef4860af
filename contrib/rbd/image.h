/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image: an RBD image that others write to, read without a lock, a watch or a cache: what its name
 * means, and what it is made of (layout.h).
 *
 * Is what librbd said still true? The image's header object and the pool's settings have versions,
 * as all objects have. Whenever the answer matters these are looked at, and when they are others the image is
 * looked at anew: for each read of NAME@writes' header; and when an object was absent (reading.h).
 *
 * A struct image is of one layout. When the image is resized, flattened or replaced there is another
 * one, with another instance. What does not show in the layout (a snapshot that the image was rolled back to,
 * say) is in the objects' versions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "counters.h"
#include "layout.h"
#include "pool.h"

#define IMAGE_INSTANCE_BYTES 16
#define IMAGE_COUNTERS_MAX (1u << 20) /* objects that are counted: 4 TiB of 4 MiB each */

/* What the layout was read with. */
struct versions {
	uint64_t header, settings;
};

struct image {
	/* Constant, and not there of one that is refused, which no caller gets. */
	struct layout layout;
	rados_ioctx_t data; /* its objects */
	struct counters *counters;
	unsigned char instance[IMAGE_INSTANCE_BYTES];

	/* For image.c, under its lock. */
	TAILQ_ENTRY(image) all;
	unsigned users;
	bool listed; /* it is what its id means, as far as is known */
	struct versions versions;
	time_t believed_until; /* CLOCK_MONOTONIC */
};

/*
 * What the name means now. *image is NULL, or what the caller has of that name, which is given back if
 * it is another one now (and stays as it is with an error). Give back with image_put. 0; -ENOENT: no such
 * image; -EPERM: it is refused, and the log says why; -errno.
 */
int image_follow(struct pool *pool, const char *name, struct image **image);
void image_put(struct image *image); /* NULL is fine */

/* At the end, when no caller has one any more. */
void images_free(void);

/* As image_follow, for an id. */
int image_follow_id(struct pool *pool, const char *id, struct image **image);

/* That of *image, but only when the last look was 10 s ago: those who read without asking for a page see
 * new settings, too. */
int image_follow_at_times(struct pool *pool, struct image **image);
