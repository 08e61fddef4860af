/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dir: one directory of a volume, its slots, and the nodes that stand in them.
 *
 * When a directory is parsed anew, a node stays in its slot if its entry is the
 * same in name and in all 32 bytes (a subdirectory: in name and start cluster);
 * else the node is detached, and the next lookup makes a new one. That is how a
 * version comes by its own inode number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/tree/version.h"

/* Deeper trees are refused: Linux cannot name them either (PATH_MAX / 2). */
#define DEPTH_MAX 2048

/* An image keeps this many nodes that nobody uses, for the next lookup: an unchanged file then has its number again. */
#define IDLE_NODES_MAX 1024

/* ---- life ---------------------------------------------------------------- */

int dir_new(struct cache_volume *volume, struct cache_dir *parent, const struct fat_entry *entry,
	    struct cache_dir **out)
{
	struct cache_dir *dir = calloc(1, sizeof(*dir));

	if (!dir)
		return -ENOMEM;
	dir->image = volume->image;
	dir->volume = volume;
	dir->parent = parent;
	dir->depth = parent ? parent->depth + 1 : 0;
	dir->id = cache_next_id();
	dir->cluster_bytes = volume->fat.cluster_bytes;
	dir->cluster_count = volume->fat.cluster_count;
	if (entry) {
		dir->entry = *entry;
		dir->entry.name = dir->entry.short_name = NULL;
		dir->first_cluster = entry->first_cluster;
	}
	*out = dir;
	return 0;
}

static void slot_clear(struct slot *slot)
{
	if (slot->kind == SLOT_DIR)
		dir_detach(slot->dir);
	else if (slot->kind == SLOT_FILE)
		version_detach(slot->version);
	slot->kind = SLOT_EMPTY;
}

static void dir_free_content(struct cache_dir *dir)
{
	size_t count = dir->content && dir->slots ? fat_dir_count(dir->content) : 0;

	for (size_t i = 0; i < count; i++)
		slot_clear(&dir->slots[i]);
	free(dir->slots);
	dir->slots = NULL;
	fat_dir_free(dir->content);
	dir->content = NULL;
	footprint_clear(&dir->belief.footprint);
	dir->belief.loaded = false;
}

static void dir_free(struct cache_dir *dir)
{
	dir_free_content(dir);
	free(dir);
}

/* Recursion is as deep as the tree that was looked up, at most DEPTH_MAX. */
void dir_detach(struct cache_dir *dir)
{
	dir_free_content(dir);
	dir->detached = true;
	dir->volume = NULL;
	dir->parent = NULL;
	if (node_idle(&dir->node))
		dir_free(dir);
}

/* Does anybody use this directory or something below it? */
static bool dir_in_use(const struct cache_dir *dir)
{
	size_t count = dir->content ? fat_dir_count(dir->content) : 0;

	if (!node_idle(&dir->node))
		return true;
	for (size_t i = 0; i < count; i++) {
		const struct slot *slot = &dir->slots[i];

		if ((slot->kind == SLOT_FILE && !node_idle(&slot->version->node)) ||
		    (slot->kind == SLOT_DIR && dir_in_use(slot->dir)))
			return true;
	}
	return false;
}

void dir_trim(struct cache_dir *dir)
{
	size_t count = dir->content ? fat_dir_count(dir->content) : 0;

	for (size_t i = 0; i < count; i++) {
		struct slot *slot = &dir->slots[i];

		if (slot->kind == SLOT_FILE && node_idle(&slot->version->node))
			slot_clear(slot);
		else if (slot->kind == SLOT_DIR && !dir_in_use(slot->dir))
			slot_clear(slot);
		else if (slot->kind == SLOT_DIR)
			dir_trim(slot->dir);
	}
}

/* The nodes below that nobody uses. Recursion as in dir_detach. */
static size_t idle_below(const struct cache_dir *dir)
{
	size_t count = dir->content ? fat_dir_count(dir->content) : 0, idle = 0;

	for (size_t i = 0; i < count; i++) {
		const struct slot *slot = &dir->slots[i];

		if (slot->kind == SLOT_FILE)
			idle += node_idle(&slot->version->node);
		else if (slot->kind == SLOT_DIR)
			idle += node_idle(&slot->dir->node) + idle_below(slot->dir);
	}
	return idle;
}

/*
 * A node became idle; keep it for the next lookup unless there are too many. The
 * same few go and come back all the time, and a version that is freed costs an
 * unchanged file its inode number: so it counts how many are idle now, not how
 * often one became so. Until it is counted again there are twice as many at most.
 */
void image_count_idle(struct cache_image *image)
{
	size_t idle = 0;

	if (++image->idle_events <= IDLE_NODES_MAX)
		return;
	image->idle_events = 0;
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		idle += volume->root ? idle_below(volume->root) : 0;
	if (idle <= IDLE_NODES_MAX)
		return;
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			dir_trim(volume->root);
}

