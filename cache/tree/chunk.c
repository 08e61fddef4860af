/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/chunk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cache/device/hash.h"

struct chunk_hash chunk_hash_of(const unsigned char *data, size_t length_bytes)
{
	XXH128_hash_t hash = XXH3_128bits(data, length_bytes);

	return (struct chunk_hash){ hash.low64, hash.high64 };
}

bool chunk_known(const struct cache_version *version, uint64_t chunk)
{
	return version->states && version->states[chunk] == CHUNK_KNOWN;
}

bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	return version->hashes[chunk].low == hash->low && version->hashes[chunk].high == hash->high;
}

int chunks_allocate(struct cache_version *version)
{
	uint64_t count = extents_chunk_count(version->extents);

	if (version->hashes)
		return 0;
	if (!image_has_room(version->image, count * CHUNK_KNOWN_BYTES))
		return -EDQUOT;
	version->hashes = calloc(count, sizeof(*version->hashes));
	version->noted_ns = calloc(count, sizeof(*version->noted_ns));
	version->states = calloc(count, 1);
	if (version->hashes && version->noted_ns && version->states) {
		version_count(version);
		return 0;
	}
	version_forget_chunks(version);
	return -ENOMEM;
}

void chunks_take_over(struct cache_version *version, const struct cache_version *other)
{
	uint64_t count = other->extents ? extents_chunk_count(other->extents) : 0;

	if (!other->hashes)
		return;
	version->extents = extents_ref(other->extents);
	if (chunks_allocate(version) != 0)
		return;
	for (uint64_t chunk = 0; chunk < count; chunk++) {
		version->hashes[chunk] = other->hashes[chunk];
		version->noted_ns[chunk] = other->noted_ns[chunk];
	}
}

void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	if (!chunk_known(version, chunk))
		version->known_count++;
	/* When it was noted was another content's time: a version that takes both over (chunks_take_over) counts from then. */
	if (!chunk_equal(version, chunk, hash))
		version->noted_ns[chunk] = 0;
	version->states[chunk] = CHUNK_KNOWN;
	version->hashes[chunk] = *hash;
}

int64_t chunk_note(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash, int64_t now_ns)
{
	/* 0 is a time before anything was noted. */
	if (version->noted_ns[chunk] == 0 || !chunk_equal(version, chunk, hash)) {
		if (version->noted_ns[chunk] != 0)
			image_differs(version->image);
		version->hashes[chunk] = *hash;
		version->noted_ns[chunk] = now_ns;
		version->states[chunk] = CHUNK_NEW;
	}
	return version->noted_ns[chunk];
}

/* ---- spans --------------------------------------------------------------- */

struct span span_around(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes)
{
	uint64_t start = offset_bytes / CHUNK_BYTES * CHUNK_BYTES;
	uint64_t end = (offset_bytes + length_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;

	end = min_u64(end, version->entry.size_bytes);
	return (struct span){ start, (size_t)(end - start) };
}

size_t span_chunk_count(const struct span *span)
{
	return (size_t)((span->length_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

bool span_known(const struct cache_version *version, const struct span *span)
{
	size_t count = span_chunk_count(span);

	for (size_t i = 0; i < count; i++)
		if (!chunk_known(version, span->offset_bytes / CHUNK_BYTES + i))
			return false;
	return true;
}

void span_hash(const struct span *span, const unsigned char *data, struct chunk_hash *hashes)
{
	for (size_t at = 0; at < span->length_bytes; at += CHUNK_BYTES)
		hashes[at / CHUNK_BYTES] = chunk_hash_of(data + at, (size_t)min_u64(CHUNK_BYTES, span->length_bytes - at));
}

bool span_agrees(const struct cache_version *version, const struct span *span, const struct chunk_hash *hashes)
{
	uint64_t first = span->offset_bytes / CHUNK_BYTES;
	size_t count = span_chunk_count(span);

	for (size_t i = 0; i < count; i++)
		if (chunk_known(version, first + i) && !chunk_equal(version, first + i, &hashes[i]))
			return false;
	return true;
}

void span_remember(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes)
{
	size_t count = span_chunk_count(span);

	for (size_t i = 0; i < count; i++)
		chunk_remember(version, span->offset_bytes / CHUNK_BYTES + i, &hashes[i]);
}

int64_t span_note(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes,
		  int64_t now_ns)
{
	uint64_t first = span->offset_bytes / CHUNK_BYTES;
	size_t count = span_chunk_count(span);
	int64_t since_ns = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t noted_ns;

		if (chunk_known(version, first + i))
			continue;
		noted_ns = chunk_note(version, first + i, &hashes[i], now_ns);
		if (noted_ns > since_ns)
			since_ns = noted_ns;
	}
	return since_ns;
}

/* ---- waiting for a comparison -------------------------------------------- */

bool span_waits(const struct cache_version *version, const struct span *span)
{
	size_t count = span_chunk_count(span);

	for (size_t i = 0; i < count; i++)
		if (version->states[span->offset_bytes / CHUNK_BYTES + i] == CHUNK_NEW)
			return false;
	return true;
}

void span_wait(struct cache_version *version, const struct span *span, const struct readers *reader)
{
	struct readers *waiting = &version->waiting;
	size_t count = span_chunk_count(span);

	for (size_t i = 0; i < count; i++)
		if (!chunk_known(version, span->offset_bytes / CHUNK_BYTES + i))
			version->states[span->offset_bytes / CHUNK_BYTES + i] = CHUNK_READ;
	if (!waiting->any) {
		*waiting = *reader;
		return;
	}
	if (reader->start_ns < waiting->start_ns)
		waiting->start_ns = reader->start_ns;
	if (reader->lasted_ns < waiting->lasted_ns)
		waiting->lasted_ns = reader->lasted_ns;
	waiting->generation = min_u64(waiting->generation, reader->generation);
}

static void change_all(struct cache_version *version, enum chunk_state from, enum chunk_state to)
{
	uint64_t count = extents_chunk_count(version->extents);

	for (uint64_t chunk = 0; chunk < count; chunk++) {
		if (version->states[chunk] != from)
			continue;
		version->states[chunk] = (unsigned char)to;
		version->known_count += to == CHUNK_KNOWN;
	}
}

void chunks_join(struct cache_version *version)
{
	version->joined = version->waiting;
	version->waiting = (struct readers){ 0 };
	change_all(version, CHUNK_READ, CHUNK_JOINED);
}

void chunks_adopt(struct cache_version *version, bool known)
{
	change_all(version, CHUNK_JOINED, known ? CHUNK_KNOWN : CHUNK_NEW);
	version->joined = (struct readers){ 0 };
}
