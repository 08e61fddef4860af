/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path: a directory or version and all that leads to it, from the table down, as
 * of one generation. Under the image's lock.
 */
#pragma once

#include "cache/tree/dir.h"

/* -ESTALE: it is not the image's any more; its error, or waiting. */
int path_refresh_dir(struct cache_dir *dir, struct cache_op *op);

/* The same, and its content is complete: for who asks what else is in it than what was looked up before. */
int path_complete_dir(struct cache_dir *dir, struct cache_op *op);

/* Entry and chain. -ESTALE as above. */
int path_refresh_version(struct cache_version *version, struct cache_op *op);

/*
 * `once` looks at all that an answer rests on. A reading on the way may find a newer
 * generation, under which what is above was not looked at: a directory's clusters may be
 * another's by now. Then once more, and what was just read is only compared.
 */
int path_until_one_generation(struct cache_image *image, struct cache_op *op, int (*once)(void *object, struct cache_op *op),
			      void *object);
