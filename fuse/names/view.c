/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view: names in SOURCE, names in the mount, and which is which.
 *
 *   SOURCE                            mount
 *   jammy.img, jammy.raw, jammy       jammy/          an image
 *   (partition 3 of it)               jammy:3/
 *   89025d75 -> jammy.img             89025d75 -> jammy
 *   89025d75.img -> /dev/zvol/pi1     89025d75/       an image elsewhere
 *   89025d75 -> nbd://store/pi1       89025d75/       an image behind a block server
 *   bootcode.bin -> jammy/bootcode.bin   the same link
 *   89025d75 -> jammy.img, 89025d75.d/   89025d75/, jammy's with files of its own before it (own.h)
 *
 * When several files would have one name, the link wins, then .img, then .raw.
 */
#include "fuse/names/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuse/names/image_open.h"
#include "fuse/names/links.h"
#include "fuse/names/meanings.h"
#include "fuse/names/own.h"
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

static void note_file(const struct view_look *look, const char *file)
{
	if (look->found)
		snprintf(look->found->file, sizeof(look->found->file), "%s", file);
}

/* Does the file's content make it an image? Only asked when its name does not. */
static int probe_content(const struct view_look *look, const char *file, const struct stat *st,
			 struct view_image **image)
{
	struct cache_image *cache;
	size_t total;
	int error = view_images_get(look->view->images, file, NULL, st, image);

	if (error != 0)
		return error;
	error = view_image_open(*image, look->op, &cache);
	if (error == 0)
		error = cache_image_partitions(cache, look->op, NULL, 0, &total);
	/* A table that cannot be believed is a table: the image is shown, and answers EIO. */
	if (error == 0 || error == -EIO)
		return 0;
	if (error == -ENODATA) {
		atomic_store(&(*image)->shown, false);
		atomic_store(&(*image)->none, true);
	}
	view_image_put(*image);
	*image = NULL;
	return error == -ENODATA ? -ENOENT : error;
}

/* An image by its name, whatever is in it. */
static bool is_named(const char *file, const struct stat *st)
{
	return view_has_suffix(file) || view_is_remote(st);
}

/* The same out of what is remembered; an image by its name need not have been met (NULL). */
static int met_image(const struct view_look *look, const char *file, const struct stat *st, struct view_image **image)
{
	*image = view_images_known(look->view->images, st);
	if (is_named(file, st) || (*image && atomic_load(&(*image)->shown)))
		return 0;
	view_image_put(*image);
	return -ENOENT;
}

/* `uri` as of view_images_get. */
static int target_image(const struct view_look *look, const char *file, const char *uri, const struct stat *st,
			struct view_target *target)
{
	int error;

	target->kind = VIEW_IMAGE;
	target->number = CACHE_PARTITION_BOOT;
	target->st = *st;
	note_file(look, file);
	if (look->met_only)
		return met_image(look, file, st, &target->image);
	if (is_named(file, st))
		error = view_images_get(look->view->images, file, uri, st, &target->image);
	else
		error = probe_content(look, file, st, &target->image);
	if (error == 0) {
		atomic_store(&target->image->shown, true);
		atomic_store(&target->image->none, false);
	}
	return error;
}

/* What the link `file` of SOURCE is, described by *st. -ENOENT: nothing that is shown. */
static int target_of_link(const struct view_look *look, const char *file, const struct stat *st,
			  struct view_target *target)
{
	char own_text[PATH_MAX], *text = look->text ? look->text : own_text;
	struct stat followed;
	bool maybe_image, gone, outside;
	int error;

	error = view_classify_link(look->op, look->dir_fd, file, text, &maybe_image, &gone, &outside, &followed);
	if (look->found && outside)
		look->found->outside = true;
	if (error != 0)
		return error == -ENOENT || error == -EAGAIN ? error : -EIO;
	if (maybe_image) {
		error = target_image(look, file, text, &followed, target);
		if (error != -ENOENT)
			return error;
	}
	/* `jammy -> jammy.img` would be a link to itself in the mount, and hide the image. */
	if (strlen(text) == view_shown_length(file) && strncmp(text, file, strlen(text)) == 0)
		return -ENOENT;
	note_file(look, file);
	*target = (struct view_target){ .kind = VIEW_LINK, .st = *st, .link_bytes = strlen(text), .link_gone = gone };
	return 0;
}

