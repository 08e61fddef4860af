/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/hash.h"

uint64_t chunk_count(const struct cache_version *version)
{
	return (version->entry.size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

struct chunk_hash chunk_hash_of(const unsigned char *data, size_t length_bytes)
{
	XXH128_hash_t hash = XXH3_128bits(data, length_bytes);

	return (struct chunk_hash){ hash.low64, hash.high64 };
}

bool chunk_known(const struct cache_version *version, uint64_t chunk)
{
	return version->known && (version->known[chunk / 8] & (1U << chunk % 8));
}

bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	return version->hashes[chunk].low == hash->low && version->hashes[chunk].high == hash->high;
}

int chunks_allocate(struct cache_version *version)
{
	uint64_t count = chunk_count(version);

	if (version->hashes)
		return 0;
	version->hashes = calloc(count, sizeof(*version->hashes));
	version->known = calloc((count + 7) / 8, 1);
	if (version->hashes && version->known)
		return 0;
	free(version->hashes);
	free(version->known);
	version->hashes = NULL;
	version->known = NULL;
	return -ENOMEM;
}

void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	if (!chunk_known(version, chunk))
		version->known_count++;
	version->known[chunk / 8] |= (unsigned char)(1U << chunk % 8);
	version->hashes[chunk] = *hash;
}