/* Its users went: free it if the image dropped it, else count it among the idle. A root is never freed for that. */
void dir_look(struct cache_dir *dir)
{
	if (dir->detached)
		dir_free(dir);
	else if (dir->parent)
		image_count_idle(dir->image);
}

void cache_dir_put(struct cache_dir *dir)
{
	node_put(dir->image, &dir->node);
}

/* ---- content ------------------------------------------------------------- */

static int dir_parse(void *owner, struct source *source, void **result)
{
	struct cache_dir *dir = owner;
	struct source_slice slice =
		source_slice_of(source, dir->volume->entry.offset_bytes, dir->volume->entry.length_bytes);

	return fat_dir_read(&dir->volume->fat, &slice.source, dir->first_cluster, (struct fat_dir **)result);
}

static bool entry_same(const struct fat_entry *a, const struct fat_entry *b)
{
	return memcmp(a->raw, b->raw, sizeof(a->raw)) == 0 && strcmp(a->name, b->name) == 0;
}

/* The same directory, though its times moved? */
static bool subdirectory_same(const struct fat_entry *a, const struct fat_entry *b)
{
	return (a->attributes & FAT_ATTR_DIRECTORY) && (b->attributes & FAT_ATTR_DIRECTORY) &&
	       a->first_cluster == b->first_cluster && strcmp(a->name, b->name) == 0;
}

/* Move what stands in an old slot to the new one, if it is still the same thing. */
static bool carry_over(struct cache_dir *dir, const struct fat_entry *entry, struct slot *slot)
{
	long old = dir->content ? fat_dir_find(dir->content, entry->name) : -1;
	const struct fat_entry *old_entry;

	if (old < 0)
		return false;
	old_entry = fat_dir_entry(dir->content, (size_t)old);
	if (!entry_same(old_entry, entry) && !subdirectory_same(old_entry, entry))
		return false;
	*slot = dir->slots[old];
	dir->slots[old].kind = SLOT_EMPTY;
	if (slot->kind == SLOT_DIR)
		memcpy(slot->dir->entry.raw, entry->raw, sizeof(entry->raw));
	return true;
}

static bool dir_commit(void *owner, void *result)
{
	struct cache_dir *dir = owner;
	struct fat_dir *content = result;
	size_t count = fat_dir_count(content), old_count = dir->content ? fat_dir_count(dir->content) : 0;
	size_t carried = 0;
	struct slot *slots = calloc(count ? count : 1, sizeof(*slots));

	/* Without memory nothing is carried over: correct, only colder. */
	for (size_t i = 0; slots && i < count; i++) {
		if (carry_over(dir, fat_dir_entry(content, i), &slots[i]))
			carried++;
		else
			slots[i].since_ns = dir->image->seen.now_ns;
	}
	for (size_t i = 0; i < old_count; i++)
		slot_clear(&dir->slots[i]);
	free(dir->slots);
	fat_dir_free(dir->content);
	dir->content = content;
	dir->slots = slots;
	return !dir->belief.loaded || carried != count || carried != old_count;
}

static void dir_discard(void *result)
{
	fat_dir_free(result);
}

static const struct belief_kind dir_kind = { dir_parse, dir_commit, dir_discard };

static int dir_refresh_once(struct cache_dir *dir, struct cache_op *op);

static int dir_refresh_pinned(struct cache_dir *dir, struct cache_op *op)
{
	uint64_t generation = dir->image->seen.generation;
	struct cache_range where;
	int error;

	if (dir->detached)
		return -ESTALE;
	if (dir->belief.loaded && dir->belief.error == 0 && dir->slots && dir->path_checked == generation &&
	    dir->image->seen.in_flight == 0)
		return 0;
	error = dir->parent ? dir_refresh_once(dir->parent, op) : volume_refresh(dir->volume, op);
	if (dir->detached)
		return -ESTALE;
	if (error != 0)
		return error;
	where = volume_range(dir->volume);
	error = belief_refresh(dir->image, op, &dir->belief, &dir_kind, dir, &where);
	if (error == 0 && !dir->slots) {
		dir_free_content(dir);
		error = -ENOMEM;
	}
	if (error == 0 && dir->image->seen.generation == generation)
		dir->path_checked = generation;
	return error;
}

/*
 * From the root down, so that a directory whose entry is gone is detached before
 * it is believed. Each directory on the way is pinned: what the refresh finds
 * may detach it, and this call still has to hear of it.
 */
static int dir_refresh_once(struct cache_dir *dir, struct cache_op *op)
{
	int error;

	atomic_fetch_add(&dir->node.state, 1);
	error = dir_refresh_pinned(dir, op);
	if (atomic_fetch_sub(&dir->node.state, 1) == 1 && dir->detached)
		dir_free(dir);
	return error;
}

/*
 * A reading on the way may find a newer generation, under which what is above
 * was not looked at: a directory's clusters may be another's by now. Then once
 * more, and what was just read is only compared.
 */
