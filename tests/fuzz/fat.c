/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a FAT volume: read it, walk its directories a few levels deep,
 * follow every file, look every name up. Beyond not crashing, what fat/fat.h
 * promises must hold of whatever comes out; a promise that is broken aborts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fat/fat.h"
#include "fat/health.h"
#include "tests/fuzz/promise.h"

#define DEPTH_MAX 3
/* All directories and files of one input: a small one may name the same ones many times over. */
#define STEPS_MAX 4000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* fat/fat.h: no other errors than these come out of memory. */
static bool is_success(int error)
{
	promise(error == 0 || error == -EIO || error == -EINVAL || error == -ENOMEM);
	return error == 0;
}

static void check_volume(const struct fat_volume *volume, const struct source *source)
{
	promise(volume->type == FAT_TYPE_12 || volume->type == FAT_TYPE_16 || volume->type == FAT_TYPE_32);
	promise(volume->sector_bytes >= 512 && volume->sector_bytes <= 4096);
	promise(volume->cluster_bytes / volume->sector_bytes <= 128);
	promise(range_within(volume->fat_offset_bytes, volume->fat_length_bytes, source->size_bytes));
	promise((volume->cluster_count + 2ULL) * volume->type <= volume->fat_length_bytes * 8);
	promise((volume->root_cluster != 0) == (volume->type == FAT_TYPE_32));
	promise(volume->data_offset_bytes >= volume->fat_offset_bytes + volume->fat_length_bytes);
	promise(strlen(volume->label) <= 11);
	promise(fat_volume_equal(volume, volume));
}

/* Each cluster is one of the volume, none is there twice, and the map agrees with the list. */
static void check_extents(const struct fat_volume *volume, const struct fat_extents *extents)
{
	unsigned char *seen = calloc(volume->cluster_count + 2ULL, 1);
	uint64_t clusters = 0, volume_offset, run_bytes;
	struct fat_cursor cursor = { 0 };

	promise(seen);
	for (size_t i = 0; i < extents->count; i++) {
		const struct fat_extent *extent = &extents->list[i];

		promise(extent->cluster_count > 0 && extent->first_cluster >= 2);
		promise(range_within(extent->first_cluster - 2, extent->cluster_count,
				     volume->cluster_count));
		for (uint32_t c = 0; c < extent->cluster_count; c++)
			promise(seen[extent->first_cluster + c]++ == 0);
		promise(fat_extents_map(volume, extents, clusters * volume->cluster_bytes, &cursor,
					&volume_offset, &run_bytes));
		promise(volume_offset == fat_cluster_offset_bytes(volume, extent->first_cluster));
		promise(run_bytes == (uint64_t)extent->cluster_count * volume->cluster_bytes);
		clusters += extent->cluster_count;
	}
	promise(clusters == extents->cluster_count);
	promise(!fat_extents_map(volume, extents, clusters * volume->cluster_bytes, &cursor, &volume_offset,
				 &run_bytes));
	promise(fat_extents_equal(extents, extents));
	free(seen);
}

static void check_file(const struct fat_volume *volume, struct source *source, const struct fat_entry *entry)
{
	struct fat_extents extents;

	if (!is_success(
		    fat_extents_of_file(volume, source, entry->first_cluster, entry->size_bytes, &extents))) {
		promise(extents.list == NULL && extents.count == 0 && extents.cluster_count == 0);
		return;
	}
	promise(extents.cluster_count * volume->cluster_bytes >= entry->size_bytes);
	promise(extents.cluster_count * volume->cluster_bytes <
		(uint64_t)entry->size_bytes + volume->cluster_bytes);
	check_extents(volume, &extents);
	fat_extents_free(&extents);
}

