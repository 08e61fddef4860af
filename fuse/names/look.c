/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * look: names in SOURCE, names in the mount, and which is which.
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
#include "fuse/names/look.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/names/image_open.h"
#include "fuse/names/links.h"
#include "fuse/names/own.h"

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
	int error = view_images_get(look->images, file, NULL, st, image);

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
	*image = view_images_known(look->images, st);
	if (is_named(file, st) || (*image && atomic_load(&(*image)->shown)))
		return 0;
	view_image_put(*image);
	return -ENOENT;
}

int view_look_at_file(const struct view_look *look, const char *file, const char *uri, const struct stat *st,
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
		error = view_images_get(look->images, file, uri, st, &target->image);
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
		error = view_look_at_file(look, file, text, &followed, target);
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
		return view_look_at_file(look, file, NULL, &st, target);
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

int view_check_partition(struct cache_op *op, struct view_target *target)
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
	return view_check_partition(look->op, target);
}

/* The image that the link leads to, if it does so within SOURCE; else *target stays the link. */
static int follow_to_image(const struct view_look *look, const char *link, struct view_target *target)
{
	char text[PATH_MAX], name[NAME_MAX + 1];
	struct view_look there = { .images = look->images, .op = look->op, .dir_fd = look->dir_fd, .text = text };
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

int view_look_link(const struct view_look *look, const char *name)
{
	struct view_target target;
	int error = target_of_name(look, name, true, &target);
	struct stat own;

	if (error != 0)
		return error;
	/* One with files of its own is no link any more, if it leads to an image. */
	if (target.kind == VIEW_LINK) {
		int there = own_is_there(look->op, look->dir_fd, name, &own);

		error = there > 0 ? follow_to_image(look, name, &target) : there == -EAGAIN ? there : 0;
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

int view_look_for_image(const struct view_look *look, const char *name, struct view_target *target)
{
	char link[PATH_MAX];

	for (int i = 0; i < VIEW_LINKS_MAX && view_can_be_shown(name) && !strchr(name, '/'); i++) {
		int error = follow_name(look, name, target);

		if (error != 0 || target->kind == VIEW_IMAGE)
			return error;
		strcpy(link, look->text);
		name = link;
	}
	return -ENOENT;
}
