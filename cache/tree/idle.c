/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/idle.h"

#include "cache/tree/dir.h"
#include "cache/tree/volume.h"

/* An image keeps this many nodes that nobody uses, for the next lookup: an unchanged file then has its number again. */
#define IDLE_NODES_MAX 1024

/* A file in more pieces is not kept for the next lookup: a hostile image has many of them. */
#define IDLE_EXTENTS_BYTES ((size_t)128 << 10)

/* The nodes below that nobody uses. */
static size_t idle_below(struct cache_dir *dir)
{
	size_t idle = 0;

	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++) {
			const struct slot *slot = &at->slots[i];

			if (slot->kind == SLOT_FILE)
				idle += node_idle(&slot->version->node);
			else if (slot->kind == SLOT_DIR)
				idle += node_idle(&slot->dir->node);
		}
	}
	return idle;
}

/*
 * A node became idle; keep it for the next lookup unless there are too many. The
 * same few go and come back all the time: so it counts how many are idle now, not
 * how often one became so. Until it is counted again there are twice as many at most.
 */
static void count_idle(struct cache_image *image)
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

/* A root is never freed for being idle. */
static void look_at_dir(struct cache_dir *dir)
{
	if (dir->detached)
		dir_free_if_gone(dir);
	else if (dir->parent)
		count_idle(dir->image);
}

/* Openers or users went: what was kept for them goes, and the version if nothing holds it. */
static void look_at_version(struct cache_version *version)
{
	if (atomic_load(&version->opens) == 0 && !version->copying)
		version_drop_content(version);
	if (!node_idle(&version->node))
		return;
	if (version->retired)
		dir_supersede(version);
	if (version->detached)
		version_detach(version);
	else if (version->extents && extents_footprint_bytes(version->extents) > IDLE_EXTENTS_BYTES)
		dir_supersede(version);
	else
		count_idle(version->image);
}

void idle_reap(struct cache_image *image)
{
	struct node *node = node_take_list(image);

	while (node) {
		struct node *next = node->next;
		unsigned users = node_take(node);

		if (node->is_version)
			look_at_version((struct cache_version *)node);
		else if (users == 0)
			look_at_dir((struct cache_dir *)node);
		node = next;
	}
}
