/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boards: which entries of SOURCE are images, and which lead to them.
 *
 * The same rules as view.c's, for all names at once and out of what was read:
 * nothing here touches a file. Sorted arrays instead of lookups, since there may
 * be ten thousand of each.
 */
#include "fuse/names/boards.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/names/links.h"

#define LINKS_MAX 8

/* An image to be, with what decides between two of one name. */
struct candidate {
	struct view_found found;
	unsigned rank; /* a bare link 0, .img 1, .raw 2, a bare file 3 */
	const struct view_entry *entry;
};

struct link {
	char *name; /* in the mount */
	const char *text;
};

struct boards {
	struct view_images *images;
	struct candidate *candidates;
	size_t count;
	struct candidate **by_place; /* those that are known by device and inode number, sorted by it */
	size_t place_count;
	struct link *links; /* those within SOURCE, by name */
	size_t link_count;
	struct view_image **all; /* everything that is open, in no order */
	size_t all_count;
};

/* ---- order ---------------------------------------------------------------- */

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;
	int order = strcmp(one->found.name, other->found.name);

	return order != 0 ? order : (one->rank > other->rank) - (one->rank < other->rank);
}

static int compare_places(const void *a, const void *b)
{
	const struct stat *one = &(*(struct candidate *const *)a)->entry->st,
			  *other = &(*(struct candidate *const *)b)->entry->st;
	dev_t one_device = S_ISBLK(one->st_mode) ? one->st_rdev : one->st_dev;
	dev_t other_device = S_ISBLK(other->st_mode) ? other->st_rdev : other->st_dev;
	ino_t one_inode = S_ISBLK(one->st_mode) ? 0 : one->st_ino;
	ino_t other_inode = S_ISBLK(other->st_mode) ? 0 : other->st_ino;

	if (one_device != other_device)
		return one_device < other_device ? -1 : 1;
	return (one_inode > other_inode) - (one_inode < other_inode);
}

static int compare_links(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->name, ((const struct link *)b)->name);
}

static int compare_to_name(const void *name, const void *candidate)
{
	return strcmp(name, ((const struct candidate *)candidate)->found.name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- images --------------------------------------------------------------- */

static bool leads_away(const struct view_entry *entry)
{
	return entry->text && strchr(entry->text, '/');
}

/* The image of an entry that nobody could follow in time: by the name it was last found under. */
static struct view_image *known_by_file(const struct boards *boards, const char *file)
{
	for (size_t i = 0; i < boards->all_count; i++) {
		char *known = view_image_file(boards->all[i]);
		bool same = known && strcmp(known, file) == 0;

		free(known);
		if (same)
			return view_image_ref(boards->all[i]);
	}
	return NULL;
}

/* Is it an image? Then it becomes a candidate. */
static int add_candidate(struct boards *boards, const struct view_entry *entry)
{
	struct candidate *candidate = &boards->candidates[boards->count];
	size_t shown = view_shown_length(entry->file);
	bool named = view_has_suffix(entry->file), is_file;
	struct view_image *image;

	if (entry->text && (!leads_away(entry) || (entry->resolved && entry->st.st_mode == 0)))
		return 0;
	is_file = S_ISREG(entry->st.st_mode) || S_ISBLK(entry->st.st_mode);
	if (entry->text && !entry->resolved)
		image = known_by_file(boards, entry->file);
	else if (is_file)
		image = view_images_known(boards->images, &entry->st);
	else
		return 0;
	if (!named && !(image && atomic_load(&image->shown))) {
		view_image_put(image);
		return 0;
	}
	*candidate = (struct candidate){ .entry = entry, .rank = entry->text ? 0 : 3 };
	if (named)
		candidate->rank = strcmp(entry->file + shown, ".img") == 0 ? 1 : 2;
	candidate->found.image = image;
	candidate->found.name = strndup(entry->file, shown);
	boards->count++;
	return candidate->found.name ? 0 : -ENOMEM;
}

/* Sorted, each name once: the first by rank has it. */
static void fold_candidates(struct boards *boards)
{
	size_t kept = 0;

	qsort(boards->candidates, boards->count, sizeof(*boards->candidates), compare_candidates);
	for (size_t i = 0; i < boards->count; i++) {
		if (kept > 0 && strcmp(boards->candidates[kept - 1].found.name, boards->candidates[i].found.name) == 0)
			view_found_free(&boards->candidates[i].found);
		else
			boards->candidates[kept++] = boards->candidates[i];
	}
	boards->count = kept;
}

/* Files of SOURCE first: a link to one of them is a name of it, and no image of its own. */
static int find_candidates(struct boards *boards, const struct view_entry *entries, size_t count)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++)
		if (!entries[i].text)
			error = add_candidate(boards, &entries[i]);
	fold_candidates(boards);
	boards->place_count = 0;
	for (size_t i = 0; i < boards->count; i++)
		boards->by_place[boards->place_count++] = &boards->candidates[i];
	qsort(boards->by_place, boards->place_count, sizeof(*boards->by_place), compare_places);
	return error;
}

static struct candidate *at_place(const struct boards *boards, const struct view_entry *entry)
{
	struct candidate wanted = { .entry = entry }, *pointer = &wanted;
	struct candidate **found = bsearch(&pointer, boards->by_place, boards->place_count, sizeof(*boards->by_place),
					   compare_places);

	return found ? *found : NULL;
}

/* ---- links ---------------------------------------------------------------- */

