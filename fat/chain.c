/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cluster chains: from a start cluster to the extents of a file or directory.
 *
 * A chain is what the FAT says now; on a live volume it may be half of an old
 * and half of a new one. Whatever contradicts itself (a free or bad cluster, a
 * number that is none, a cluster met twice, too few for the size) is -EIO, and
 * the caller looks again. What only looks unusual is served, as Linux does:
 * clusters allocated beyond the size, and an end mark of any legal value.
 *
 * Nothing here reads data clusters, or knows where they are on a disk beyond
 * fat_cluster_offset_bytes().
 */
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "fat/fat.h"
#include "fat/ondisk.h"
#include "fat/table.h"

/* Add one cluster to the end of the list: to its last run, or as a new one. */
static int extents_append(struct fat_extents *extents, size_t *capacity, uint32_t cluster)
{
	struct fat_extent *last = extents->count ? &extents->list[extents->count - 1] : NULL;

	/* Both numbers are below 2^28. */
	if (last && cluster == last->first_cluster + last->cluster_count) {
		last->cluster_count++;
		extents->cluster_count++;
		return 0;
	}
	if (extents->count == FAT_EXTENTS_MAX)
		return -EIO;
	if (extents->count == *capacity) {
		size_t wider = *capacity ? 2 * *capacity : 4; /* up to FAT_EXTENTS_MAX */
		struct fat_extent *list = reallocarray(extents->list, wider, sizeof(*list));

		if (!list)
			return -ENOMEM;
		extents->list = list;
		*capacity = wider;
	}
	extents->list[extents->count++] = (struct fat_extent){ cluster, 1 };
	extents->cluster_count++;
	return 0;
}

/*
 * Take the clusters of a chain until `clusters_max` are taken or it ends.
 * `*link` is what the FAT says of the last one taken. Bounded by clusters_max.
 */
static int chain_follow(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
			uint64_t clusters_max, struct fat_extents *extents, struct fat_link *link)
{
	struct fat_table table;
	size_t capacity = 0;

	fat_table_init(&table, volume, source);
	*link = (struct fat_link){ .kind = FAT_LINK_INVALID };
	if (fat_cluster_is_valid(volume, first_cluster))
		*link = (struct fat_link){ .kind = FAT_LINK_CLUSTER, .cluster = first_cluster };

	while (link->kind == FAT_LINK_CLUSTER && extents->cluster_count < clusters_max) {
		uint32_t cluster = link->cluster;
		int error = extents_append(extents, &capacity, cluster);

		if (!error)
			error = fat_table_read(&table, cluster, link);
		if (error)
			return error;
	}
	return 0;
}

static int compare_first_clusters(const void *left, const void *right)
{
	const struct fat_extent *a = left, *b = right;

	return a->first_cluster < b->first_cluster ? -1 : a->first_cluster > b->first_cluster;
}

/*
 * Is no cluster in two runs? This is how a loop is found, exactly and for the
 * price of sorting a few runs. Finders that walk along (Floyd's, Brent's) notice
 * one late, and so may miss it when the file's size ends the walk before; they
 * would save nothing either, since the walk is bounded by the size anyhow.
 */
static int extents_check_disjoint(const struct fat_extents *extents)
{
	CLEANUP_FREE struct fat_extent *sorted = NULL;

	if (extents->count < 2)
		return 0;
	sorted = reallocarray(NULL, extents->count, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, extents->list, extents->count * sizeof(*sorted));
	qsort(sorted, extents->count, sizeof(*sorted), compare_first_clusters);
	for (size_t i = 1; i < extents->count; i++) {
		if (sorted[i].first_cluster - sorted[i - 1].first_cluster < sorted[i - 1].cluster_count)
			return -EIO;
	}
	return 0;
}

/* Keep the list if `error` is 0, without the room it does not need; else empty it. */
static int extents_finish(struct fat_extents *extents, int error)
{
	if (error) {
		fat_extents_free(extents);
		return error;
	}

	struct fat_extent *list = reallocarray(extents->list, extents->count, sizeof(*list));

	if (list)
		extents->list = list;
	return 0;
}

