/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk: what is known of a version's bytes, piece by piece.
 *
 * A chunk is known once its bytes may have been handed out: by its hash, for
 * ever. Of one that is not, `hashes` may note what it held when it was last
 * looked at, and since when: where nothing else tells whether an update goes on,
 * that it lasted does.
 *
 * Under the image's lock.
 */
#pragma once

#include "cache/tree/version.h"

struct chunk_hash chunk_hash_of(const unsigned char *data, size_t length_bytes);
bool chunk_known(const struct cache_version *version, uint64_t chunk);
bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);
int chunks_allocate(struct cache_version *version); /* before any of those below. -ENOMEM, -EDQUOT */

/*
 * A new version of the same entry takes over the chain of another, which is read again before it is believed, and what was noted of its
 * bytes; none of them is known. Without memory it takes over nothing.
 */
void chunks_take_over(struct cache_version *version, const struct cache_version *other);
void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);

/* An unknown chunk was seen to hold that at `now_ns`. Since when, as far as it was looked at. */
int64_t chunk_note(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash, int64_t now_ns);

struct span span_around(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes);
size_t span_chunk_count(const struct span *span);
bool span_known(const struct cache_version *version, const struct span *span);

/* One hash for each chunk of the data. Without the lock. */
void span_hash(const struct span *span, const unsigned char *data, struct chunk_hash *hashes);

/* Are its known chunks what was read? */
bool span_agrees(const struct cache_version *version, const struct span *span, const struct chunk_hash *hashes);
void span_remember(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes);

/* All of it is known, or waits for a comparison already. */
bool span_waits(const struct cache_version *version, const struct span *span);

/* Its unknown chunks wait for the next comparison. They are as read from start_ns on, and lasted so long before. */
void span_wait(struct cache_version *version, const struct span *span, const struct readers *reader);

/* All that wait take part in the comparison that begins now; and at its end they are known, or new again. */
void chunks_join(struct cache_version *version);
void chunks_adopt(struct cache_version *version, bool known);

/* Since when the youngest of its unknown chunks has held what was read; 0: all are known. */
int64_t span_note(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes,
		  int64_t now_ns);
