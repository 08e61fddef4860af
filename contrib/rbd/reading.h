/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reading: the bytes of an image, from its objects, and these objects' counters.
 *
 * Each piece comes with the version that its object has, which is noted before anybody has
 * the piece (counters.h). What has no object is the parent snapshot's, or 0. That
 * is decided by a look at the header after the object was absent: a clone that was made independent of its
 * parent (flattened), and an image that was removed, have no parent to read from. An object that is there is
 * the image's, whatever its header says.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "image.h"

/*
 * All bytes of the range, each object's of one moment after the call. 0 beyond the image's end.
 * *image may become another one, of the same image as it is now. 0; -ENOENT: removed; -errno.
 */
int image_read(struct pool *pool, struct image **image, void *buffer, size_t length_bytes,
	       uint64_t offset_bytes);

/*
 * The counters of `count` objects from `first` on, each of a moment after the call. 0 for those that the
 * image cannot have, and those of which nothing was read. 0 or -errno.
 */
int image_count(struct image *image, uint64_t first, size_t count, uint64_t *counters);
