/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout: what an RBD image is made of, as librbd says: its size, the names of its objects, the
 * snapshot that it is a clone of. librbd opens the image for that, without a watch, and closes it; how long
 * its answer is true is for the caller to find out (image.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parents.h"
#include "pool.h"

#define LAYOUT_ID_BYTES 128

struct layout {
	char id[LAYOUT_ID_BYTES];
	const char *refusal; /* why it is not served, a constant; NULL: it is. What follows is for those that
				are. */
	char prefix[LAYOUT_ID_BYTES]; /* of the objects' names */
	int64_t data_pool;
	uint64_t size_bytes;
	unsigned object_shift;	/* an object has 2^this bytes: object N those from N << object_shift on */
	struct parent *parent;	/* NULL: none */
	uint64_t overlap_bytes; /* so many of the image's first bytes are the parent's where there is no
				   object */
};

/* The image of that id, which is shorter than LAYOUT_ID_BYTES. 0 or -errno. Give back with layout_release. */
int layout_read(struct pool *pool, const char *id, struct layout *layout);
void layout_release(struct layout *layout);

/* Both of one image, and held at the same time. */
bool layout_same(const struct layout *a, const struct layout *b);
