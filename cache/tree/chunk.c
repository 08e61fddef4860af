/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk: what is known of a version's bytes, piece by piece; and the way from a
 * place in the file to the bytes of the image.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cache/device/buffer.h"
#include "cache/device/hash.h"
#include "cache/tree/version.h"

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

/* ---- bytes of the image -------------------------------------------------- */

/* The run at `offset_bytes` of the file: where it is in the image, and how far it goes. */
static int map_run(const struct cache_version *version, uint64_t offset_bytes, struct fat_cursor *cursor,
		   uint64_t *image_bytes, uint64_t *run_bytes)
{
	uint64_t volume_bytes;

	if (!fat_extents_map(&version->fat, &version->extents, offset_bytes, cursor, &volume_bytes, run_bytes) ||
	    !add_u64(version->volume_offset_bytes, volume_bytes, image_bytes))
		return -EIO;
	return 0;
}

int version_read_range(const struct cache_version *version, struct fat_cursor *cursor, uint64_t offset_bytes,
		      size_t length_bytes, void *buffer, unsigned char **bytes)
{
	struct cache_device *device = version->image->device;
	uint64_t image_bytes, run_bytes;
	size_t part_buffer_bytes = cache_device_buffer_bytes(length_bytes), done = 0;
	void *part_buffer;
	int error = map_run(version, offset_bytes, cursor, &image_bytes, &run_bytes);

	if (error != 0)
		return error;
	if (run_bytes >= length_bytes)
		return device->ops->read_data(device, image_bytes, length_bytes, buffer, bytes);
	part_buffer = cache_buffer_get(part_buffer_bytes);
	if (!part_buffer)
		return -ENOMEM;
	*bytes = buffer;
	/* Each turn copies one run of at least one byte. */
	while (error == 0 && done < length_bytes) {
		unsigned char *part;
		size_t want;

		error = map_run(version, offset_bytes + done, cursor, &image_bytes, &run_bytes);
		if (error != 0)
			break;
		want = (size_t)min_u64(run_bytes, length_bytes - done);
		error = device->ops->read_data(device, image_bytes, want, part_buffer, &part);
		if (error == 0)
			memcpy((unsigned char *)buffer + done, part, want);
		done += want;
	}
	cache_buffer_put(part_buffer, part_buffer_bytes);
	return error;
}

/* One run of clusters, of which the blocks around it are read. */
static int read_run_now(struct cache_device *device, uint64_t image_bytes, size_t length_bytes, unsigned char *buffer)
{
	unsigned char block[CACHE_BLOCK_BYTES];
	int error = 0;

	/* Each turn copies what is in one block, or whole blocks. */
	while (error == 0 && length_bytes > 0) {
		size_t head = (size_t)(image_bytes % CACHE_BLOCK_BYTES), part;

		if (head == 0 && length_bytes >= CACHE_BLOCK_BYTES) {
			part = (size_t)round_down_u64(length_bytes, CACHE_BLOCK_BYTES);
			error = device->ops->read_blocks(device, false, image_bytes, buffer, part);
		} else {
			part = (size_t)min_u64(length_bytes, CACHE_BLOCK_BYTES - head);
			error = device->ops->read_blocks(device, false, image_bytes - head, block, sizeof(block));
			memcpy(buffer, block + head, part);
		}
		image_bytes += part;
		buffer += part;
		length_bytes -= part;
	}
	return error;
}

int version_read_now(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes,
		     unsigned char *buffer)
{
	struct fat_cursor cursor = { 0 };
	uint64_t image_bytes, run_bytes;
	int error = 0;

	/* Each turn copies one run of at least one byte. */
	for (size_t done = 0, part; error == 0 && done < length_bytes; done += part) {
		error = map_run(version, offset_bytes + done, &cursor, &image_bytes, &run_bytes);
		if (error != 0)
			break;
		part = (size_t)min_u64(run_bytes, length_bytes - done);
		error = read_run_now(version->image->device, image_bytes, part, buffer + done);
	}
	return error;
}
