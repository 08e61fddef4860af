/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/version.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cache/changes/guards.h"
#include "cache/tree/settle.h"

/* ---- life ---------------------------------------------------------------- */

int version_new(struct cache_image *image, struct cache_dir *dir, const struct location *place,
		const struct fat_entry *entry, struct cache_version **out)
{
	struct cache_version *version;

	if (!image_has_room(image, sizeof(*version)))
		return -EDQUOT;
	version = calloc(1, sizeof(*version));
	if (!version)
		return -ENOMEM;
	version->node.is_version = true;
	version->image = image;
	version->dir = dir;
	version->place = *place;
	version->id = cache_next_id();
	version->entry = *entry;
	version->entry.name = version->entry.short_name = NULL;
	version_count(version);
	*out = version;
	return 0;
}

bool version_is_blank(const struct cache_version *version)
{
	return !version->extents && version->known_count == 0 && !version->kept && !version->retired &&
	       atomic_load(&version->opens) == 0;
}

void version_count(struct cache_version *version)
{
	size_t bytes = sizeof(*version) + validation_memory_bytes(&version->chain.validation);

	if (version->extents)
		bytes += extents_footprint_bytes(version->extents);
	if (version->hashes)
		bytes += extents_chunk_count(version->extents) * CHUNK_KNOWN_BYTES;
	if (version->guard)
		bytes += guard_memory_bytes(version->extents);
	node_count(version->image, &version->node, bytes);
}

void version_forget_chunks(struct cache_version *version)
{
	free(version->hashes);
	free(version->noted_ns);
	free(version->states);
	version->hashes = NULL;
	version->noted_ns = NULL;
	version->states = NULL;
	version->known_count = 0;
}

void version_drop_guard(struct cache_version *version)
{
	if (!version->guard)
		return;
	write_log_unguard(version->image->log, version->guard);
	guard_unref(version->guard);
	version->guard = NULL;
	version_count(version);
}

void version_drop_content(struct cache_version *version)
{
	version_drop_guard(version);
	if (version->kept)
		image_drop_copy(version->image, version->kept);
	version->kept = NULL;
}

static void forget_bytes(struct cache_version *version)
{
	version_drop_content(version);
	cached_forget(&version->chain);
	version_forget_chunks(version);
	extents_unref(version->extents);
	version->extents = NULL;
	version_count(version);
}

void version_detach(struct cache_version *version)
{
	version->detached = true;
	version->dir = NULL;
	/* An open of it fails from now on. */
	if (node_idle(&version->node) || (atomic_load(&version->opens) == 0 && !version->copying))
		forget_bytes(version);
	if (!node_idle(&version->node))
		return;
	node_count(version->image, &version->node, 0);
	free(version);
}

void cache_version_put(struct cache_version *version)
{
	node_put(version->image, &version->node);
}

void cache_version_attributes(const struct cache_version *version, struct cache_attributes *attributes)
{
	*attributes = (struct cache_attributes){
		.id = version->id,
		.size_bytes = version->entry.size_bytes,
		.cluster_bytes = version->place.fat.cluster_bytes,
		.cluster_count = version->place.fat.cluster_count,
		.fat_attributes = version->entry.attributes,
		.times = fat_entry_times(&version->entry, 0),
	};
}

/* ---- chain --------------------------------------------------------------- */

/*
 * The runs of a chain in the image; each turn takes one, of at least one byte.
 * What is not in the partition is another one's, and nobody's to read here.
 */
