/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey: a walk over SOURCE, of which the links are made boards of the images that
 * they lead to. Sorted arrays, since there may be ten thousand of each.
 */
#include "fuse/names/survey.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuse/names/links.h"

/* Names are the walk's. */
struct link {
	const char *name, *text;
};

struct gathering {
	struct view_survey *survey; /* has room for all names and images */
	struct link *links;	    /* likewise; sorted by name */
	size_t link_count;
	struct view_image **all; /* every image that is remembered, a user of each; in no order */
	size_t all_count;
};

/* ---- images ---------------------------------------------------------------- */

/* Of an entry that nobody could follow in time: by the name it was last found under. */
static struct view_image *known_by_file(const struct gathering *gathering, const char *file)
{
	for (size_t i = 0; i < gathering->all_count; i++) {
		CLEANUP_FREE char *known = view_image_file(gathering->all[i]);

		if (known && strcmp(known, file) == 0)
			return view_image_ref(gathering->all[i]);
	}
	return NULL;
}

static int add_found(struct gathering *gathering, char *name, struct view_image *image, bool gone)
{
	struct view_survey *survey = gathering->survey;

	if (!name) {
		view_image_put(image);
		return -ENOMEM;
	}
	survey->found[survey->count++] = (struct view_found){ .name = name, .image = image, .gone = gone };
	return 0;
}

static int take_name(void *context, const struct walk_name *found)
{
	struct gathering *gathering = context;
	bool late = found->result == -EINPROGRESS || found->result == -EIO || found->result == -ESTALE;
	struct view_image *image;

	if (found->result == -EINPROGRESS)
		gathering->survey->partial = true;
	if (found->result != 0 && !late)
		return 0;
	if (!late && found->is_link) {
		gathering->links[gathering->link_count++] = (struct link){ found->name, found->text };
		return 0;
	}
	if (late)
		image = known_by_file(gathering, found->file);
	else
		image = found->image ? view_image_ref(found->image) : NULL;
	if (!image && !found->named)
		return 0;
	return add_found(gathering, strdup(found->name), image, false);
}

static int compare_found(const void *a, const void *b)
{
	return strcmp(((const struct view_found *)a)->name, ((const struct view_found *)b)->name);
}

static void free_found(struct view_found *found)
{
	for (size_t i = 0; i < found->board_count; i++)
		free(found->boards[i]);
	free(found->boards);
	view_image_put(found->image);
	free(found->name);
}

/* Sorted, each name once: jammy.img and jammy.raw are one jammy. */
static void fold(struct view_survey *survey)
{
	size_t kept = 0;

	qsort(survey->found, survey->count, sizeof(*survey->found), compare_found);
	for (size_t i = 0; i < survey->count; i++) {
		if (kept > 0 && strcmp(survey->found[kept - 1].name, survey->found[i].name) == 0)
			free_found(&survey->found[i]);
		else
			survey->found[kept++] = survey->found[i];
	}
	survey->count = kept;
}

/* ---- boards ---------------------------------------------------------------- */

static int compare_links(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->name, ((const struct link *)b)->name);
}

/* The image that links within SOURCE lead to, at most VIEW_LINKS_MAX of them. */
static struct view_found *follow(const struct gathering *gathering, const char *text)
{
	char name[NAME_MAX + 1];

	for (int i = 0; i < VIEW_LINKS_MAX && view_partition_suffix(text) - text <= NAME_MAX; i++) {
		struct view_found *image;
		struct link *link;

		snprintf(name, sizeof(name), "%.*s", (int)(view_partition_suffix(text) - text), text);
		image = bsearch(&(struct view_found){ .name = name }, gathering->survey->found,
				gathering->survey->count, sizeof(*image), compare_found);
		if (image)
			return image;
		link = bsearch(&(struct link){ .name = name }, gathering->links, gathering->link_count,
			       sizeof(*link), compare_links);
		if (!link)
			return NULL;
		text = link->text;
	}
	return NULL;
}

