/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/settle.h"
#include "cache/tree/path.h"

static void dir_attributes(const struct cache_dir *dir, struct cache_attributes *attributes)
{
	*attributes = (struct cache_attributes){
		.id = dir->id,
		.size_bytes = dir->size_bytes ? dir->size_bytes : dir->place.fat.cluster_bytes,
		.cluster_bytes = dir->place.fat.cluster_bytes,
		.cluster_count = dir->place.fat.cluster_count,
		.fat_attributes = FAT_ATTR_DIRECTORY,
		.is_root = dir->depth == 0,
	};
	if (!attributes->is_root)
		attributes->times = fat_entry_times(&dir->entry, 0);
}

/*
 * Is a chunk that is known another by now, of those that were written since the
 * version was last true? Then it is gone, whatever else it holds. Looks at what
 * is at hand only, and never waits: false says nothing. More is for the open.
 */
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

static bool version_is_gone(struct cache_version *version)
{
	struct gone gone = { .version = version };
	struct changes changes;

	if (!version->extents || version->known_count == 0 || version->data_checked == 0 ||
	    !image_changes(version->image, version->data_checked, &changes) || changes.count == 0)
		return false;
	gone.buffer = cache_buffer_get(CHUNK_BYTES);
	for (size_t i = 0; gone.buffer && i < changes.count && !gone.is_gone && gone.looked < GONE_CHUNKS_MAX; i++)
		extents_each_chunk(version->extents, &changes.ranges[i], chunk_is_gone, &gone);
	cache_buffer_put(gone.buffer, CHUNK_BYTES);
	return gone.is_gone;
}

static int lookup_locked(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node)
{
	struct cache_image *image = dir->image;
	struct slot *slot;
	long index;
	int error = path_complete_dir(dir, op);

	if (error != 0)
		return error;
	index = fat_dir_find(dir->content, name);
	if (index < 0) /* a name on its way from one entry to another is not absent */
		return cached_settled(image, op, &dir->cached, dir->cached.since_ns, &dir->place.range) ? -ENOENT : -EINPROGRESS;
	slot = &dir->slots[index];
	if (!cached_settled(image, op, &dir->cached, slot->since_ns, &dir->place.range))
		return -EINPROGRESS;
	/*
	 * The open would answer it -ESTALE, and the kernel look up once more, but
	 * once only. A writer may begin before the open that follows then, or another
	 * reader have filled the slot before the last write: a second -ESTALE is the
	 * reader's.
	 */
	if (slot->kind == SLOT_FILE && version_is_gone(slot->version))
		dir_supersede(slot->version);
	error = dir_fill_slot(dir, (size_t)index);
	if (error != 0)
		return error;
	if (slot->kind == SLOT_DIR) {
		*node = (struct cache_node){ .kind = CACHE_NODE_DIR, .dir = slot->dir };
		node_use(image, &slot->dir->node);
		dir_attributes(slot->dir, &node->attributes);
	} else {
		*node = (struct cache_node){ .kind = CACHE_NODE_FILE, .version = slot->version };
		node_use(image, &slot->version->node);
		cache_version_attributes(slot->version, &node->attributes);
	}
	snprintf(node->name, sizeof(node->name), "%s", fat_dir_entry(dir->content, (size_t)index)->name);
	return 0;
}

int cache_dir_lookup(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node)
{
	int error = image_enter(dir->image, op);

	if (error != 0)
		return error;
	error = lookup_locked(dir, op, name, node);
	if (error == -EDQUOT && image_relieve(dir->image))
		error = lookup_locked(dir, op, name, node);
	op->at_rest = op->ask_rest && image_is_quiet(dir->image, dir->image->seen.now_ns, NULL);
	image_leave(dir->image);
	return error;
}

int cache_dir_stat(struct cache_dir *dir, struct cache_op *op, struct cache_attributes *attributes)
{
	int error = image_enter(dir->image, op);

	if (error != 0)
		return error;
	/* The times stand in the parent; what is inside does not matter to stat, and need not be sound. */
	error = dir->detached ? -ESTALE : dir->parent ? path_refresh_dir(dir->parent, op) : 0;
	if (error == 0 && dir->detached)
		error = -ESTALE;
	if (error == 0)
		dir_attributes(dir, attributes);
	image_leave(dir->image);
	return error;
}

static int list_locked(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing)
{
	size_t count, bytes = 0;
	char *at;
	int error = path_complete_dir(dir, op);

	if (error != 0)
		return error;
	if (!cached_settled(dir->image, op, &dir->cached, dir->cached.since_ns, &dir->place.range))
		return -EINPROGRESS;
	count = fat_dir_count(dir->content);
	for (size_t i = 0; i < count; i++)
		bytes += strlen(fat_dir_entry(dir->content, i)->name) + 1;
	listing->entries = calloc(count ? count : 1, sizeof(*listing->entries));
	listing->names = at = malloc(bytes ? bytes : 1);
	if (!listing->entries || !at) {
		cache_listing_free(listing);
		return -ENOMEM;
	}
	listing->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct fat_entry *entry = fat_dir_entry(dir->content, i);

		listing->entries[i].name = at;
		listing->entries[i].is_directory = entry->attributes & FAT_ATTR_DIRECTORY;
		at = stpcpy(at, entry->name) + 1;
	}
	return 0;
}

int cache_dir_list(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing)
{
	int error = image_enter(dir->image, op);

	*listing = (struct cache_listing){ 0 };
	if (error != 0)
		return error;
	error = list_locked(dir, op, listing);
	if (error == -EDQUOT && image_relieve(dir->image))
		error = list_locked(dir, op, listing);
	image_leave(dir->image);
	return error;
}

void cache_listing_free(struct cache_listing *listing)
{
	free(listing->entries);
	free(listing->names);
	*listing = (struct cache_listing){ 0 };
}
