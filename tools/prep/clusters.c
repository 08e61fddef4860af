/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/clusters.h"

#include <stdlib.h>

#include "fat/table.h"

int clusters_read(const struct fat_volume *volume, struct source *source, struct clusters *clusters)
{
	struct fat_table *table = malloc(sizeof(*table));
	int error = 0;

	*clusters = (struct clusters){ .volume = *volume };
	clusters->used = calloc(1, (volume->cluster_count + 2) / 8 + 1);
	if (!table || !clusters->used) {
		free(table);
		clusters_free(clusters);
		return -ENOMEM;
	}
	fat_table_init(table, volume, source);
	/* Bounded by cluster_count, which fat_volume_read has checked against the length of the FAT. */
	for (uint32_t cluster = 2; error == 0 && cluster < volume->cluster_count + 2; cluster++) {
		struct fat_link link;

		error = fat_table_read(table, cluster, &link);
		if (error == 0 && link.kind != FAT_LINK_FREE)
			clusters->used[cluster / 8] |= (unsigned char)(1U << cluster % 8);
		else
			clusters->free_count++;
	}
	free(table);
	if (error != 0)
		clusters_free(clusters);
	return error;
}

void clusters_free(struct clusters *clusters)
{
	free(clusters->used);
	*clusters = (struct clusters){ 0 };
}

static bool is_used(const struct clusters *clusters, uint32_t cluster)
{
	return clusters->used[cluster / 8] >> cluster % 8 & 1;
}

bool clusters_used_at(const struct clusters *clusters, uint64_t offset_bytes, uint64_t *end_bytes)
{
	const struct fat_volume *volume = &clusters->volume;
	uint64_t index;
	uint32_t cluster, end;
	bool used;

	*end_bytes = volume->data_offset_bytes;
	if (offset_bytes < volume->data_offset_bytes)
		return true;
	index = (offset_bytes - volume->data_offset_bytes) / volume->cluster_bytes;
	*end_bytes = UINT64_MAX;
	if (index >= volume->cluster_count)
		return false;
	cluster = (uint32_t)index + 2;
	used = is_used(clusters, cluster);
	end = cluster + 1;
	while (end < volume->cluster_count + 2 && is_used(clusters, end) == used)
		end++;
	if (used || end < volume->cluster_count + 2)
		*end_bytes = fat_cluster_offset_bytes(volume, end);
	return used;
}