/* What the file `file` of SOURCE is. -ENOENT: nothing that is shown. */
static int target_of_file(const struct view_look *look, const char *file, struct view_target *target)
{
	struct stat st;
	int error = view_source_lstat(look->op, look->dir_fd, file, &st);

	if (error != 0)
		return error == -ENOENT || error == -ENOTDIR || error == -ENAMETOOLONG ? -ENOENT : error == -EAGAIN ? error : -EIO;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return target_image(look, file, NULL, &st, target);
	return S_ISLNK(st.st_mode) ? target_of_link(look, file, &st, target) : -ENOENT;
}

/* The file of SOURCE that has the name `name` in the mount, if any; a link of just that name only with `links`. */
static int target_of_name(const struct view_look *look, const char *name, bool links, struct view_target *target)
{
	char file[NAME_MAX + 8];
	struct stat st;
	int error;

	/* A link of just that name goes before a file with a suffix; the file of just that name after it. */
	if (links && !view_has_suffix(name)) {
		error = view_source_lstat(look->op, look->dir_fd, name, &st);
		if (error == 0)
			error = S_ISLNK(st.st_mode) ? target_of_link(look, name, &st, target) : -ENOENT;
		else if (error != -EAGAIN)
			error = -ENOENT; /* it is asked for once more below */
		if (error != -ENOENT)
			return error;
	}
	for (size_t i = 0; i < VIEW_SUFFIX_COUNT; i++) {
		if (snprintf(file, sizeof(file), "%s%s", name, view_suffixes[i]) > NAME_MAX)
			continue;
		error = target_of_file(look, file, target);
		if (error != -ENOENT)
			return error;
	}
	return view_has_suffix(name) ? -ENOENT : target_of_file(look, name, target);
}

/* Split NAME:N. The number is decimal, without sign or leading zero (but 0 itself). */
static bool split_partition(const char *name, char *base, size_t size_bytes, unsigned *number)
{
	const char *colon = view_partition_suffix(name);

	if (*colon == '\0' || colon == name || (colon[1] == '0' && colon[2]) || strlen(colon) > 6)
		return false;
	if ((size_t)(colon - name) >= size_bytes)
		return false;
	memcpy(base, name, (size_t)(colon - name));
	base[colon - name] = '\0';
	*number = (unsigned)strtoul(colon + 1, NULL, 10);
	return true;
}

/* The partition must be there, and a FAT. Errors inside it are for those who look inside. */
static int check_partition(struct cache_op *op, struct view_target *target)
{
	unsigned numbers[PART_ENTRIES_MAX];
	struct cache_image *cache;
	size_t total;
	int error = view_image_open(target->image, op, &cache);

	if (error == 0)
		error = cache_image_partitions(cache, op, numbers, PART_ENTRIES_MAX, &total);
	if (error == 0) {
		error = -ENOENT;
		for (size_t i = 0; i < total && i < PART_ENTRIES_MAX; i++)
			if (numbers[i] == target->number)
				error = 0;
	}
	if (error != 0)
		view_image_put(target->image);
	return error == -ENODATA ? -EIO : error;
}

static int lookup_plain(const struct view_look *look, const char *name, struct view_target *target)
{
	char base[NAME_MAX + 1];
	unsigned number;
	int error;

	if (!view_can_be_shown(name))
		return -ENOENT;
	error = target_of_name(look, name, true, target);
	if (error != -ENOENT || look->met_only || !split_partition(name, base, sizeof(base), &number))
		return error;
	/* `jammy -> jammy:3` is a link that may be named as the image it leads to. */
	error = target_of_name(look, base, false, target);
	if (error != 0)
		return error;
	if (target->kind != VIEW_IMAGE)
		return -ENOENT;
	target->number = number;
	return check_partition(look->op, target);
}