int dir_refresh(struct cache_dir *dir, struct cache_op *op)
{
	struct cache_image *image = dir->image;

	for (int try = 0; try < REFRESH_TRIES; try++) {
		uint64_t generation = image->seen.generation;
		int error = dir_refresh_once(dir, op);

		if (error != 0 || image->seen.generation == generation)
			return error;
	}
	op->retry_ns = RETRY_SOON_NS;
	return -EINPROGRESS;
}

/* ---- lookup -------------------------------------------------------------- */

static void dir_attributes(const struct cache_dir *dir, struct cache_attributes *attributes)
{
	*attributes = (struct cache_attributes){
		.id = dir->id,
		.size_bytes = dir->content ? fat_dir_size_bytes(dir->content) : dir->cluster_bytes,
		.cluster_bytes = dir->cluster_bytes,
		.cluster_count = dir->cluster_count,
		.fat_attributes = FAT_ATTR_DIRECTORY,
		.is_root = dir->depth == 0,
	};
	if (!attributes->is_root)
		attributes->times = fat_entry_times(&dir->entry, 0);
}

/* An entry that leads back to where we came from would make a tree without end. */
static bool leads_back(const struct cache_dir *dir, uint32_t first_cluster)
{
	if (first_cluster == 0 || first_cluster == dir->volume->fat.root_cluster || dir->depth >= DEPTH_MAX)
		return true;
	for (; dir; dir = dir->parent)
		if (dir->first_cluster == first_cluster)
			return true;
	return false;
}

static int fill_slot(struct cache_dir *dir, const struct fat_entry *entry, struct slot *slot)
{
	int error;

	if (slot->kind != SLOT_EMPTY)
		return 0;
	if (entry->attributes & FAT_ATTR_DIRECTORY) {
		if (leads_back(dir, entry->first_cluster))
			return -EIO;
		error = dir_new(dir->volume, dir, entry, &slot->dir);
		if (error == 0)
			slot->kind = SLOT_DIR;
	} else {
		error = version_new(dir, entry, &slot->version);
		if (error == 0)
			slot->kind = SLOT_FILE;
	}
	return error;
}

/* Did the directory, or an entry of it, last long enough? */
static bool dir_settled(const struct cache_dir *dir, struct cache_op *op, int64_t since_ns)
{
	struct cache_range where = volume_range(dir->volume);

	return belief_settled(dir->image, op, &dir->belief, since_ns, &where);
}

static int lookup_locked(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node)
{
	struct cache_image *image = dir->image;
	const struct fat_entry *entry;
	struct slot *slot;
	long index;
	int error = dir_refresh(dir, op);

	if (error != 0)
		return error;
	index = fat_dir_find(dir->content, name);
	if (index < 0) /* a name on its way from one entry to another is not absent */
		return dir_settled(dir, op, dir->belief.since_ns) ? -ENOENT : -EINPROGRESS;
	slot = &dir->slots[index];
	entry = fat_dir_entry(dir->content, (size_t)index);
	if (!dir_settled(dir, op, slot->since_ns))
		return -EINPROGRESS;
	/*
	 * The open would answer it -ESTALE, and the kernel look up once more, but
	 * once only. A writer may begin before the open that follows then, or another
	 * reader have filled the slot before the last write: a second -ESTALE is the
	 * reader's.
	 */
	if (slot->kind == SLOT_FILE && version_is_gone(slot->version))
		version_supersede(slot->version);
	error = fill_slot(dir, entry, slot);
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
	return 0;
}

int cache_dir_lookup(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node)
{
	int error = image_enter(dir->image, op);

	if (error != 0)
		return error;
	error = lookup_locked(dir, op, name, node);
	image_leave(dir->image);
	return error;
}

void dir_drop_version(struct cache_dir *dir, struct cache_version *version)
{
	size_t count = fat_dir_count(dir->content);

	for (size_t i = 0; i < count; i++) {
		struct slot *slot = &dir->slots[i];

		if (slot->kind == SLOT_FILE && slot->version == version) {
			slot->kind = SLOT_EMPTY;
			version_detach(version);
			return;
		}
	}
}

/* ---- list ---------------------------------------------------------------- */

static int list_locked(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing)
{
	size_t count, bytes = 0;
	char *at;
	int error = dir_refresh(dir, op);

	if (error != 0)
		return error;
	if (!dir_settled(dir, op, dir->belief.since_ns))
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
	image_leave(dir->image);
	return error;
}

void cache_listing_free(struct cache_listing *listing)
{
	free(listing->entries);
	free(listing->names);
	*listing = (struct cache_listing){ 0 };
}

/* ---- stat ---------------------------------------------------------------- */

int cache_dir_stat(struct cache_dir *dir, struct cache_op *op, struct cache_attributes *attributes)
{
	int error = image_enter(dir->image, op);

	if (error != 0)
		return error;
	/* The times stand in the parent; what is inside does not matter to stat, and need not be sound. */
	error = dir->detached ? -ESTALE : dir->parent ? dir_refresh(dir->parent, op) : 0;
	if (error == 0 && dir->detached)
		error = -ESTALE;
	if (error == 0)
		dir_attributes(dir, attributes);
	image_leave(dir->image);
	return error;
}
