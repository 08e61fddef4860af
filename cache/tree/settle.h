/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settle: what is known without reading of what was written to an image; and has
 * new content been there long enough to be believed?
 *
 * An update rewrites the blocks of one file at times that lie apart, and other
 * blocks in between: that a directory, or a file's bytes, lasted for a moment
 * says little as long as its image is being written. So it is the image that
 * must have been quiet for the settle time; or its partition, where the log tells
 * what was written. What is older than the burst of writes that goes on is no
 * half of it, and need not wait for its end.
 *
 * A device that gives no sign of change is never known to be quiet: there the
 * content itself must have lasted for the settle time since it was first seen.
 *
 * But an image that is never quiet (somebody works on its root filesystem) is not
 * to hide for ever what changed on it: what lasted for much longer is served too.
 *
 * Under the image's lock.
 */
#pragma once

#include "cache/tree/image.h"
#include "cache/tree/validation.h"

/*
 * Was content that has been there since `since_ns` there long enough to be
 * believed? `where` is the partition it belongs to, NULL for what is in none.
 * Else sets op->retry_ns.
 */
bool image_settled(const struct cache_image *image, struct cache_op *op, int64_t since_ns,
		   const struct cache_range *where);

/*
 * What is looked at for the first time where nothing tells of changes: it is known to be that old. A device without any
 * sign does not even tell that: what nobody has looked at before may be half of an update.
 */
int64_t image_first_seen_ns(const struct cache_image *image);

/* Was nothing written there for the settle time before `since_ns`, nor since then, as far as is known? */
bool image_is_quiet(const struct cache_image *image, int64_t since_ns, const struct cache_range *where);

/* Content that lasted as long is believed whatever is written around it. */
int64_t image_lasting_ns(const struct cache_image *image, const struct cache_range *where);

/* What was true under this generation, and is untouched since, is older than the writes that go on. 0: not known. */
uint64_t image_burst_generation(const struct cache_image *image, const struct cache_range *where);

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