/* UTF-8 as Unicode defines it: no overlong forms, no surrogates. Returns the UTF-16 units it has. */
static size_t check_utf8(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;
	size_t units = 0;

	while (*p) {
		unsigned extra = *p < 0x80 ? 0 : *p < 0xE0 ? 1 : *p < 0xF0 ? 2 : 3;
		uint32_t code_point = extra ? *p & (0x3F >> extra) : *p;

		promise(*p < 0x80 || (*p >= 0xC2 && *p <= 0xF4));
		for (unsigned i = 1; i <= extra; i++) {
			promise((p[i] & 0xC0) == 0x80);
			code_point = code_point << 6 | (p[i] & 0x3F);
		}
		promise(extra < 2 || code_point >= (extra == 2 ? 0x800 : 0x10000));
		promise(code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF));
		units += code_point >= 0x10000 ? 2 : 1;
		p += extra + 1;
	}
	return units;
}

static void check_names(const struct fat_dir *dir, size_t index)
{
	const struct fat_entry *entry = fat_dir_entry(dir, index);
	char again[FAT_NAME_BYTES_MAX + 3];
	long found;

	promise(entry->name[0] && !strchr(entry->name, '/'));
	promise(strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0);
	promise(strlen(entry->name) <= FAT_NAME_BYTES_MAX && check_utf8(entry->name) <= FAT_NAME_UNITS_MAX);
	promise(strlen(entry->short_name) < FAT_SHORT_NAME_BYTES && check_utf8(entry->short_name) <= 12);

	/* The name shown leads to the entry, in any case and with dots behind it. */
	promise(fat_dir_find(dir, entry->name) == (long)index);
	strcpy(again, entry->name);
	strcat(again, "..");
	for (char *p = again; *p; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p -= 'a' - 'A';
	}
	promise(fat_dir_find(dir, again) == (long)index);

	/* Its short name leads to it, or to one that had it earlier. */
	found = fat_dir_find(dir, entry->short_name);
	promise(entry->short_name[0] ? found >= 0 && found <= (long)index : found == -ENOENT);
}

static void walk(const struct fat_volume *volume, struct source *source, uint32_t cluster, int depth,
		 int *steps)
{
	uint32_t subdirectories = 0;
	struct fat_dir *dir;

	if (!is_success(fat_dir_read(volume, source, cluster, &dir))) {
		promise(dir == NULL);
		return;
	}
	promise(fat_dir_count(dir) <= FAT_DIRECTORY_ENTRIES_MAX);
	promise(fat_dir_size_bytes(dir) <= FAT_DIRECTORY_ENTRIES_MAX * FAT_ENTRY_BYTES);
	for (size_t i = 0; i < fat_dir_count(dir); i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);

		check_names(dir, i);
		fat_entry_times(entry, 90);
		if (entry->attributes & FAT_ATTR_DIRECTORY) {
			subdirectories++;
			promise(entry->size_bytes == 0);
		}
		if (++*steps > STEPS_MAX)
			continue;
		if (!(entry->attributes & FAT_ATTR_DIRECTORY))
			check_file(volume, source, entry);
		else if (entry->first_cluster != 0 && depth < DEPTH_MAX)
			walk(volume, source, entry->first_cluster, depth + 1, steps);
	}
	promise(subdirectories == fat_dir_subdirectory_count(dir));
	fat_dir_free(dir);
}

static void check_path(void *context, const char *path, enum fat_flaw flaw)
{
	(void)context;
	promise(path[0] == '/' && fat_flaw_text(flaw)[0]);
}

static void check_health(const struct fat_volume *volume, struct source *source)
{
	struct fat_health health;

	if (!is_success(fat_health_read(volume, source, check_path, NULL, &health)))
		return;
	promise(health.free_clusters + health.bad_clusters + health.used_clusters == volume->cluster_count);
	promise(health.lost_clusters <= health.used_clusters && health.lost_chains <= health.lost_clusters);
	promise(health.crossed_clusters <= volume->cluster_count && health.flaws <= health.files + health.directories);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source_memory memory = source_memory_of(data, size);
	struct fat_volume volume;
	int steps = 0;

	if (!is_success(fat_volume_read(&memory.source, &volume)))
		return 0;
	check_volume(&volume, &memory.source);
	walk(&volume, &memory.source, 0, 0, &steps);
	check_health(&volume, &memory.source);
	return 0;
}
