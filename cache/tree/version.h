/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * version: what version.c, chunk.c, whole.c and read.c share. Everything here
 * wants the image's lock held.
 */
#pragma once

#include "cache/tree/tree.h"

/* ---- cache/tree/version.c ----------------------------------------------------- */

/* It is no longer what the image holds: the next lookup of its name makes another. Returns -ESTALE. */
int version_supersede(struct cache_version *version);

/* Entry and chain, as of the generation seen. -ESTALE when the version is not the image's any more. */
int version_refresh(struct cache_version *version, struct cache_op *op);

/* Its partition. */
struct cache_range version_range(const struct cache_version *version);

/* Is it known without reading that none of its clusters was written since `generation`, and none is now? */
bool version_untouched(struct cache_version *version, uint64_t generation);

/*
 * Is a chunk that is known another by now, of those that were written since the
 * version was last true? Then it is gone, whatever else it holds. Looks at what
 * is at hand only, and never waits: false says nothing.
 */
bool version_is_gone(struct cache_version *version);

/* Were its clusters not written by the writes that go on in its partition? */
bool version_older_than_burst(struct cache_version *version);

/* ---- cache/tree/chunk.c ------------------------------------------------------- */

uint64_t chunk_count(const struct cache_version *version);
struct chunk_hash chunk_hash_of(const unsigned char *data, size_t length_bytes);
bool chunk_known(const struct cache_version *version, uint64_t chunk);
bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);
int chunks_allocate(struct cache_version *version); /* -ENOMEM */
void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);

/* ---- cache/tree/whole.c ------------------------------------------------------- */

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
