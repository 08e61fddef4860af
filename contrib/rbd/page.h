/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * page: NAME@writes of an RBD image (imagefs-writes(7)), made when it is asked for.
 *
 * Its units are the image's objects, usually of 4 MiB. A counter that is asked for is a look at
 * one object's version, if anything was read of that (counters.h); all that one request asks for are looked at together. Nothing is known of other
 * objects: so the header is of 4096 bytes, without a counter in a first read, and the totals, the same number
 * twice, grow whenever they are read. Nothing is ever in flight: a write has a version when it has its reply.
 *
 * Why a reader may believe it: counters.h for each object, image.h for its layout; and a counter is of a
 * moment after its request came, so that it has all writes whose reply was there before. That one page has
 * counters of several moments is no matter: a reader that gets the same number before and after has bytes of
 * one version of each object, which all were there at one moment, in between. (But for objects
 * that are absent at each of three looks and were there in between: two whole objects would have to be
 * written and discarded by turns, three times during one look.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "image.h"
#include "pool.h"

#define PAGE_BYTES (4096u + 8u * IMAGE_COUNTERS_MAX)

/* Of the name, for which *image is as image_follow has it. 0 or -errno. */
int page_read(struct pool *pool, const char *name, struct image **image, void *buffer, size_t length_bytes,
	      uint64_t offset_bytes);
