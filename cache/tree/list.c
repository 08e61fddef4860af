/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/tree/path.h"

static int list_locked(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing)
{
	size_t count, bytes = 0;
	char *at;
	int error = path_refresh_dir(dir, op);

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
	image_leave(dir->image);
	return error;
}

void cache_listing_free(struct cache_listing *listing)
{
	free(listing->entries);
	free(listing->names);
	*listing = (struct cache_listing){ 0 };
}
