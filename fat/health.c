/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fat/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "fat/ondisk.h"
#include "fat/table.h"

/* More directories than this are not looked into: some 100 MiB of memory. */
#define DIRECTORIES_MAX ((size_t)1 << 20)
#define DEPTH_SHOWN 64
#define PATH_BYTES 4096

/* A directory that was met. The list only grows: a parent stands before its children. */
struct met {
	size_t parent; /* its place in the list; the root is its own */
	uint32_t first_cluster;
	char *name; /* owned; NULL: the root */
};

struct survey {
	const struct fat_volume *volume;
	struct source *source;
	struct fat_table table;
	struct fat_health *health;
	fat_flaw_found found;
	void *context;
	unsigned char *owned, *crossed, *lost, *followed; /* bits, by cluster */
	struct met *list;
	size_t count, capacity;
};

const char *fat_flaw_text(enum fat_flaw flaw)
{
	static const char *const texts[] = {
		[FAT_FLAW_START] = "its first cluster is none",
		[FAT_FLAW_CHAIN] = "its cluster chain is broken",
		[FAT_FLAW_SHORT] = "its cluster chain ends before its size does",
		[FAT_FLAW_LONG] = "its cluster chain goes on behind its size",
		[FAT_FLAW_LOOP] = "its cluster chain is a loop",
		[FAT_FLAW_CROSSED] = "it shares clusters with another file",
		[FAT_FLAW_DIRECTORY] = "is a directory that cannot be read",
	};

	return texts[flaw];
}

/* ---- bits ----------------------------------------------------------------- */

static bool get_bit(const unsigned char *bits, uint32_t cluster)
{
	return bits[cluster / 8] >> cluster % 8 & 1;
}

static void set_bit(unsigned char *bits, uint32_t cluster)
{
	bits[cluster / 8] |= (unsigned char)(1U << cluster % 8);
}

/* ---- names ---------------------------------------------------------------- */

/* "/a/b/name" of an entry of the directory at `parent`. Bounded by DEPTH_SHOWN. */
static void tell(const struct survey *survey, size_t parent, const char *name, enum fat_flaw flaw)
{
	const char *names[DEPTH_SHOWN];
	char path[PATH_BYTES] = "";
	size_t depth = 0, used = 0;

	if (flaw != FAT_FLAW_LONG)
		survey->health->flaws++;
	for (; parent != 0 && depth < DEPTH_SHOWN; parent = survey->list[parent].parent)
		names[depth++] = survey->list[parent].name;
	while (depth > 0 && used < sizeof(path))
		used += (size_t)snprintf(path + used, sizeof(path) - used, "/%s", names[--depth]);
	if (used < sizeof(path))
		snprintf(path + used, sizeof(path) - used, "/%s", name);
	if (survey->found)
		survey->found(survey->context, path, flaw);
}

static int remember(struct survey *survey, size_t parent, const char *name, uint32_t first_cluster)
{
	char *copy = name ? strdup(name) : NULL;

	if (survey->count == survey->capacity) {
		size_t wider = survey->capacity ? survey->capacity * 2 : 64;
		struct met *list = reallocarray(survey->list, wider, sizeof(*list));

		if (!list) {
			free(copy);
			return -ENOMEM;
		}
		survey->list = list;
		survey->capacity = wider;
	}
	if (name && !copy)
		return -ENOMEM;
	survey->list[survey->count++] = (struct met){ parent, first_cluster, copy };
	return 0;
}

/* ---- chains --------------------------------------------------------------- */

/* What became of a chain. */
struct walk {
	uint64_t clusters; /* that it took */
	enum fat_link_kind end;
	bool looped, crossed;
};

