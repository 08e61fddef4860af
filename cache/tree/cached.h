/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cached: cached metadata, and how it is kept true.
 *
 * Something parsed from the image (a table, a volume, a directory, a chain), or
 * the error that parsing it comes to, with the validation set it rests on. This
 * is the one place where the rules of cache.h are applied to metadata: believe
 * under the same generation; under another, compare the validation set; and when
 * that differs, parse again until a reading is of one moment (the generation did
 * not move, or a second reading of the same blocks is equal).
 *
 * Under the image's lock.
 */
#pragma once

#include "cache/tree/image.h"
#include "cache/tree/validation.h"

struct cached {
	struct validation validation;
	uint64_t checked; /* the generation under which it was last seen to hold */
	int64_t since_ns; /* since when the image has held just this, as far as we looked */
	int error;	  /* 0, or what parsing it comes to */
	bool loaded;
	bool reread; /* it holds as far as it goes, and is made once more, since a part of it was let go */
	unsigned adopted; /* how often it was made anew */
	uint64_t once;	  /* it was made under that generation, of one reading, and does not hold until another one is equal; 0: it does */
};

/*
 * How one kind of metadata is made. parse reads from the source only and leaves
 * its result in *result; commit takes the result over and says whether it
 * differs from what was there; discard frees a result that is not taken.
 */
struct cached_kind {
	int (*parse)(void *owner, struct source *source, void **result);
	bool (*commit)(void *owner, void *result);
	void (*discard)(void *result);
};

/*
 * Bring it up to the generation seen, which may be a newer one afterwards. Returns
 * its error, or -EAGAIN, -ENOMEM, -EINPROGRESS. `where` as for image_settled.
 */
int cached_refresh(struct cache_image *image, struct cache_op *op, struct cached *cached,
		   const struct cached_kind *kind, void *owner, const struct cache_range *where);

/* As image_settled of what it says: it may also be known that its blocks were not written by what goes on. */
bool cached_settled(const struct cache_image *image, struct cache_op *op, const struct cached *cached, int64_t since_ns,
		    const struct cache_range *where);

/*
 * It must be made anew; what was made of it stays with its owner. To be made `reread` instead
 * it has no need to forget: from the same blocks it is as old as it was.
 */
void cached_forget(struct cached *cached);
