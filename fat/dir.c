/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories: clusters in, names and entries out.
 *
 * A directory is read and decoded once, whole, and then only looked at; that it
 * may have changed since is the caller's business. Three steps: the runs its
 * bytes lie in, the entries in disk order as they stream by, the index.
 *
 * A name that readdir shows always leads to the entry it stands for. So an
 * entry is left out not only when an earlier one shows the same name, but also
 * when its name is an earlier one's short name: Linux lists such an entry (only
 * a damaged directory has one) and opens the earlier file for it.
 *
 * Nothing here follows subdirectories, or keeps a forged one from pointing to
 * its parent: whoever walks the tree bounds the depth.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "fat/fat.h"
#include "fat/index.h"
#include "fat/name.h"
#include "fat/ondisk.h"

/* As much as is read at once: a run of clusters may be 2 MiB, and most directories end early. */
#define READ_BYTES_MAX ((size_t)64 * 1024)
#define DIRECTORY_BYTES_MAX (FAT_DIRECTORY_ENTRIES_MAX * FAT_ENTRY_BYTES)
#define STRINGS_BYTES_MIN ((size_t)224)
#define STRINGS_BYTES_MAX ((size_t)4 * 1024)

/* Strings of a directory, in blocks that never move. Each is twice as large as the one before: most are small. */
struct string_block {
	struct string_block *next;
	size_t used_bytes, size_bytes;
	char bytes[];
};

struct fat_dir {
	struct fat_entry *entries;
	size_t count;
	size_t capacity; /* of entries, while it is being read */
	struct string_block *strings;
	size_t strings_bytes;
	struct fat_index index;
	uint64_t size_bytes;
	uint32_t subdirectory_count;
	const char *label; /* of the root: the first there is, or NULL */
};

/* ---- building ---- */

/* A copy of `string` that lives as long as the directory, or NULL. */
static const char *keep_string(struct fat_dir *dir, const char *string, size_t length)
{
	struct string_block *block = dir->strings;
	size_t bytes = length + 1; /* at most FAT_NAME_BUFFER_BYTES, far less than the largest block */

	if (!block || block->size_bytes - block->used_bytes < bytes) {
		size_t size_bytes = block ? 2 * block->size_bytes : STRINGS_BYTES_MIN;

		if (size_bytes > STRINGS_BYTES_MAX)
			size_bytes = STRINGS_BYTES_MAX;
		while (size_bytes < bytes)
			size_bytes *= 2;
		block = malloc(sizeof(*block) + size_bytes);
		if (!block)
			return NULL;
		block->next = dir->strings;
		block->used_bytes = 0;
		block->size_bytes = size_bytes;
		dir->strings = block;
		dir->strings_bytes += sizeof(*block) + size_bytes;
	}

	char *kept = block->bytes + block->used_bytes;

	memcpy(kept, string, length);
	kept[length] = '\0';
	block->used_bytes += bytes;
	return kept;
}

/* Room for one more entry. At most FAT_DIRECTORY_ENTRIES_MAX are ever read. */
static struct fat_entry *new_entry(struct fat_dir *dir)
{
	if (dir->count == dir->capacity) {
		size_t wider = dir->capacity ? 2 * dir->capacity : 4;
		struct fat_entry *entries = reallocarray(dir->entries, wider, sizeof(*entries));

		if (!entries)
			return NULL;
		dir->entries = entries;
		dir->capacity = wider;
	}
	return &dir->entries[dir->count];
}

static uint32_t entry_first_cluster(const struct fat_volume *volume, const unsigned char *raw)
{
	uint32_t cluster = get_le16(raw + DIR_FST_CLUS_LO);

	/* On FAT12 and FAT16 OS/2 and others keep something else in the high word. */
	if (volume->type == FAT_TYPE_32)
		cluster |= (uint32_t)get_le16(raw + DIR_FST_CLUS_HI) << 16;
	return cluster;
}

/* A live short entry and the long name that may have come before it. */
static int add_entry(struct fat_dir *dir, const struct fat_volume *volume,
		     const struct fat_long_name *long_name, const unsigned char *raw)
{
	char long_utf8[FAT_NAME_BUFFER_BYTES], short_utf8[FAT_SHORT_NAME_BYTES];
	size_t long_length = fat_long_name_decode(long_name, raw, long_utf8);
	size_t short_length = fat_short_name_decode(raw, short_utf8);

	if (long_length == 0 && short_length == 0)
		return 0;

	struct fat_entry *entry = new_entry(dir);

	if (!entry)
		return -ENOMEM;
	entry->short_name = keep_string(dir, short_utf8, short_length);
	entry->name = long_length ? keep_string(dir, long_utf8, long_length) : entry->short_name;
	if (!entry->short_name || !entry->name)
		return -ENOMEM;
	entry->attributes = raw[DIR_ATTR];
	entry->first_cluster = entry_first_cluster(volume, raw);
	entry->size_bytes = entry->attributes & FAT_ATTR_DIRECTORY ? 0 : get_le32(raw + DIR_FILE_SIZE);
	memcpy(entry->raw, raw, FAT_ENTRY_BYTES);
	dir->count++;
	return 0;
}