/* A board that is called as its image is tells nothing. */
static int add_board(struct view_found *found, const char *name)
{
	char **grown;

	if (strcmp(name, found->name) == 0)
		return 0;
	grown = reallocarray(found->boards, found->board_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	found->boards = grown;
	grown[found->board_count] = strdup(name);
	return grown[found->board_count] ? (found->board_count++, 0) : -ENOMEM;
}

/* A link's text as a name in the mount: without partition and suffix. */
static void name_of_text(const char *text, char *name)
{
	size_t length = (size_t)(view_partition_suffix(text) - text);

	if (length > NAME_MAX)
		length = NAME_MAX;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)length, text);
	name[view_shown_length(name)] = '\0';
}

/* The image that links within SOURCE lead to, at most LINKS_MAX of them. */
static struct candidate *follow(const struct boards *boards, const char *text)
{
	char name[NAME_MAX + 1];

	for (int i = 0; i < LINKS_MAX; i++) {
		struct link wanted = { .name = name }, *link;
		struct candidate *image;

		name_of_text(text, name);
		image = bsearch(name, boards->candidates, boards->count, sizeof(*boards->candidates), compare_to_name);
		if (image)
			return image;
		link = bsearch(&wanted, boards->links, boards->link_count, sizeof(*boards->links), compare_links);
		if (!link)
			return NULL;
		text = link->text;
	}
	return NULL;
}

/* Links that lead away: to a file of SOURCE all the same, or an image elsewhere. */
static int sort_away(struct boards *boards, const struct view_entry *entries, size_t count)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		const struct view_entry *entry = &entries[i];
		struct candidate *image = leads_away(entry) && entry->resolved ? at_place(boards, entry) : NULL;
		char name[NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)view_shown_length(entry->file), entry->file);
		if (image)
			error = add_board(&image->found, name);
		else if (leads_away(entry))
			error = add_candidate(boards, entry);
	}
	/* From here on by_place points to what has moved. */
	boards->place_count = 0;
	fold_candidates(boards);
	return error;
}

static int find_links(struct boards *boards, const struct view_entry *entries, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		struct link *link = &boards->links[boards->link_count];

		if (!entries[i].text || leads_away(&entries[i]))
			continue;
		link->text = entries[i].text;
		link->name = strndup(entries[i].file, view_shown_length(entries[i].file));
		if (!link->name)
			return -ENOMEM;
		boards->link_count++;
	}
	qsort(boards->links, boards->link_count, sizeof(*boards->links), compare_links);
	for (size_t i = 0; error == 0 && i < boards->link_count; i++) {
		struct candidate *image = follow(boards, boards->links[i].text);

		if (image)
			error = add_board(&image->found, boards->links[i].name);
	}
	return error;
}

/* ---- what no name leads to ------------------------------------------------ */

static bool is_found(const struct boards *boards, const struct view_image *image)
{
	for (size_t i = 0; i < boards->count; i++)
		if (boards->candidates[i].found.image == image)
			return true;
	return false;
}

/* Images that are read from although they were removed or replaced; all, if SOURCE could not be read. */
static int find_gone(struct boards *boards, bool partial)
{
	for (size_t i = 0; i < boards->all_count; i++) {
		struct view_image *image = boards->all[i];
		struct candidate *candidate = &boards->candidates[boards->count];
		char *file;

		if (!atomic_load(&image->cache) || (!partial && view_image_users(image) <= 1) || is_found(boards, image))
			continue;
		file = view_image_file(image);
		if (!file)
			return -ENOMEM;
		file[view_shown_length(file)] = '\0';
		*candidate = (struct candidate){ .found = { .name = file, .gone = !partial } };
		candidate->found.image = view_image_ref(image);
		boards->count++;
	}
	return 0;
}

/* ---- interface ------------------------------------------------------------ */

void view_found_free(struct view_found *found)
{
	for (size_t i = 0; i < found->board_count; i++)
		free(found->boards[i]);
	free(found->boards);
	view_image_put(found->image);
	free(found->name);
}

static int hand_over(struct boards *boards, struct view_found **found, size_t *count)
{
	*found = calloc(boards->count ? boards->count : 1, sizeof(**found));
	if (!*found)
		return -ENOMEM;
	qsort(boards->candidates, boards->count, sizeof(*boards->candidates), compare_candidates);
	for (size_t i = 0; i < boards->count; i++) {
		struct view_found *one = &(*found)[i];

		*one = boards->candidates[i].found;
		if (one->board_count > 0)
			qsort(one->boards, one->board_count, sizeof(char *), compare_names);
	}
	*count = boards->count;
	boards->count = 0;
	return 0;
}

static void boards_free(struct boards *boards)
{
	/* Left only after a failure. */
	for (size_t i = 0; i < boards->count; i++)
		view_found_free(&boards->candidates[i].found);
	for (size_t i = 0; i < boards->link_count; i++)
		free(boards->links[i].name);
	for (size_t i = 0; i < boards->all_count; i++)
		view_image_put(boards->all[i]);
	free(boards->candidates);
	free(boards->by_place);
	free(boards->links);
	free(boards->all);
}

int view_boards(struct view_images *images, const struct view_entry *entries, size_t count, bool partial,
		struct view_found **found, size_t *found_count)
{
	struct boards boards = { .images = images };
	int error = view_images_all(images, &boards.all, &boards.all_count);

	boards.candidates = calloc(count + boards.all_count + 1, sizeof(*boards.candidates));
	boards.by_place = calloc(count + 1, sizeof(struct candidate *));
	boards.links = calloc(count + 1, sizeof(*boards.links));
	if (error == 0 && (!boards.candidates || !boards.by_place || !boards.links))
		error = -ENOMEM;
	if (error == 0)
		error = find_candidates(&boards, entries, count);
	if (error == 0)
		error = sort_away(&boards, entries, count);
	if (error == 0)
		error = find_links(&boards, entries, count);
	if (error == 0)
		error = find_gone(&boards, partial);
	if (error == 0)
		error = hand_over(&boards, found, found_count);
	boards_free(&boards);
	return error;
}