/* Is `cluster` among the first `count` of the chain? They are its own, so this costs as much as taking them did. */
static int is_in_chain(struct survey *survey, uint32_t first_cluster, uint64_t count, uint32_t cluster, bool *is)
{
	struct fat_link link = { .kind = FAT_LINK_CLUSTER, .cluster = first_cluster };

	*is = false;
	for (uint64_t i = 0; i < count && !*is && link.kind == FAT_LINK_CLUSTER; i++) {
		*is = link.cluster == cluster;
		int error = fat_table_read(&survey->table, link.cluster, &link);

		if (error != 0)
			return error;
	}
	return 0;
}

/* The rest of a chain has an owner already. It is counted once: bounded by the clusters that were not yet crossed. */
static int cross(struct survey *survey, struct fat_link *link, struct walk *walk)
{
	walk->crossed = true;
	while (link->kind == FAT_LINK_CLUSTER && get_bit(survey->owned, link->cluster) &&
	       !get_bit(survey->crossed, link->cluster)) {
		uint32_t cluster = link->cluster;

		set_bit(survey->crossed, cluster);
		survey->health->crossed_clusters++;
		walk->clusters++;
		int error = fat_table_read(&survey->table, cluster, link);

		if (error != 0)
			return error;
	}
	return 0;
}

/* Make the clusters of a chain its own, as far as they are nobody's: bounded by those that are. */
static int take_chain(struct survey *survey, uint32_t first_cluster, struct walk *walk)
{
	struct fat_link link = { .kind = FAT_LINK_CLUSTER, .cluster = first_cluster };
	int error = 0;

	*walk = (struct walk){ 0 };
	while (error == 0 && link.kind == FAT_LINK_CLUSTER && !get_bit(survey->owned, link.cluster)) {
		uint32_t cluster = link.cluster;

		set_bit(survey->owned, cluster);
		walk->clusters++;
		error = fat_table_read(&survey->table, cluster, &link);
	}
	walk->end = link.kind;
	if (error != 0 || link.kind != FAT_LINK_CLUSTER)
		return error;
	error = is_in_chain(survey, first_cluster, walk->clusters, link.cluster, &walk->looped);
	if (error == 0 && !walk->looped)
		error = cross(survey, &link, walk);
	return error;
}

/* ---- entries -------------------------------------------------------------- */

/* The chain that the entry begins: false, and told, if it is not one, or shares clusters with another. *error is of reading. */
static bool chain_is_sound(struct survey *survey, size_t parent, const struct fat_entry *entry, struct walk *walk, int *error)
{
	*error = 0;
	if (!fat_cluster_is_valid(survey->volume, entry->first_cluster)) {
		tell(survey, parent, entry->name, FAT_FLAW_START);
		return false;
	}
	*error = take_chain(survey, entry->first_cluster, walk);
	if (*error != 0 || (!walk->looped && !walk->crossed && walk->end == FAT_LINK_END))
		return *error == 0;
	tell(survey, parent, entry->name,
	     walk->looped ? FAT_FLAW_LOOP : walk->crossed ? FAT_FLAW_CROSSED : FAT_FLAW_CHAIN);
	return false;
}

static int look_at_file(struct survey *survey, size_t parent, const struct fat_entry *entry)
{
	uint32_t cluster_bytes = survey->volume->cluster_bytes;
	uint64_t wanted = ((uint64_t)entry->size_bytes + cluster_bytes - 1) / cluster_bytes;
	struct walk walk;
	int error;

	survey->health->files++;
	if (entry->first_cluster == 0 && wanted == 0)
		return 0;
	if (!chain_is_sound(survey, parent, entry, &walk, &error))
		return error;
	if (walk.clusters < wanted)
		tell(survey, parent, entry->name, FAT_FLAW_SHORT);
	else if (walk.clusters > wanted)
		tell(survey, parent, entry->name, FAT_FLAW_LONG);
	return 0;
}

static int look_at_directory(struct survey *survey, size_t parent, const struct fat_entry *entry)
{
	struct walk walk;
	int error;

	survey->health->directories++;
	/* Else what is in it may be another's: not looked into. */
	if (!chain_is_sound(survey, parent, entry, &walk, &error))
		return error;
	if (survey->count >= DIRECTORIES_MAX) {
		survey->health->complete = false;
		return 0;
	}
	return remember(survey, parent, entry->name, entry->first_cluster);
}