/* "." and ".." are the kernel's; their names have no other use, whatever long name is before them. */
static bool is_dot_entry(const unsigned char *raw)
{
	return memcmp(raw + DIR_NAME, ".          ", DIR_NAME_BYTES) == 0 ||
	       memcmp(raw + DIR_NAME, "..         ", DIR_NAME_BYTES) == 0;
}

/* What is between the entries of a directory as they stream by. */
struct dir_reader {
	struct fat_dir *dir;
	const struct fat_volume *volume;
	struct source *source;
	struct fat_long_name long_name;
	unsigned char *buffer;	/* READ_BYTES_MAX */
	uint32_t directory_count; /* entries that are directories, "." and ".." too, whatever their names */
	bool is_root;
	bool at_end;		  /* the entry that ends the directory was met */
};

/* As libblkid (vfat.c, search_fat_label): the first one without a cluster counts, also when it is blank. */
static int take_label(struct fat_dir *dir, const unsigned char *raw)
{
	unsigned char name[BS_VOL_LAB_BYTES];
	char label[FAT_LABEL_BYTES];

	if (dir->label || get_le16(raw + DIR_FST_CLUS_HI) != 0 || get_le16(raw + DIR_FST_CLUS_LO) != 0)
		return 0;
	memcpy(name, raw + DIR_NAME, sizeof(name));
	if (name[0] == DIR_NAME_0_KANJI_E5)
		name[0] = 0xE5;
	fat_label_decode(name, label);
	dir->label = keep_string(dir, label, strlen(label));
	return dir->label ? 0 : -ENOMEM;
}

static int take_raw_entry(struct dir_reader *reader, const unsigned char *raw)
{
	int error = 0;

	if (raw[DIR_NAME] == DIR_NAME_0_END) {
		reader->at_end = true;
		return 0;
	}
	if (raw[DIR_NAME] != DIR_NAME_0_DELETED) {
		if (raw[DIR_ATTR] == LDIR_ATTR) {
			fat_long_name_add(&reader->long_name, raw);
			return 0;
		}
		if ((raw[DIR_ATTR] & (FAT_ATTR_VOLUME_ID | FAT_ATTR_DIRECTORY)) == FAT_ATTR_DIRECTORY)
			reader->directory_count++;
		if (reader->is_root && (raw[DIR_ATTR] & (FAT_ATTR_VOLUME_ID | FAT_ATTR_DIRECTORY)) == FAT_ATTR_VOLUME_ID)
			error = take_label(reader->dir, raw);
		if (!(raw[DIR_ATTR] & FAT_ATTR_VOLUME_ID) && !is_dot_entry(raw))
			error = add_entry(reader->dir, reader->volume, &reader->long_name, raw);
	}
	fat_long_name_forget(&reader->long_name);
	return error;
}

/* Decode one run of the directory, in pieces, until it or the directory ends. Bounded by length_bytes. */
static int read_run(struct dir_reader *reader, uint64_t offset_bytes, uint64_t length_bytes)
{
	for (uint64_t done = 0; done < length_bytes && !reader->at_end; done += READ_BYTES_MAX) {
		size_t piece = (size_t)min_u64(length_bytes - done, READ_BYTES_MAX);
		int error = source_read(reader->source, offset_bytes + done, reader->buffer, piece);

		for (size_t i = 0; i < piece && !error && !reader->at_end; i += FAT_ENTRY_BYTES)
			error = take_raw_entry(reader, reader->buffer + i);
		if (error)
			return error;
	}
	return 0;
}

static int read_fixed_root(struct dir_reader *reader)
{
	const struct fat_volume *volume = reader->volume;

	/* 16 bits of entries. */
	reader->dir->size_bytes = (uint64_t)volume->root_entry_count * FAT_ENTRY_BYTES;
	return read_run(reader, volume->root_offset_bytes, reader->dir->size_bytes);
}

static int read_chain(struct dir_reader *reader, uint32_t first_cluster)
{
	const struct fat_volume *volume = reader->volume;
	uint32_t max_clusters = DIRECTORY_BYTES_MAX / volume->cluster_bytes; /* at least 4 */
	struct fat_extents extents;
	int error = fat_extents_of_directory(volume, reader->source, first_cluster, max_clusters, &extents);

	if (error)
		return error;
	reader->dir->size_bytes =
		extents.cluster_count * volume->cluster_bytes; /* at most DIRECTORY_BYTES_MAX */
	for (size_t i = 0; i < extents.count && !error && !reader->at_end; i++)
		error = read_run(reader, fat_cluster_offset_bytes(volume, extents.list[i].first_cluster),
				 (uint64_t)extents.list[i].cluster_count * volume->cluster_bytes);
	fat_extents_free(&extents);
	return error;
}

static bool is_root(const struct fat_volume *volume, uint32_t first_cluster)
{
	return first_cluster == 0 || (volume->type == FAT_TYPE_32 && first_cluster == volume->root_cluster);
}

