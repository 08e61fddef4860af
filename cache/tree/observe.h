/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observe: what is known without reading of what was written to an image since it
 * was last observed. Under the image's lock.
 */
#pragma once

#include "cache/tree/image.h"
#include "cache/tree/validation.h"

/* The most ranges that are compared; more, and what is asked about is read. */
#define CHANGES_MAX 128

/* What was written since `generation`, and is being written. False: it may be anything. */
struct changes {
	struct cache_range ranges[CHANGES_MAX];
	size_t count;
};
bool image_changes(const struct cache_image *image, uint64_t generation, struct changes *changes);

/* Is it known that nothing of the validation set was written since `generation`, and is not now? */
bool image_untouched(const struct cache_image *image, uint64_t generation, const struct validation *set);
