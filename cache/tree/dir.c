/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/tree/chunk.h"
#include "cache/tree/settle.h"

/* ---- life ---------------------------------------------------------------- */

/* Counts what it takes of memory. */
static void count_dir(struct cache_dir *dir)
{
	size_t bytes = sizeof(*dir) + validation_memory_bytes(&dir->cached.validation);

	if (dir->content)
		bytes += fat_dir_memory_bytes(dir->content);
	if (dir->slots)
		bytes += fat_dir_count(dir->content) * sizeof(*dir->slots);
	node_count(dir->image, &dir->node, bytes);
}

int dir_new(struct cache_image *image, struct cache_volume *volume, const struct location *place, struct cache_dir *parent,
	    const struct fat_entry *entry, struct cache_dir **out)
{
	struct cache_dir *dir;

	if (!image_has_room(image, sizeof(*dir)))
		return -EDQUOT;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	dir->image = image;
	dir->volume = volume;
	dir->place = *place;
	dir->parent = parent;
	dir->depth = parent ? parent->depth + 1 : 0;
	dir->id = cache_next_id();
	if (entry) {
		dir->entry = *entry;
		dir->entry.name = dir->entry.short_name = NULL;
		dir->first_cluster = entry->first_cluster;
	}
	count_dir(dir);
	*out = dir;
	return 0;
}

size_t dir_slot_count(const struct cache_dir *dir)
{
	return dir->content && dir->slots ? fat_dir_count(dir->content) : 0;
}

/* Its content goes; the subdirectories in it are put on the list, for the caller to detach. */
static void free_content(struct cache_dir *dir, struct cache_dir **list)
{
	size_t count = dir_slot_count(dir);

	for (size_t i = 0; i < count; i++) {
		struct slot *slot = &dir->slots[i];

		if (slot->kind == SLOT_FILE)
			version_detach(slot->version);
		if (slot->kind == SLOT_DIR) {
			slot->dir->link = *list;
			*list = slot->dir;
		}
	}
	free(dir->slots);
	dir->slots = NULL;
	fat_dir_free(dir->content);
	dir->content = NULL;
	dir->partial = false;
	cached_forget(&dir->cached);
	count_dir(dir);
}

/* Each turn detaches one directory of the subtree, which none is in twice. */
static void detach_list(struct cache_dir *list)
{
	while (list) {
		struct cache_dir *dir = list;

		list = dir->link;
		free_content(dir, &list);
		dir->detached = true;
		dir->volume = NULL;
		dir->parent = NULL;
		dir_free_if_gone(dir);
	}
}

void dir_detach(struct cache_dir *dir)
{
	dir->link = NULL;
	detach_list(dir);
}

void dir_free_if_gone(struct cache_dir *dir)
{
	if (!dir->detached || !node_idle(&dir->node))
		return;
	node_count(dir->image, &dir->node, 0);
	free(dir);
}

struct cache_dir *cache_dir_ref(struct cache_dir *dir)
{
	node_use(dir->image, &dir->node);
	return dir;
}

void cache_dir_put(struct cache_dir *dir)
{
	node_put(dir->image, &dir->node);
}

static void slot_clear(struct slot *slot)
{
	if (slot->kind == SLOT_DIR)
		dir_detach(slot->dir);
	else if (slot->kind == SLOT_FILE)
		version_detach(slot->version);
	slot->kind = SLOT_EMPTY;
	slot->blank_id = 0;
}

/* ---- content ------------------------------------------------------------- */

static int dir_parse(void *owner, struct source *source, void **result)
{
	struct cache_dir *dir = owner;
	struct source_slice slice =
		source_slice_of(source, dir->place.range.offset_bytes, dir->place.range.length_bytes);

	return fat_dir_read(&dir->place.fat, &slice.source, dir->first_cluster, (struct fat_dir **)result);
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
	dir->slots[old] = (struct slot){ .kind = SLOT_EMPTY };
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
	/* As the directory itself: cached.c. */
	int64_t first_ns = dir->cached.adopted == 0 ? image_first_seen_ns(dir->image) : 0;
	struct slot *slots = calloc(count ? count : 1, sizeof(*slots));

	/* Without memory nothing is carried over: correct, only colder. */
	for (size_t i = 0; slots && i < count; i++) {
		if (carry_over(dir, fat_dir_entry(content, i), &slots[i]))
			carried++;
		else
			slots[i].since_ns = dir->cached.reread ? dir->cached.since_ns : dir->image->seen.now_ns - first_ns;
	}
	for (size_t i = 0; i < old_count; i++)
		slot_clear(&dir->slots[i]);
	free(dir->slots);
	fat_dir_free(dir->content);
	dir->content = content;
	dir->slots = slots;
	dir->partial = false;
	dir->size_bytes = fat_dir_size_bytes(content);
	return !dir->cached.loaded || carried != count || carried != old_count;
}