/*
 * Linux (fs/fat/inode.c, fat_validate_dir) refuses a subdirectory with fewer than
 * two directories in it: "." and ".." are, and it does not ask for their names.
 * On a live image it is one whose first cluster is not written yet, or is another's.
 */
static int read_subdirectory(struct dir_reader *reader, uint32_t first_cluster)
{
	int error = read_chain(reader, first_cluster);

	return error == 0 && reader->directory_count < 2 ? -EIO : error;
}

static int read_entries(struct fat_dir *dir, const struct fat_volume *volume, struct source *source,
			uint32_t first_cluster)
{
	CLEANUP_FREE unsigned char *buffer = malloc(READ_BYTES_MAX);
	struct dir_reader reader = {
		.dir = dir, .volume = volume, .source = source, .buffer = buffer, .is_root = is_root(volume, first_cluster)
	};

	if (!buffer)
		return -ENOMEM;
	if (!reader.is_root)
		return read_subdirectory(&reader, first_cluster);
	return volume->type == FAT_TYPE_32 ? read_chain(&reader, volume->root_cluster) : read_fixed_root(&reader);
}

/* Hash the names, and leave the entries out whose name already leads to an earlier one. */
static int index_entries(struct fat_dir *dir)
{
	size_t kept = 0;
	int error = fat_index_init(&dir->index, dir->entries, dir->count);

	if (error)
		return error;
	for (size_t i = 0; i < dir->count; i++) {
		if (fat_index_find(&dir->index, dir->entries[i].name) >= 0)
			continue;
		/* kept <= i: what is overwritten has been looked at. */
		dir->entries[kept] = dir->entries[i];
		fat_index_add(&dir->index, kept);
		if (dir->entries[kept].attributes & FAT_ATTR_DIRECTORY)
			dir->subdirectory_count++;
		kept++;
	}
	dir->count = kept;
	return 0;
}

/* No more room than it needs: it stays for long. */
static void shrink(struct fat_dir *dir)
{
	void *shrunk = dir->count > 0 ? reallocarray(dir->entries, dir->count, sizeof(*dir->entries)) : NULL;

	if (!shrunk)
		return;
	dir->entries = shrunk;
	dir->capacity = dir->count;
}

int fat_dir_read(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
		 struct fat_dir **dir)
{
	struct fat_dir *fresh = calloc(1, sizeof(*fresh));

	*dir = NULL;
	if (!fresh)
		return -ENOMEM;

	int error = read_entries(fresh, volume, source, first_cluster);

	shrink(fresh);
	if (!error)
		error = index_entries(fresh);
	if (error)
		fat_dir_free(fresh);
	else
		*dir = fresh;
	return error;
}

static bool copy_entry(struct fat_dir *dir, const struct fat_entry *from)
{
	struct fat_entry *entry = new_entry(dir);

	if (!entry)
		return false;
	*entry = *from;
	entry->short_name = keep_string(dir, from->short_name, strlen(from->short_name));
	entry->name = from->name == from->short_name ? entry->short_name : keep_string(dir, from->name, strlen(from->name));
	dir->count++;
	return entry->short_name && entry->name;
}

struct fat_dir *fat_dir_subset(const struct fat_dir *dir, const size_t *indices, size_t count)
{
	struct fat_dir *subset = calloc(1, sizeof(*subset));
	bool whole = subset != NULL;

	for (size_t i = 0; whole && i < count; i++)
		whole = copy_entry(subset, &dir->entries[indices[i]]);
	if (!whole || fat_index_init(&subset->index, subset->entries, subset->count) != 0) {
		fat_dir_free(subset);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		fat_index_add(&subset->index, i);
	subset->size_bytes = dir->size_bytes;
	subset->subdirectory_count = dir->subdirectory_count;
	return subset;
}

void fat_dir_free(struct fat_dir *dir)
{
	if (!dir)
		return;
	for (struct string_block *block = dir->strings, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	fat_index_free(&dir->index);
	free(dir->entries);
	free(dir);
}

/* ---- looking ---- */

size_t fat_dir_count(const struct fat_dir *dir)
{
	return dir->count;
}

const struct fat_entry *fat_dir_entry(const struct fat_dir *dir, size_t index)
{
	return &dir->entries[index];
}

size_t fat_dir_memory_bytes(const struct fat_dir *dir)
{
	return sizeof(*dir) + dir->capacity * sizeof(*dir->entries) + dir->strings_bytes +
	       dir->index.slot_count * sizeof(*dir->index.slots);
}

const char *fat_dir_label(const struct fat_dir *dir)
{
	return dir->label ? dir->label : "";
}

uint64_t fat_dir_size_bytes(const struct fat_dir *dir)
{
	return dir->size_bytes;
}

uint32_t fat_dir_subdirectory_count(const struct fat_dir *dir)
{
	return dir->subdirectory_count;
}

long fat_dir_find(const struct fat_dir *dir, const char *name)
{
	return fat_index_find(&dir->index, name);
}
