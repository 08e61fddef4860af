/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuse/names/image_open.h"
#include "fuse/names/links.h"
#include "fuse/names/meanings.h"
#include "fuse/names/source_watch.h"
#include "fuse/names/tables.h"

struct view {
	struct view_source *source;
	struct view_images *images;
	struct tables *tables;
	struct source_watch *watch; /* NULL: names are looked up each time, as where */
	struct meanings *meanings;  /* this is NULL */
};

int view_new(struct view_source *source, const struct view_settings *settings, struct view **out)
{
	struct view *view = calloc(1, sizeof(*view));
	int error = view ? view_images_new(source, settings, &view->images) : -ENOMEM;

	if (error == 0 && !(view->tables = tables_new(!settings->believe_nothing, settings->kernel)))
		error = -ENOMEM;
	if (error != 0) {
		free(view); /* the daemon ends */
		return error;
	}
	view_source_tell(source, settings->kernel);
	view->source = source;
	view->meanings = view_source_file(source) ? NULL : meanings_new();
	if (view->meanings)
		view->watch = source_watch_new(view_images_watch(view->images));
	*out = view;
	return 0;
}

bool view_is_single(const struct view *view)
{
	return view_source_file(view->source);
}

const struct view_source *view_source(const struct view *view)
{
	return view->source;
}

struct view_images *view_images(const struct view *view)
{
	return view->images;
}

struct tables *view_tables(const struct view *view)
{
	return view->tables;
}

/* ---- lookup -------------------------------------------------------------- */

/* Without its directory there is no saying what is in it: that is not "not there". */
static int without_source(struct cache_op *op, int error)
{
	error = view_shortage(op, error);
	return error == -EINPROGRESS || error == -EAGAIN ? error : -EIO;
}

/*
 * By what is known of the name. Still asked each time is what is in the file: whether it is an image,
 * where its name does not say so, and has that partition. -ENOENT also when that does not hold any more.
 */
static int lookup_known(struct view *view, struct cache_op *op, const struct meaning *meaning, bool now,
			struct view_target *target)
{
	struct view_look look = { .images = view->images, .op = op, .dir_fd = -1 };
	int error, fd;

	*target = (struct view_target){ .kind = VIEW_LINK, .st = meaning->st };
	if (meaning->text) {
		target->link_bytes = strlen(meaning->text);
		return 0;
	}
	error = view_look_at_file(&look, meaning->file, NULL, &meaning->st, target);
	if (error != 0)
		return error;
	/* By name, as long as it is not open. */
	fd = atomic_load(&target->image->fd);
	if (now && (fd < 0 || fstat(fd, &target->st) != 0)) {
		view_image_put(target->image);
		return -ENOENT;
	}
	target->number = meaning->number;
	return target->number == CACHE_PARTITION_BOOT ? 0 : view_check_partition(op, target);
}

static void keep(struct view *view, uint64_t generation, const char *name, const struct view_target *target,
		 const struct view_met *found, const char *text)
{
	/* What is in NAME.d changes its time, and no name in SOURCE. */
	if (generation == 0 || target->own || found->outside)
		return;
	meanings_keep(view->meanings, generation, name,
		      &(struct meaning){ .file = found->file,
					 .text = target->kind == VIEW_LINK ? text : NULL,
					 .st = target->st,
					 .number = target->number });
}

/* `now`: as its file is now. */
static int lookup(struct view *view, struct cache_op *op, const char *name, bool now, struct view_target *target)
{
	uint64_t generation = source_watch_look(view->watch);
	char text[PATH_MAX], buffer[MEANING_BYTES];
	struct view_met found = { .outside = false };
	struct meaning meaning;
	int error = -ENOENT;

	if (generation != 0 && meanings_find(view->meanings, generation, name, &meaning, buffer))
		error = lookup_known(view, op, &meaning, now, target);
	if (error != -ENOENT)
		return error;
	CLEANUP_FD int dir_fd = view_source_open(op, view->source, O_PATH);

	if (dir_fd < 0)
		return without_source(op, dir_fd);
	error = view_lookup_at(
		&(struct view_look){ .images = view->images, .op = op, .dir_fd = dir_fd, .text = text, .found = &found }, name, target);
	if (error == 0)
		keep(view, generation, name, target, &found, text);
	return error;
}

int view_lookup(struct view *view, struct cache_op *op, const char *name, struct view_target *target)
{
	return lookup(view, op, name, true, target);
}

int view_lookup_which(struct view *view, struct cache_op *op, const char *name, struct view_target *target)
{
	return lookup(view, op, name, false, target);
}

/* The link's text, if it is known to be one. */
static bool read_known_link(struct view *view, const char *name, char *text)
{
	uint64_t generation = source_watch_look(view->watch);
	char buffer[MEANING_BYTES];
	struct meaning meaning;

	if (generation == 0 || !meanings_find(view->meanings, generation, name, &meaning, buffer) || !meaning.text)
		return false;
	strcpy(text, meaning.text);
	return true;
}

int view_read_link(struct view *view, struct cache_op *op, const char *name, char *text)
{
	if (read_known_link(view, name, text))
		return 0;
	CLEANUP_FD int dir_fd = view_source_open(op, view->source, O_PATH);
	struct view_look look = { .images = view->images, .op = op, .dir_fd = dir_fd, .met_only = true, .text = text };

	return dir_fd < 0 ? without_source(op, dir_fd) : view_look_link(&look, name);
}

static bool single_is_named(const struct view *view, const char *name)
{
	const char *file = view_source_file(view->source);
	size_t shown = view_shown_length(file);

	return strcmp(name, file) == 0 || (strlen(name) == shown && strncmp(name, file, shown) == 0);
}

int view_find_image(struct view *view, struct cache_op *op, const char *name, struct view_target *target)
{
	CLEANUP_FD int dir_fd = view_is_single(view) ? -1 : view_source_open(op, view->source, O_PATH);
	char text[PATH_MAX];
	struct view_look look = { .images = view->images, .op = op, .dir_fd = dir_fd, .text = text };

	if (view_is_single(view))
		return single_is_named(view, name) ? view_single(view, op, target) : -ENOENT;
	if (dir_fd < 0)
		return dir_fd == -EAGAIN ? dir_fd : -EIO;
	return view_look_for_image(&look, name, target);
}

int view_single(struct view *view, const struct cache_op *op, struct view_target *target)
{
	CLEANUP_FD int dir_fd = -1;
	int error;

	*target = (struct view_target){ .kind = VIEW_IMAGE, .number = CACHE_PARTITION_BOOT };
	error = view_source_stat(op, view->source, &target->st);
	if (error == -ENOENT) {
		dir_fd = view_source_open(op, view->source, O_PATH);
		return dir_fd == -EAGAIN ? dir_fd : dir_fd < 0 ? -EIO : -ENOENT;
	}
	if (error != 0)
		return error == -EAGAIN ? error : -EIO;
	if (!S_ISREG(target->st.st_mode) && !S_ISBLK(target->st.st_mode))
		return -ENOENT;
	return view_images_get(view->images, view_source_uri(view->source) ? "" : view_source_file(view->source),
			       view_source_uri(view->source), &target->st, &target->image);
}