static int runs_of_chain(const struct cache_version *version, const struct fat_extents *chain, struct extents **out)
{
	uint64_t size_bytes = version->entry.size_bytes;
	struct extents_run *runs = calloc(chain->count ? chain->count : 1, sizeof(*runs));
	struct fat_cursor cursor = { 0 };
	size_t count = 0;

	if (!runs)
		return -ENOMEM;
	for (uint64_t at = 0; at < size_bytes; count++) {
		struct extents_run *run = &runs[count];
		uint64_t volume_bytes;

		if (count == chain->count ||
		    !fat_extents_map(&version->place.fat, chain, at, &cursor, &volume_bytes, &run->length_bytes) ||
		    !range_within(volume_bytes, min_u64(run->length_bytes, size_bytes - at),
				  version->place.range.length_bytes) ||
		    !add_u64(version->place.range.offset_bytes, volume_bytes, &run->image_bytes)) {
			free(runs);
			return -EIO;
		}
		run->length_bytes = min_u64(run->length_bytes, size_bytes - at);
		run->file_bytes = at;
		at += run->length_bytes;
	}
	return extents_new(runs, count, size_bytes, out);
}

static int chain_parse(void *owner, struct source *source, void **result)
{
	struct cache_version *version = owner;
	struct source_slice slice = source_slice_of(source, version->place.range.offset_bytes,
						    source->size_bytes - version->place.range.offset_bytes);
	struct fat_extents chain;
	int error = fat_extents_of_file(&version->place.fat, &slice.source, version->entry.first_cluster,
					version->entry.size_bytes, &chain);

	if (error != 0)
		return error;
	error = runs_of_chain(version, &chain, (struct extents **)result);
	fat_extents_free(&chain);
	return error;
}

/* The first chain is adopted; a different one later leaves `extents` as it is, and is told by since_ns. */
static bool chain_commit(void *owner, void *result)
{
	struct cache_version *version = owner;
	struct extents *extents = result;

	if (!version->extents) {
		version->extents = extents;
		return true;
	}
	if (extents_equal(version->extents, extents)) {
		extents_unref(extents);
		return false;
	}
	extents_unref(extents);
	version->chain_changed = true;
	return true;
}

static void chain_discard(void *result)
{
	extents_unref(result);
}

static const struct cached_kind chain_kind = { chain_parse, chain_commit, chain_discard };

int version_refresh_chain(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	size_t last_bytes = version->node.bytes;
	int error;

	if (version->place.range.offset_bytes > image->seen.size_bytes)
		return -EIO;
	error = cached_refresh(image, op, &version->chain, &chain_kind, version, &version->place.range);
	version_count(version);
	/* Only what is made now is refused: not who has it open since long. The extents go when it is closed. */
	if (error != 0 || version->node.bytes <= last_bytes || image_has_room(image, 0))
		return error;
	cached_forget(&version->chain);
	version_count(version);
	return -EDQUOT;
}

/* ---- what is known of writes to it --------------------------------------- */

static bool touches(const void *what, const struct cache_range *range)
{
	const struct cache_version *version = what;

	return !version->extents || extents_touch(version->extents, range);
}

bool version_untouched(const struct cache_version *version, uint64_t generation)
{
	const struct cache_image *image = version->image;
	struct changes changes;

	/* Nothing guards it: all that is remembered counts. */
	if (image->log && write_log_is_told_late(image->log) &&
	    (image->seen.generation != generation || image->seen.in_flight != 0))
		return write_log_untouched(image->log, generation, touches, version);
	if (!image_changes(version->image, generation, &changes))
		return false;
	for (size_t i = 0; i < changes.count; i++)
		if (!version->extents || extents_touch(version->extents, &changes.ranges[i]))
			return false;
	return true;
}

bool version_older_than_burst(const struct cache_version *version)
{
	uint64_t generation = image_burst_generation(version->image, &version->place.range);

	return generation != 0 && version_untouched(version, generation);
}

int64_t version_must_last_ns(const struct cache_version *version, int64_t start_ns, uint64_t generation)
{
	const struct cache_image *image = version->image;
	const struct cache_range *where = &version->place.range;

	if (image_is_quiet(image, start_ns, where))
		return image->seen.blind ? image->cache->settings.settle_ns : 0;
	if (version_older_than_burst(version) && version_untouched(version, generation))
		return 0;
	return image_lasting_ns(image, where);
}
