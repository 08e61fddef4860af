/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open: is a version what the image holds, so that somebody may begin to use it?
 *
 * Where the log tells every write (exact): it is if nothing was written to it since
 * it was last known to hold; or what was written is the same again. From then on
 * a guard preserves what a write replaces, as long as it is open.
 *
 * Elsewhere: if entry and chain are, and so is all that was ever handed out of it:
 * pages of that may be in the kernel's cache under its inode number. What nobody
 * has seen yet is the read's matter (read.c): no file is read for its open.
 */
#pragma once

#include "cache/tree/types.h"

/*
 * Begin to use a version's bytes: is it still what the image holds? -ESTALE: it
 * is not, look the name up again. -EIO: entry, chain and bytes do not belong
 * together. Every successful open is ended by a close.
 */
int cache_version_open(struct cache_version *version, struct cache_op *op);
void cache_version_close(struct cache_version *version);

/*
 * For read.c: the same under the image's lock, of a version that is open already.
 * After it, a guard that stands is set up where the log is exact.
 */
int version_check(struct cache_version *version, struct cache_op *op);
