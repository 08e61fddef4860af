/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/walk_name.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/device/opener.h"
#include "fuse/names/image_open.h"
#include "fuse/names/links.h"
#include "fuse/names/own.h"

void walk_name_let_go(struct walk_name *found)
{
	view_image_put(found->image);
	free(found->table.numbers);
	free(found->text);
	free(found->name);
	free(found->file);
}

/* Only where there is a choice. Without memory none is listed, and all can be asked for. */
static void keep_numbers(struct tables_of *table, const unsigned *numbers, size_t total)
{
	size_t count = total < TABLES_LISTED_MAX ? total : TABLES_LISTED_MAX;

	if (total < 2 || !(table->numbers = reallocarray(NULL, count, sizeof(*numbers))))
		return;
	memcpy(table->numbers, numbers, count * sizeof(*numbers));
	table->count = count;
}

/* As the image itself says, which is opened, and waits while it is written. */
static int open_and_look(struct view_image *image, struct cache_op *op, struct tables_of *table)
{
	unsigned numbers[TABLES_LISTED_MAX];
	struct cache_image *cache;
	size_t total;
	int error;

	/* A listing connects to nobody: NAME:N of such an image are there to be asked for. */
	if (image->remote)
		return 0;
	error = view_image_open(image, op, &cache);
	if (error == 0)
		error = cache_image_partitions(cache, op, numbers, TABLES_LISTED_MAX, &total);
	if (error == 0)
		keep_numbers(table, numbers, total);
	return error == -EAGAIN || error == -EINPROGRESS ? error : 0;
}

/* Named as an image, it is one, whatever it holds. The target's image is used up. */
static int look_into(const struct walk_look *look, const struct view_target *target, struct cache_op *op, struct walk_name *found)
{
	struct view_image *image = target->image;
	bool closed = !atomic_load(&image->cache);
	int error = 0;

	if (!tables_find(look->last, &target->st, &found->table) &&
	    !(closed && op->may_block && tables_read(view_tables(look->view), found->file, &target->st, &found->table)))
		error = open_and_look(image, op, &found->table);
	view_image_put(image);
	return error;
}

/*
 * A link that would lead to itself in the mount is not shown: `jammy -> jammy`, and `jammy -> jammy.img` where that is
 * gone. What it leads to is its own name, or the file that is not there.
 */
static void keep_text_of_own(const struct walk_look *look, struct walk_name *found)
{
	char text[PATH_MAX];
	const char *slash;

	if (view_read_target(NULL, look->dir_fd, found->file, text) != 0)
		return;
	slash = strrchr(text, '/');
	slash = slash ? slash + 1 : text;
	found->text = strdup(strcmp(slash, found->file) == 0 ? found->name : slash);
}

/* How many it has is for status alone, and what cannot be read has none. */
static int count_own(struct cache_op *op, struct walk_name *found)
{
	char directory[NAME_MAX + 1];
	struct fat_names names = { 0 };
	int error = own_directory(directory, found->name) ? own_names_read(directory, op, &names) : 0;

	found->own_count = names.count;
	fat_names_free(&names);
	return error == -EAGAIN ? error : 0;
}

/* Not shown, or a way out of SOURCE; only then its first bytes are read. */
static bool may_be_archive(const struct walk_name *found, int error, const struct view_target *target,
			   const char *text)
{
	if (found->is_directory)
		return false;
	return error == -ENOENT
		       ? text[0] == '\0'
		       : error == 0 && target->kind == VIEW_LINK && !target->link_gone && text[0] == '/';
}

static enum archive_kind look_for_archive(const char *file)
{
	CLEANUP_FD int fd = opener_open(file);

	return fd < 0 ? ARCHIVE_NONE : archive_of_fd(fd);
}

int walk_name_look(const struct walk_look *look, struct walk_name *found, bool may_block)
{
	char text[PATH_MAX] = "";
	struct cache_op op = { .may_block = may_block };
	struct view_look at = {
		.images = view_images(look->view), .op = &op, .dir_fd = look->dir_fd, .met_only = look->met_only, .text = text
	};
	struct view_target target;
	int error = view_lookup_at(&at, found->name, &target);

	if (look->met_only && may_be_archive(found, error, &target, text)) {
		if (!may_block)
			return -EAGAIN;
		found->archive = look_for_archive(found->file);
	}
	if (error == -ENOENT && look->met_only && strcmp(text, found->name) == 0)
		keep_text_of_own(look, found);
	if (error != 0)
		return error;
	found->own = target.own;
	if (target.own && look->met_only && (error = count_own(&op, found)) != 0) {
		if (target.kind == VIEW_IMAGE)
			view_image_put(target.image);
		return error;
	}
	found->is_link = target.kind == VIEW_LINK;
	if (found->is_link) {
		found->gone = target.link_gone;
		found->text = strdup(text);
		return found->text ? 0 : -ENOMEM;
	}
	if (!look->met_only && target.through_link) {
		view_image_put(target.image); /* its partitions are listed with the image */
		return 0;
	}
	if (!look->met_only)
		return look_into(look, &target, &op, found);
	found->image = target.image;
	return 0;
}
