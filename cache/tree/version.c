/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * version: one file's entry, chain and bytes as they were together at one time.
 *
 * What it is made of
 *   The entry is constant: another entry is another version (dir.c). The chain
 *   is constant once it was read: if the same entry has another chain, that is
 *   another version too. The bytes are known by the hashes of the chunks that
 *   were ever read for somebody; a chunk nobody saw is whatever the image holds
 *   the first time somebody looks, as long as all that was seen is still there.
 *   So a version is exactly what its readers saw, and it stands as long as the
 *   image holds all of that at once; reading further is then reading the same
 *   thing. The first difference ends it.
 *
 * How its bytes are read
 *   On a steady device, straight from the image; the generation after the read
 *   says whether they are the version's. Small files are read whole at the first
 *   read and kept while they are open, and so is any file that is read while its
 *   image is being written: what was validated stays readable, whatever the
 *   writer does to its clusters. What is gone before that answers -ESTALE.
 *
 * What is not here: waiting (the caller repeats), and any reading of the future:
 * an update that stops half way and leaves a sound file is that file.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cache/device/buffer.h"
#include "cache/tree/version.h"

/* ---- life ---------------------------------------------------------------- */

int version_new(struct cache_dir *dir, const struct fat_entry *entry, struct cache_version **out)
{
	struct cache_version *version = calloc(1, sizeof(*version));

	if (!version)
		return -ENOMEM;
	version->node.is_version = true;
	version->image = dir->image;
	version->dir = dir;
	version->id = cache_next_id();
	version->entry = *entry;
	version->entry.name = version->entry.short_name = NULL;
	version->fat = dir->volume->fat;
	version->volume_offset_bytes = dir->volume->entry.offset_bytes;
	version->volume_length_bytes = dir->volume->entry.length_bytes;
	*out = version;
	return 0;
}

static void drop_guard(struct cache_version *version)
{
	if (!version->guard)
		return;
	reports_unguard(version->image->reports, version->guard);
	guard_unref(version->guard);
	version->guard = NULL;
}

static void version_free(struct cache_version *version)
{
	drop_guard(version);
	kept_unref(version->kept);
	footprint_clear(&version->chain_belief.footprint);
	extents_unref(version->extents);
	free(version->hashes);
	free(version->known);
	free(version);
}

void version_detach(struct cache_version *version)
{
	version->detached = true;
	version->dir = NULL;
	if (node_idle(&version->node))
		version_free(version);
}

/* A file in more pieces is not kept for the next lookup: a hostile image has many of them. */
#define IDLE_EXTENTS_BYTES ((size_t)128 << 10)

/* Openers or users went: what was kept for them goes, and the version if nothing holds it. */
void version_look(struct cache_version *version)
{
	if (atomic_load(&version->opens) == 0 && !version->keeping) {
		kept_unref(version->kept);
		version->kept = NULL;
		drop_guard(version);
	}
	if (!node_idle(&version->node))
		return;
	if (version->detached)
		version_free(version);
	else if (version->extents && extents_footprint_bytes(version->extents) > IDLE_EXTENTS_BYTES)
		version_supersede(version);
	else
		image_count_idle(version->image);
}

void cache_version_put(struct cache_version *version)
{
	node_put(version->image, &version->node);
}

void cache_version_close(struct cache_version *version)
{
	if (atomic_fetch_sub(&version->opens, 1) == 1)
		node_look_later(version->image, &version->node);
}

void cache_version_attributes(const struct cache_version *version, struct cache_attributes *attributes)
{
	*attributes = (struct cache_attributes){
		.id = version->id,
		.size_bytes = version->entry.size_bytes,
		.cluster_bytes = version->fat.cluster_bytes,
		.cluster_count = version->fat.cluster_count,
		.fat_attributes = version->entry.attributes,
		.times = fat_entry_times(&version->entry, 0),
	};
}

int version_supersede(struct cache_version *version)
{
	if (version->dir)
		dir_drop_version(version->dir, version);
	return -ESTALE;
}

/* ---- chain --------------------------------------------------------------- */