static void dir_discard(void *result)
{
	fat_dir_free(result);
}

static const struct cached_kind dir_kind = { dir_parse, dir_commit, dir_discard };

int dir_refresh_content(struct cache_dir *dir, struct cache_op *op)
{
	size_t last_bytes = dir->node.bytes;
	int error = cached_refresh(dir->image, op, &dir->cached, &dir_kind, dir, &dir->place.range);
	struct cache_dir *below = NULL;

	if (error == 0 && !dir->slots) {
		free_content(dir, &below);
		detach_list(below);
		return -ENOMEM;
	}
	count_dir(dir);
	if (error == 0 && dir->node.bytes > last_bytes && !image_has_room(dir->image, 0)) {
		dir_reduce(dir);
		return -EDQUOT;
	}
	return error;
}

int dir_complete_content(struct cache_dir *dir, struct cache_op *op)
{
	dir->cached.reread = dir->partial;
	return dir_refresh_content(dir, op);
}

static size_t count_filled(const struct cache_dir *dir)
{
	size_t count = dir_slot_count(dir), filled = 0;

	for (size_t i = 0; i < count; i++)
		filled += dir->slots[i].kind != SLOT_EMPTY;
	return filled;
}

/* Without memory it stays as it is. */
static void make_partial(struct cache_dir *dir, size_t filled)
{
	CLEANUP_FREE size_t *indices = calloc(filled, sizeof(*indices));
	struct slot *slots = calloc(filled, sizeof(*slots));
	struct fat_dir *subset = NULL;
	size_t count = dir_slot_count(dir), kept = 0;

	for (size_t i = 0; indices && slots && i < count; i++) {
		if (dir->slots[i].kind == SLOT_EMPTY)
			continue;
		indices[kept] = i;
		slots[kept++] = dir->slots[i];
	}
	if (kept > 0)
		subset = fat_dir_subset(dir->content, indices, kept);
	if (!subset) {
		free(slots);
		return;
	}
	free(dir->slots);
	fat_dir_free(dir->content);
	dir->slots = slots;
	dir->content = subset;
	dir->partial = true;
}

void dir_reduce(struct cache_dir *dir)
{
	size_t filled = count_filled(dir);
	struct cache_dir *none = NULL;

	if (filled == 0) {
		free_content(dir, &none);
		dir->cached.adopted = 0;
	} else if (filled < dir_slot_count(dir)) {
		make_partial(dir, filled);
	}
	count_dir(dir);
}

/* ---- slots --------------------------------------------------------------- */

/* An entry that leads back to where we came from would make a tree without end. */
static bool leads_back(const struct cache_dir *dir, uint32_t first_cluster)
{
	if (first_cluster == 0 || first_cluster == dir->place.fat.root_cluster || dir->depth >= DIR_DEPTH_MAX)
		return true;
	for (; dir; dir = dir->parent)
		if (dir->first_cluster == first_cluster)
			return true;
	return false;
}

int dir_fill_slot(struct cache_dir *dir, size_t index)
{
	const struct fat_entry *entry = fat_dir_entry(dir->content, index);
	struct slot *slot = &dir->slots[index];
	int error;

	if (slot->kind != SLOT_EMPTY)
		return 0;
	if (entry->attributes & FAT_ATTR_DIRECTORY) {
		if (leads_back(dir, entry->first_cluster))
			return -EIO;
		error = dir_new(dir->image, dir->volume, &dir->place, dir, entry, &slot->dir);
		if (error == 0)
			slot->kind = SLOT_DIR;
	} else {
		uint64_t blank_id = slot->blank_id;

		error = version_new(dir->image, dir, &dir->place, entry, &slot->version);
		if (error == 0) {
			slot->kind = SLOT_FILE;
			if (blank_id != 0)
				slot->version->id = blank_id;
		}
	}
	return error;
}

static struct slot *slot_of(const struct cache_version *version)
{
	const struct cache_dir *dir = version->dir;
	size_t count = dir ? dir_slot_count(dir) : 0;

	for (size_t i = 0; i < count; i++)
		if (dir->slots[i].kind == SLOT_FILE && dir->slots[i].version == version)
			return &dir->slots[i];
	return NULL;
}

