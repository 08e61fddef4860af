/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * whole: full validation: all of a version's bytes at once, to see whether they
 * are what they were, and to keep them for its readers. Under the image's lock.
 */
#pragma once

#include "cache/tree/version.h"

/*
 * One reading of the whole file: a hash of each chunk, and the bytes if they are
 * to be kept. `filled_bytes` only grows, and what is below it does not change
 * any more, so that others may be served from it while the rest comes in.
 */
struct reading {
	struct chunk_hash *hashes;
	struct kept *kept;
	uint64_t generation; /* under which it began */
	_Atomic uint64_t filled_bytes;
};

/*
 * Read the version whole, once at a time, and hold it against what is known; with
 * `keep` the content stays with it. Lets the lock go meanwhile. -ESTALE: it is
 * another by now; -EIO, -ENOMEM, or waiting.
 */
int version_keep(struct cache_version *version, struct cache_op *op, bool keep);
