/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk: what is known of a version's bytes, piece by piece. Under the image's lock.
 */
#pragma once

#include "cache/tree/version.h"

uint64_t chunk_count(const struct cache_version *version);
struct chunk_hash chunk_hash_of(const unsigned char *data, size_t length_bytes);
bool chunk_known(const struct cache_version *version, uint64_t chunk);
bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);
int chunks_allocate(struct cache_version *version); /* -ENOMEM */
void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash);