int dir_supersede(struct cache_version *version)
{
	struct slot *slot = slot_of(version);

	if (version->retired) {
		dir_let_go(version);
		version->detached = true;
	}
	if (slot)
		slot_clear(slot);
	return -ESTALE;
}

/* The next one of the same entry, of which nobody has seen a byte: on slow storage what was noted need not be read again. */
static void fill_after(struct slot *slot, const struct cache_version *retired)
{
	struct cache_version *next;

	if (!image_is_slow(retired->image) || version_new(retired->image, retired->dir, &retired->place, &retired->entry, &next) != 0)
		return;
	chunks_take_over(next, retired);
	version_count(next);
	slot->version = next;
	slot->kind = SLOT_FILE;
}

int dir_retire(struct cache_version *version)
{
	struct slot *slot;

	/* Who asks again looked it up before: those who have it open go on. */
	if (version->retired)
		return -ESTALE;
	slot = slot_of(version);
	if (!slot)
		return dir_supersede(version);
	*slot = (struct slot){ .since_ns = slot->since_ns, .kind = SLOT_EMPTY };
	fill_after(slot, version);
	version->retired = true;
	node_pin(&version->dir->node);
	return -ESTALE;
}

void dir_let_go(struct cache_version *version)
{
	struct cache_dir *dir = version->dir;

	version->retired = false;
	version->dir = NULL;
	node_unpin(&dir->node);
	dir_free_if_gone(dir);
}

bool dir_has_entry(const struct cache_dir *dir, const struct fat_entry *entry)
{
	size_t count = dir_slot_count(dir);

	for (size_t i = 0; i < count; i++)
		if (memcmp(fat_dir_entry(dir->content, i)->raw, entry->raw, sizeof(entry->raw)) == 0)
			return true;
	return false;
}

/* ---- walks --------------------------------------------------------------- */

struct cache_dir *dir_list_below(struct cache_dir *dir)
{
	struct cache_dir *ahead = dir, *list = NULL;

	/* Each turn moves one directory from those ahead to the list, and puts those in it ahead. */
	dir->link = NULL;
	while (ahead) {
		struct cache_dir *at = ahead;
		size_t count = dir_slot_count(at);

		ahead = at->link;
		at->link = list;
		list = at;
		for (size_t i = 0; i < count; i++) {
			if (at->slots[i].kind != SLOT_DIR)
				continue;
			at->slots[i].dir->link = ahead;
			ahead = at->slots[i].dir;
		}
	}
	return list;
}

/* Has it users, or (its slots were trimmed before) something that has? */
static bool is_in_use(const struct cache_dir *dir)
{
	size_t count = dir_slot_count(dir);

	if (!node_idle(&dir->node))
		return true;
	for (size_t i = 0; i < count; i++)
		if (dir->slots[i].kind != SLOT_EMPTY)
			return true;
	return false;
}

/*
 * Nobody uses what stands in the slot. Of a blank version the number stays, so that the kernel, which may still name the
 * file by it, is answered with it at the next lookup: with another one it would have to forget the file and look it up
 * once more, for each file of a large directory, at each ls -l. As carry_over, it lasts as long as the entry.
 */
static void trim_slot(struct slot *slot)
{
	uint64_t blank_id = slot->kind == SLOT_FILE && version_is_blank(slot->version) ? slot->version->id : 0;

	slot_clear(slot);
	slot->blank_id = blank_id;
}

void dir_trim(struct cache_dir *dir)
{
	/* From the lowest up; what a slot of it loses was on the list before it. */
	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++) {
			struct slot *slot = &at->slots[i];

			if ((slot->kind == SLOT_FILE && node_idle(&slot->version->node)) ||
			    (slot->kind == SLOT_DIR && !is_in_use(slot->dir)))
				trim_slot(slot);
		}
	}
}

/* What is known of the bytes of a small file takes less: that stays, and so does its number. */
#define FORGET_BYTES 1024

/* Nobody has it open, and it takes more than the node itself. */
static bool can_forget_bytes(const struct cache_version *version)
{
	return atomic_load(&version->opens) == 0 && !version->copying && version->node.bytes > sizeof(*version) + FORGET_BYTES;
}

void dir_relieve(struct cache_dir *dir)
{
	dir_trim(dir);
	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++)
			if (at->slots[i].kind == SLOT_FILE && can_forget_bytes(at->slots[i].version))
				slot_clear(&at->slots[i]);
		dir_reduce(at);
	}
}