/* The runs of a chain in the image; each turn takes one, of at least one byte. */
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
		    !fat_extents_map(&version->fat, chain, at, &cursor, &volume_bytes, &run->length_bytes) ||
		    !add_u64(version->volume_offset_bytes, volume_bytes, &run->image_bytes)) {
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
	struct source_slice slice = source_slice_of(source, version->volume_offset_bytes,
						    source->size_bytes - version->volume_offset_bytes);
	struct fat_extents chain;
	int error = fat_extents_of_file(&version->fat, &slice.source, version->entry.first_cluster,
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
	version_supersede(version);
	return true;
}

static void chain_discard(void *result)
{
	extents_unref(result);
}

struct cache_range version_range(const struct cache_version *version)
{
	return (struct cache_range){ version->volume_offset_bytes, version->volume_length_bytes };
}

static const struct belief_kind chain_kind = { chain_parse, chain_commit, chain_discard };

static int version_refresh_once(struct cache_version *version, struct cache_op *op)
{
	struct cache_range where;
	int error;

	if (version->detached)
		return -ESTALE;
	error = dir_refresh(version->dir, op);
	if (version->detached)
		return -ESTALE;
	if (error != 0)
		return error;
	if (version->volume_offset_bytes > version->image->seen.size_bytes)
		return -EIO;
	where = version_range(version);
	error = belief_refresh(version->image, op, &version->chain_belief, &chain_kind, version, &where);
	return version->detached ? -ESTALE : error;
}

/* Entry and chain, both as of the generation seen. -ESTALE when the version is not the image's any more. */
int version_refresh(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;

	for (int try = 0; try < REFRESH_TRIES; try++) {
		uint64_t generation = image->seen.generation;
		int error = version_refresh_once(version, op);

		if (error != 0 || image->seen.generation == generation)
			return error;
	}
	op->retry_ns = RETRY_SOON_NS;
	return -EINPROGRESS;
}

/* ---- open ---------------------------------------------------------------- */

/* While a reported write to just these clusters is executed; it takes the writer's disk no longer. */
#define RETRY_IN_FLIGHT_NS INT64_C(1000000)

bool version_untouched(struct cache_version *version, uint64_t generation)
{
	struct cache_image *image = version->image;
	struct cache_range ranges[CHANGES_MAX];
	size_t in_flight;
	int count;

	if (image->seen.generation == generation && image->seen.in_flight == 0)
		return true;
	if (!image->reports || !version->extents)
		return false;
	count = reports_changes(image->reports, generation, ranges, CHANGES_MAX, &in_flight);
	for (int i = 0; i < count; i++)
		if (extents_touch(version->extents, &ranges[i]))
			return false;
	return count >= 0;
}

/* More is for the open, which reads it whole. */
#define GONE_CHUNKS_MAX 16

struct gone {
	struct cache_version *version;
	unsigned char *buffer;
	unsigned looked;
	bool is_gone;
};

static bool chunk_is_gone(void *context, uint64_t chunk)
{
	struct gone *gone = context;
	struct cache_version *version = gone->version;
	size_t length_bytes = extents_chunk_bytes(version->extents, chunk);
	struct chunk_hash hash;

	if (gone->looked == GONE_CHUNKS_MAX)
		return false;
	if (!chunk_known(version, chunk))
		return true;
	gone->looked++;
	if (extents_read_now(version->extents, version->image->device, chunk * CHUNK_BYTES, length_bytes, gone->buffer) != 0)
		return true;
	hash = chunk_hash_of(gone->buffer, length_bytes);
	gone->is_gone = !chunk_equal(version, chunk, &hash);
	return !gone->is_gone;
}

bool version_is_gone(struct cache_version *version)
{
	struct cache_image *image = version->image;
	struct gone gone = { .version = version };
	struct cache_range ranges[CHANGES_MAX];
	size_t in_flight;
	int count;

	if (!image->reports || !version->extents || version->known_count == 0 || version->data_checked == 0)
		return false;
	count = reports_changes(image->reports, version->data_checked, ranges, CHANGES_MAX, &in_flight);
	if (count <= 0)
		return false;
	gone.buffer = cache_buffer_get(CHUNK_BYTES);
	for (int i = 0; gone.buffer && i < count && !gone.is_gone && gone.looked < GONE_CHUNKS_MAX; i++)
		extents_each_chunk(version->extents, &ranges[i], chunk_is_gone, &gone);
	cache_buffer_put(gone.buffer, CHUNK_BYTES);
	return gone.is_gone;
}

bool version_older_than_burst(struct cache_version *version)
{
	struct cache_range where = version_range(version);
	uint64_t generation = image_burst_generation(version->image, &where);

	return generation != 0 && version_untouched(version, generation);
}

/*
 * Have writers wait for what the version needs, as long as it is open. 0: its
 * bytes are as they were under `generation`, and nothing is lost from now on.
 * -EAGAIN: they are being written to. Else it must be read to know.
 */
static int version_guard(struct cache_version *version, uint64_t generation)
{
	struct reports *reports = version->image->reports;
	struct guard *guard;
	int error;

	if (!reports || !version->extents)
		return -ENOTSUP;
	if (version->guard) {
		if (reports_guard_stands(reports, version->guard) != 0)
			return -ENOTSUP;
		return guard_is_pristine(version->guard) ? 0 : -ESTALE;
	}
	error = guard_new(version->extents, version->image->device, version->image->cache->rescue, &guard);
	if (error != 0)
		return error;
	error = reports_guard(reports, guard, generation);
	if (error == 0)
		version->guard = guard;
	else
		guard_unref(guard);
	return error;
}

/* New content of which nobody has seen a byte yet: believed as it is, if nothing moves. */
static int open_unseen(struct cache_version *version, struct cache_op *op)
{
	int guarded = version_guard(version, version->image->seen.generation);

	op->retry_ns = RETRY_IN_FLIGHT_NS;
	if (guarded == -EAGAIN || guarded == -ESTALE)
		return -EINPROGRESS;
	version->data_checked = version->image->seen.generation;
	return 0;
}

static int open_locked(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	struct cache_range where = version_range(version);
	int error = version_refresh(version, op), guarded = -ENOTSUP;

	if (error != 0)
		return error;
	if (version->entry.size_bytes == 0)
		return 0;
	if (version->data_checked != 0)
		guarded = version_guard(version, version->data_checked);
	if (guarded == -EAGAIN) {
		op->retry_ns = RETRY_IN_FLIGHT_NS;
		return -EINPROGRESS;
	}
	if (guarded == 0 || (version->data_checked == image->seen.generation && image->seen.in_flight == 0)) {
		version->data_checked = image->seen.generation;
		return 0;
	}
	/* Nothing handed out, nothing moving: the bytes can come when they are asked for. */
	if (image->seen.steady && version->known_count == 0 && !version->guard &&
	    (image_settled(image, op, image->seen.now_ns, &where) || version_older_than_burst(version)))
		return open_unseen(version, op);
	return version_keep(version, op, true);
}

int cache_version_open(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	/* Counted first, so that what is kept on the way stays. */
	atomic_fetch_add(&version->opens, 1);
	error = open_locked(version, op);
	image_leave(version->image);
	if (error != 0)
		cache_version_close(version);
	return error;
}