static int add_board(struct view_found *found, const char *name)
{
	char **grown = reallocarray(found->boards, found->board_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	found->boards = grown;
	grown[found->board_count] = strdup(name);
	return grown[found->board_count] ? (found->board_count++, 0) : -ENOMEM;
}

static int find_boards(struct gathering *gathering)
{
	int error = 0;

	qsort(gathering->links, gathering->link_count, sizeof(*gathering->links), compare_links);
	for (size_t i = 0; error == 0 && i < gathering->link_count; i++) {
		const struct link *link = &gathering->links[i];
		struct view_found *image = follow(gathering, link->text);

		/* A board that is called as its image is tells nothing. */
		if (image && strcmp(link->name, image->name) != 0 &&
		    (i == 0 || compare_links(link - 1, link) != 0))
			error = add_board(image, link->name);
	}
	return error;
}

/* ---- what no name leads to ------------------------------------------------- */

static bool is_found(const struct view_survey *survey, const struct view_image *image)
{
	for (size_t i = 0; i < survey->count; i++)
		if (survey->found[i].image == image)
			return true;
	return false;
}

/* Images that are read from although they were removed or replaced; all, if SOURCE could not be read. */
static int find_gone(struct gathering *gathering)
{
	struct view_survey *survey = gathering->survey;
	int error = 0;

	for (size_t i = 0; error == 0 && i < gathering->all_count; i++) {
		struct view_image *image = gathering->all[i];
		char *file;

		if (!atomic_load(&image->cache) || (!survey->partial && view_image_users(image) <= 1) ||
		    is_found(survey, image))
			continue;
		file = view_image_file(image);
		if (file)
			file[view_shown_length(file)] = '\0';
		error = add_found(gathering, file, view_image_ref(image), !survey->partial);
	}
	qsort(survey->found, survey->count, sizeof(*survey->found), compare_found);
	return error;
}

/* ---- interface ------------------------------------------------------------- */

/* One image, whose name is all there is to know. */
static int survey_single(struct view *view, struct gathering *gathering)
{
	const char *name = view_source_file(view_source(view));
	struct view_target target;

	if (view_single(view, &target) != 0)
		target.image = NULL;
	return add_found(gathering, strndup(name, view_shown_length(name)), target.image, false);
}

static int survey_source(struct walk *walk, struct gathering *gathering)
{
	int error = walk_each(walk, take_name, gathering);

	if (error != 0)
		gathering->survey->partial = true;
	fold(gathering->survey);
	error = find_boards(gathering);
	return error == 0 ? find_gone(gathering) : error;
}

int view_survey(struct view *view, struct queue *queue, struct walk_lanes *lanes, struct view_survey *survey)
{
	struct gathering gathering = { .survey = survey };
	struct walk *walk = view_is_single(view) ? NULL : walk_source(view, queue, lanes);
	size_t count = walk ? walk_count(walk) : 1;
	int error = view_images_all(view_images(view), &gathering.all, &gathering.all_count);

	*survey = (struct view_survey){ .found = calloc(count + gathering.all_count + 1,
							sizeof(*survey->found)) };
	gathering.links = calloc(count + 1, sizeof(*gathering.links));
	if (!survey->found || !gathering.links || (!walk && !view_is_single(view)))
		error = -ENOMEM;
	if (error == 0)
		error = walk ? survey_source(walk, &gathering) : survey_single(view, &gathering);
	for (size_t i = 0; i < gathering.all_count; i++)
		view_image_put(gathering.all[i]);
	free(gathering.all);
	free(gathering.links);
	if (walk)
		walk_put(walk);
	if (error != 0)
		view_survey_free(survey);
	return error;
}

void view_survey_free(struct view_survey *survey)
{
	for (size_t i = 0; i < survey->count; i++)
		free_found(&survey->found[i]);
	free(survey->found);
	*survey = (struct view_survey){ 0 };
}
