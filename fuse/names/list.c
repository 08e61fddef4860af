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

void view_list_free(struct view_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i].name);
	free(list->names);
	*list = (struct view_list){ 0 };
}

static int list_add(struct view_list *list, const char *name, bool is_link)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 64;
		void *grown = reallocarray(list->names, capacity, sizeof(*list->names));

		if (!grown)
			return -ENOMEM;
		list->names = grown;
		list->capacity = capacity;
	}
	list->names[list->count] = (struct view_name){ strdup(name), is_link };
	return list->names[list->count].name ? (list->count++, 0) : -ENOMEM;
}

static int list_found(void *context, const struct walk_name *found)
{
	struct view_list *list = context;
	char name[512];
	int error;

	/* Not known in time: what is named as an image is shown, and whoever enters it learns more. */
	if (found->result == -EINPROGRESS || found->result == -EIO || found->result == -ESTALE)
		return found->named ? list_add(list, found->name, false) : 0;
	if (found->result != 0)
		return 0;
	error = list_add(list, found->name, found->is_link);
	/* NAME:N is always there to be asked for; shown where there is a choice (N3). */
	for (size_t i = 0; error == 0 && i < found->number_count; i++) {
		snprintf(name, sizeof(name), "%s:%u", found->name, found->numbers[i]);
		error = list_add(list, name, false);
	}
	return error;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct view_name *)a)->name, ((const struct view_name *)b)->name);
}

/* Sorted, each name once: jammy.img and jammy.raw are one jammy. */
static void list_fold(struct view_list *list)
{
	size_t kept = 0;

	if (list->count == 0)
		return;
	qsort(list->names, list->count, sizeof(*list->names), compare_names);
	for (size_t i = 1; i < list->count; i++) {
		if (strcmp(list->names[i].name, list->names[kept].name) == 0)
			free(list->names[i].name);
		else
			list->names[++kept] = list->names[i];
	}
	list->count = kept + 1;
}

bool view_has_names(const struct view *view)
{
	int fd = view_source_open(view_source(view), O_RDONLY);
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

int view_list(struct view *view, struct cache_op *op, struct queue *queue, struct view_list *list)
{
	struct walk *walk;
	int error;

	*list = (struct view_list){ 0 };
	if (!op->may_block)
		return -EAGAIN;
	walk = walk_source(view, queue, NULL);
	if (!walk)
		return -EIO;
	error = walk_each(walk, list_found, list);
	walk_put(walk);
	list_fold(list);
	if (error != 0)
		view_list_free(list);
	return error;
}