int fat_extents_of_file(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
			uint32_t size_bytes, struct fat_extents *extents)
{
	/* 2^32 bytes and 2^19 of a cluster: far from overflow. */
	uint64_t wanted = ((uint64_t)size_bytes + volume->cluster_bytes - 1) / volume->cluster_bytes;
	struct fat_link link;

	*extents = (struct fat_extents){ 0 };
	if (wanted == 0)
		return 0;
	/* More clusters than there are would meet one twice: no need to walk. */
	if (wanted > volume->cluster_count)
		return -EIO;

	int error = chain_follow(volume, source, first_cluster, wanted, extents, &link);

	if (!error && extents->cluster_count < wanted)
		error = -EIO; /* the chain breaks off, or ends before the size does */
	if (!error && (link.kind == FAT_LINK_FREE || link.kind == FAT_LINK_BAD))
		error = -EIO; /* the last cluster is not this file's: usually it is being deleted */
	if (!error)
		error = extents_check_disjoint(extents);
	return extents_finish(extents, error);
}

int fat_extents_of_directory(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
			     uint32_t max_clusters, struct fat_extents *extents)
{
	struct fat_link link;

	*extents = (struct fat_extents){ 0 };

	int error = chain_follow(volume, source, first_cluster, max_clusters, extents, &link);

	/* A chain that comes to an end has met no cluster twice: each has one successor. */
	if (!error && link.kind != FAT_LINK_END)
		error = -EIO;
	return extents_finish(extents, error);
}

void fat_extents_free(struct fat_extents *extents)
{
	free(extents->list);
	*extents = (struct fat_extents){ 0 };
}

bool fat_extents_equal(const struct fat_extents *a, const struct fat_extents *b)
{
	if (a->count != b->count || a->cluster_count != b->cluster_count)
		return false;
	return a->count == 0 || memcmp(a->list, b->list, a->count * sizeof(*a->list)) == 0;
}

/* Below 2^28 clusters of 2^19 bytes after less than 2^53 (fat/boot.c): no overflow. */
uint64_t fat_cluster_offset_bytes(const struct fat_volume *volume, uint32_t cluster)
{
	return volume->data_offset_bytes + (uint64_t)(cluster - FAT_FIRST_CLUSTER) * volume->cluster_bytes;
}

bool fat_extents_map(const struct fat_volume *volume, const struct fat_extents *extents,
		     uint64_t file_offset_bytes, struct fat_cursor *cursor, uint64_t *volume_offset_bytes,
		     uint64_t *run_bytes)
{
	uint64_t cluster = file_offset_bytes / volume->cluster_bytes;

	if (cluster >= extents->cluster_count)
		return false;
	if (cluster < cursor->clusters_before)
		*cursor = (struct fat_cursor){ 0 };

	/* Bounded by the list: cluster is below the sum of its counts. */
	while (cluster - cursor->clusters_before >= extents->list[cursor->index].cluster_count)
		cursor->clusters_before += extents->list[cursor->index++].cluster_count;

	const struct fat_extent *extent = &extents->list[cursor->index];
	uint64_t in_run_bytes = file_offset_bytes - cursor->clusters_before * volume->cluster_bytes;

	*volume_offset_bytes = fat_cluster_offset_bytes(volume, extent->first_cluster) + in_run_bytes;
	*run_bytes = (uint64_t)extent->cluster_count * volume->cluster_bytes - in_run_bytes;
	return true;
}

int fat_file_read(const struct fat_volume *volume, struct source *source, const struct fat_entry *entry, void *out,
		  size_t length)
{
	struct fat_extents extents;
	struct fat_cursor cursor = { 0 };
	int error = fat_extents_of_file(volume, source, entry->first_cluster,
					(uint32_t)min_u64(length, entry->size_bytes), &extents);

	/* Bounded by the list of runs: each turn takes one, or the rest. */
	for (size_t at = 0; !error && at < length;) {
		uint64_t offset_bytes, run_bytes;
		size_t piece;

		if (!fat_extents_map(volume, &extents, at, &cursor, &offset_bytes, &run_bytes)) {
			error = -EIO;
			break;
		}
		piece = (size_t)min_u64(run_bytes, length - at);
		error = source_read(source, offset_bytes, (unsigned char *)out + at, piece);
		at += piece;
	}
	fat_extents_free(&extents);
	return error;
}
