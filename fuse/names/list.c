/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: the names of the root, for readdir. Whether NAME:N are listed, and whether a file
 * without .img or .raw is an image at all, stands in the images; so they are all looked at.
 */
#include "fuse/names/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuse/names/links.h"
#include "fuse/names/walk.h"

struct gathering {
	FILE *names;
	const struct tables_of **tables; /* has room for all names; those that rest */
	size_t table_count;
};

/* A name with what it is before it ('d', 'l') and its NUL behind. */
static int list_found(void *context, const struct walk_name *found)
{
	struct gathering *gathering = context;
	FILE *names = gathering->names;
	/* Not known in time: what is named as an image is shown, and whoever enters it learns more. */
	bool late = found->result == -EINPROGRESS || found->result == -EIO || found->result == -ESTALE;

	if (late ? !found->named : found->result != 0)
		return 0;
	fprintf(names, "%c%s%c", !late && found->is_link ? 'l' : 'd', found->name, '\0');
	/* NAME:N is always there to be asked for; shown where there is a choice (N3). */
	for (size_t i = 0; !late && i < found->table.count; i++)
		fprintf(names, "d%s:%u%c", found->name, found->table.numbers[i], '\0');
	if (!late && found->table.rests)
		gathering->tables[gathering->table_count++] = &found->table;
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct cache_listing_entry *)a)->name, ((const struct cache_listing_entry *)b)->name);
}

/* Sorted, each name once: jammy.img and jammy.raw are one jammy. */
static int make_entries(struct cache_listing *listing, size_t bytes)
{
	struct cache_listing_entry *entries;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < bytes; i++)
		count += listing->names[i] == '\0';
	entries = listing->entries = calloc(count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (char *at = listing->names; at < listing->names + bytes; at += strlen(at) + 1)
		entries[listing->count++] = (struct cache_listing_entry){ .name = at + 1, .is_directory = *at == 'd' };
	qsort(entries, count, sizeof(*entries), compare_entries);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || compare_entries(&entries[kept - 1], &entries[i]) != 0)
			entries[kept++] = entries[i];
	listing->count = kept;
	return 0;
}

bool view_has_names(const struct view *view)
{
	int fd = view_source_open(NULL, view_source(view), O_RDONLY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool found = false;

	if (!dir) {
		cleanup_close_fd(&fd);
		return false;
	}
	for (struct dirent *entry; !found && (entry = readdir(dir));)
		found = view_can_be_shown(entry->d_name) &&
			(entry->d_type == DT_LNK || (entry->d_type == DT_REG && view_has_suffix(entry->d_name)));
	closedir(dir);
	return found;
}

/* All that the walk found, into `names`; and what it learned is kept for the next one. */
static int list_walk(struct view *view, struct walk *walk, FILE *names)
{
	struct gathering gathering = { .names = names };
	int error;

	gathering.tables = calloc(walk_count(walk) + 1, sizeof(struct tables_of *));
	if (!gathering.tables)
		return -ENOMEM;
	error = walk_each(walk, list_found, &gathering);
	if (error == 0)
		tables_keep(view_tables(view), gathering.tables, gathering.table_count);
	free(gathering.tables);
	return error;
}

int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct cache_listing *listing)
{
	struct walk *walk;
	FILE *names;
	size_t bytes;
	int error;

	*listing = (struct cache_listing){ 0 };
	if (!op->may_block)
		return -EAGAIN;
	walk = walk_source(view, queue, NULL);
	names = walk ? open_memstream(&listing->names, &bytes) : NULL;
	error = names ? list_walk(view, walk, names) : -ENOMEM;
	if (names && fclose(names) != 0)
		error = -ENOMEM;
	if (error == 0)
		error = make_entries(listing, bytes);
	if (walk)
		walk_put(walk); /* until now it moves (walk.h): a hundred thousand names are not sorted in no time */
	if (error != 0)
		cache_listing_free(listing);
	return error;
}