/* The image that the link leads to, if it does so within SOURCE; else *target stays the link. */
static int follow_to_image(const struct view_look *look, const char *link, struct view_target *target)
{
	char text[PATH_MAX], name[NAME_MAX + 1];
	struct view_look there = { .view = look->view, .op = look->op, .dir_fd = look->dir_fd, .text = text };
	struct view_target next = { .kind = VIEW_LINK };
	int error = 0;

	snprintf(name, sizeof(name), "%s", link);
	for (int i = 0; i <= VIEW_LINKS_MAX && error == 0 && next.kind == VIEW_LINK; i++) {
		error = lookup_plain(&there, name, &next);
		if (error == 0 && next.kind == VIEW_LINK) {
			if (strchr(text, '/') || strlen(text) > NAME_MAX)
				return 0;
			strcpy(name, text);
		}
	}
	if (error == 0 && next.kind == VIEW_IMAGE) {
		*target = next;
		target->through_link = true;
	}
	return error == -ENOENT ? 0 : error;
}

int view_lookup_at(const struct view_look *look, const char *name, struct view_target *target)
{
	struct stat own;
	int error = lookup_plain(look, name, target), there;

	if (error != 0)
		return error;
	target->own = target->through_link = false;
	there = own_is_there(look->op, look->dir_fd, name, &own);
	if (there > 0 && target->kind == VIEW_LINK && !look->met_only) {
		error = follow_to_image(look, name, target);
		there = target->kind == VIEW_IMAGE; /* else there is nothing that they could stand before */
	}
	if (error == 0 && there < 0)
		error = there;
	if (error != 0) {
		if (target->kind == VIEW_IMAGE)
			view_image_put(target->image);
		return error;
	}
	target->own = there > 0;
	/* What changes in it changes the directory that is shown. */
	if (target->own && target->kind == VIEW_IMAGE && own.st_mtim.tv_sec > target->st.st_mtim.tv_sec)
		target->st.st_mtim = own.st_mtim;
	return 0;
}

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
	struct view_look look = { .view = view, .op = op, .dir_fd = -1 };
	int error, fd;

	*target = (struct view_target){ .kind = VIEW_LINK, .st = meaning->st };
	if (meaning->text) {
		target->link_bytes = strlen(meaning->text);
		return 0;
	}
	error = target_image(&look, meaning->file, NULL, &meaning->st, target);
	if (error != 0)
		return error;
	/* By name, as long as it is not open. */
	fd = atomic_load(&target->image->fd);
	if (now && (fd < 0 || fstat(fd, &target->st) != 0)) {
		view_image_put(target->image);
		return -ENOENT;
	}
	target->number = meaning->number;
	return target->number == CACHE_PARTITION_BOOT ? 0 : check_partition(op, target);
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
		&(struct view_look){ .view = view, .op = op, .dir_fd = dir_fd, .text = text, .found = &found }, name, target);
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
	struct view_look look = { .view = view, .op = op, .dir_fd = dir_fd, .met_only = true, .text = text };
	struct view_target target;
	int error = dir_fd < 0 ? without_source(op, dir_fd) : target_of_name(&look, name, true, &target);
	struct stat own;

	if (error != 0)
		return error;
	/* One with files of its own is no link any more, if it leads to an image. */
	if (target.kind == VIEW_LINK) {
		int there = own_is_there(op, dir_fd, name, &own);

		error = there > 0 ? follow_to_image(&look, name, &target) : there == -EAGAIN ? there : 0;
	}
	if (error != 0 || target.kind == VIEW_LINK)
		return error;
	view_image_put(target.image);
	return -ESTALE;
}

/* As target_of_name, and the full name of a file too. */
static int follow_name(const struct view_look *look, const char *name, struct view_target *target)
{
	char base[NAME_MAX + 1];
	unsigned number;
	int error = target_of_name(look, name, true, target);

	if (error == -ENOENT && split_partition(name, base, sizeof(base), &number))
		error = target_of_name(look, base, false, target);
	if (error == -ENOENT && view_has_suffix(name))
		error = target_of_file(look, name, target);
	return error;
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
	char text[PATH_MAX], link[PATH_MAX];
	struct view_look look = { .view = view, .op = op, .dir_fd = dir_fd, .text = text };

	if (view_is_single(view))
		return single_is_named(view, name) ? view_single(view, op, target) : -ENOENT;
	if (dir_fd < 0)
		return dir_fd == -EAGAIN ? dir_fd : -EIO;
	for (int i = 0; i < VIEW_LINKS_MAX && view_can_be_shown(name) && !strchr(name, '/'); i++) {
		int error = follow_name(&look, name, target);

		if (error != 0 || target->kind == VIEW_IMAGE)
			return error;
		strcpy(link, text);
		name = link;
	}
	return -ENOENT;
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
