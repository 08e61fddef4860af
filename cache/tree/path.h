/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path: a directory or version and all that leads to it, from the table down, as
 * of one generation. Under the image's lock.
 */
#pragma once

#include "cache/tree/dir.h"

/* -ESTALE: it is not the image's any more; its error, or waiting. */
int path_refresh_dir(struct cache_dir *dir, struct cache_op *op);

/* Entry and chain. -ESTALE as above. */
int path_refresh_version(struct cache_version *version, struct cache_op *op);
