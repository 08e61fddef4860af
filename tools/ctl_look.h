/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_look: one image without a mount, through the code that serves mounts, so that what is shown is what
 * a TFTP server would get: fresh and whole, or an error. It waits longer for an image
 * that is being written than a server may.
 */
#pragma once

#include <stdio.h>

#include "base/clock.h"
#include "cache/tree/cache.h"
#include "tools/ctl_image.h"

#define LOOK_PATIENCE_NS (10 * INT64_C(1000000000))

/* An image that is looked into. */
struct look {
	struct image_place place;
	struct watch *watch; /* or NULL */
	struct cache *cache;
	struct cache_image *image;
	struct cache_dir *root;
};

/* IMAGE, IMAGE:N or BOARD. OK, or it was said why not; look_close in any case. */
int look_open(struct look *look, const char *control, const char *argument);
void look_close(struct look *look);

/* What a path of the partition leads to, for look_put. 0 or -errno. The root's `dir` is NULL: see look->root.
 */
int look_find(struct look *look, const char *path, struct cache_node *node);
void look_put(struct cache_node *node);

/* Write out a file. OK, or it was said why not: then some of it may have been written. */
int look_copy(struct look *look, const char *path, FILE *out);

/* For people: what an error of the image means. */
const char *look_reason(const struct look *look, int error);

/* Is a call of the cache to be made again? Waits a moment then. */
bool look_again(int error, const struct cache_op *op, int64_t deadline_ns);

/* Calls of the cache wait for an image in flux: repeat until it is settled. */
#define PATIENTLY(error, call)                                                               \
	do {                                                                                 \
		int64_t patient_until_ns = clock_now_ns(CLOCK_MONOTONIC) + LOOK_PATIENCE_NS; \
		struct cache_op op;                                                          \
		do {                                                                         \
			op = (struct cache_op){ .may_block = true };                         \
			error = (call);                                                      \
		} while (look_again(error, &op, patient_until_ns));                          \
	} while (0)