/* Bounded by fat_dir_read, at 65536 entries. */
static int look_into(struct survey *survey, size_t at)
{
	struct fat_dir *dir;
	int error = fat_dir_read(survey->volume, survey->source, survey->list[at].first_cluster, &dir);

	if (error == -EIO && at != 0) {
		tell(survey, survey->list[at].parent, survey->list[at].name, FAT_FLAW_DIRECTORY);
		return 0;
	}
	if (error != 0)
		return error;
	for (size_t i = 0; i < fat_dir_count(dir) && error == 0; i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);

		error = entry->attributes & FAT_ATTR_DIRECTORY ? look_at_directory(survey, at, entry) :
								 look_at_file(survey, at, entry);
	}
	fat_dir_free(dir);
	return error;
}

static int look_at_tree(struct survey *survey)
{
	struct walk walk;
	int error = remember(survey, 0, NULL, 0);

	if (error == 0 && survey->volume->type == FAT_TYPE_32) {
		if (!fat_cluster_is_valid(survey->volume, survey->volume->root_cluster))
			return -EIO;
		error = take_chain(survey, survey->volume->root_cluster, &walk);
	}
	/* Grows while it is walked, by directories whose clusters were nobody's: bounded by the clusters. */
	for (size_t at = 0; at < survey->count && error == 0; at++)
		error = look_into(survey, at);
	return error;
}

/* ---- the table ------------------------------------------------------------ */

static int look_at_table(struct survey *survey)
{
	struct fat_health *health = survey->health;
	uint32_t end = FAT_FIRST_CLUSTER + survey->volume->cluster_count;

	for (uint32_t cluster = FAT_FIRST_CLUSTER; cluster < end; cluster++) {
		struct fat_link link;
		int error = fat_table_read(&survey->table, cluster, &link);

		if (error != 0)
			return error;
		if (link.kind == FAT_LINK_FREE) {
			health->free_clusters++;
		} else if (link.kind == FAT_LINK_BAD) {
			health->bad_clusters++;
		} else {
			health->used_clusters++;
			if (get_bit(survey->owned, cluster))
				continue;
			health->lost_clusters++;
			set_bit(survey->lost, cluster);
			if (link.kind == FAT_LINK_CLUSTER)
				set_bit(survey->followed, link.cluster);
		}
	}
	/* A chain begins where no lost cluster leads; what is a loop has no beginning, and is not counted. */
	for (uint32_t cluster = FAT_FIRST_CLUSTER; cluster < end && health->lost_clusters > 0; cluster++)
		health->lost_chains += get_bit(survey->lost, cluster) && !get_bit(survey->followed, cluster);
	return 0;
}

int fat_health_read(const struct fat_volume *volume, struct source *source, fat_flaw_found found, void *context,
		    struct fat_health *health)
{
	size_t bytes = ((size_t)volume->cluster_count + FAT_FIRST_CLUSTER) / 8 + 1;
	CLEANUP_FREE unsigned char *bits = calloc(4, bytes);
	struct survey survey = { .volume = volume, .source = source, .health = health, .found = found, .context = context };
	int error;

	*health = (struct fat_health){ .complete = true };
	if (!bits)
		return -ENOMEM;
	survey.owned = bits;
	survey.crossed = bits + bytes;
	survey.lost = bits + 2 * bytes;
	survey.followed = bits + 3 * bytes;
	fat_table_init(&survey.table, volume, source);
	error = fat_table_state(&survey.table, &health->dirty, &health->errors);
	if (error == 0)
		error = look_at_tree(&survey);
	if (error == 0)
		error = look_at_table(&survey);
	for (size_t i = 0; i < survey.count; i++)
		free(survey.list[i].name);
	free(survey.list);
	return error;
}
