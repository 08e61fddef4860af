/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "pi/pi.h"

int volume_files_open(struct volume_files *files, const struct fat_volume *volume, struct source *source,
		      const struct own *own)
{
	*files = (struct volume_files){ .volume = volume, .source = source, .own = own };
	return fat_dir_read(volume, source, 0, &files->root);
}

void volume_files_close(struct volume_files *files)
{
	fat_dir_free(files->root);
	fat_dir_free(files->last);
	files->root = files->last = NULL;
}

static const struct fat_entry *entry_of(const struct fat_dir *dir, const char *name)
{
	long index = fat_dir_find(dir, name);

	return index < 0 ? NULL : fat_dir_entry(dir, (size_t)index);
}

/* The directory of that path, "" for the root; NULL: there is none. Bounded by the path. */
static const struct fat_dir *directory_of(struct volume_files *files, const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);
	struct fat_dir *dir = NULL;
	char *rest = copy;

	if (files->last && strcmp(files->last_path, path) == 0)
		return files->last;
	for (char *name; copy && (name = strsep(&rest, "/"));) {
		const struct fat_entry *entry;
		struct fat_dir *below;

		if (*name == '\0' || strcmp(name, ".") == 0)
			continue;
		entry = entry_of(dir ? dir : files->root, name);
		if (!entry || !(entry->attributes & FAT_ATTR_DIRECTORY) || entry->first_cluster == 0 ||
		    fat_dir_read(files->volume, files->source, entry->first_cluster, &below) != 0) {
			fat_dir_free(dir);
			return NULL;
		}
		fat_dir_free(dir);
		dir = below;
	}
	if (!dir || strlen(path) >= sizeof(files->last_path)) {
		fat_dir_free(dir);
		return dir ? NULL : files->root;
	}
	fat_dir_free(files->last);
	strcpy(files->last_path, path);
	return files->last = dir;
}

/* The directory of a path, and in *name what is behind its last slash. */
static const struct fat_dir *parent_of(struct volume_files *files, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *directory = slash ? strndup(path, (size_t)(slash - path)) : strdup("");

	*name = slash ? slash + 1 : path;
	return directory ? directory_of(files, directory) : NULL;
}

static const struct fat_entry *find_file(struct volume_files *files, const char *path)
{
	const char *name;
	const struct fat_dir *dir = parent_of(files, path, &name);
	const struct fat_entry *entry = dir && *name ? entry_of(dir, name) : NULL;

	return entry && !(entry->attributes & FAT_ATTR_DIRECTORY) ? entry : NULL;
}

bool volume_files_exists(void *context, const char *path)
{
	const struct volume_files *files = context;

	return own_find(files->own, path) || find_file(context, path);
}

bool volume_files_whole(void *context, const char *path)
{
	struct volume_files *files = context;
	bool is_own = own_find(files->own, path) != NULL;
	const struct fat_entry *entry = is_own ? NULL : find_file(files, path);
	uint64_t left = entry ? entry->size_bytes : 0;
	struct fat_extents extents;
	bool whole = entry && fat_extents_of_file(files->volume, files->source, entry->first_cluster, entry->size_bytes,
						  &extents) == 0;

	if (!whole)
		return is_own;
	for (size_t i = 0; i < extents.count && whole; i++) {
		const struct fat_extent *run = &extents.list[i];
		uint64_t bytes = min_u64(left, (uint64_t)run->cluster_count * files->volume->cluster_bytes);

		whole = range_within(fat_cluster_offset_bytes(files->volume, run->first_cluster), bytes,
				     files->source->size_bytes);
		left -= bytes;
	}
	fat_extents_free(&extents);
	return whole;
}

static bool has_ends(const char *text, const char *prefix, const char *suffix)
{
	size_t length = strlen(text);

	return length >= strlen(prefix) + strlen(suffix) && strncasecmp(text, prefix, strlen(prefix)) == 0 &&
	       strcasecmp(text + length - strlen(suffix), suffix) == 0;
}

bool volume_files_any(void *context, const char *prefix, const char *suffix)
{
	const struct volume_files *files = context;
	const char *name;
	const struct fat_dir *dir = parent_of(context, prefix, &name);

	for (size_t i = 0; dir && i < fat_dir_count(dir); i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);

		if (!(entry->attributes & FAT_ATTR_DIRECTORY) && has_ends(entry->name, name, suffix))
			return true;
	}
	for (size_t i = 0; i < files->own->names.count && name == prefix; i++)
		if (has_ends(files->own->names.list[i], prefix, suffix))
			return true;
	return false;
}

char *volume_files_read(void *context, const char *path, size_t *length)
{
	struct volume_files *files = context;
	const char *own = own_find(files->own, path);
	const struct fat_entry *entry;
	char *text;

	if (own)
		return own_read(files->own, own, PI_CONFIG_BYTES_MAX, length);
	entry = find_file(files, path);
	if (!entry)
		return NULL;
	*length = entry->size_bytes < PI_CONFIG_BYTES_MAX ? entry->size_bytes : PI_CONFIG_BYTES_MAX;
	text = calloc(1, *length + 1);
	if (text && fat_file_read(files->volume, files->source, entry, text, *length) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
