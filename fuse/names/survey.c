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

#include "base/archive.h"
#include "base/cleanup.h"
#include "fuse/names/links.h"

/* Names are the walk's. */
struct link {
	const char *name, *text;
	bool gone;
	size_t own_count;
	enum archive_kind archive;
};

struct gathering {
	struct view_survey *survey; /* has room for all names and images */
	struct link *links;	    /* likewise; sorted by name */
	size_t link_count;
	const struct walk_name **others; /* likewise: what is in SOURCE and not shown, or not known in time */
	size_t other_count;
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
	int error;

	if (found->result == -EINPROGRESS)
		gathering->survey->partial = true;
	if (found->result == -ENOENT && found->text) {
		gathering->links[gathering->link_count++] =
			(struct link){ .name = found->name, .text = found->text };
		return 0;
	}
	if (found->result != 0)
		gathering->others[gathering->other_count++] = found;
	if (found->result != 0 && !late)
		return 0;
	if (!late && found->is_link) {
		gathering->links[gathering->link_count++] =
			(struct link){ found->name, found->text, found->gone, found->own_count,
				       found->archive };
		return 0;
	}
	if (late)
		image = known_by_file(gathering, found->file);
	else
		image = found->image ? view_image_ref(found->image) : NULL;
	if (!image && !found->named)
		return 0;
	error = add_found(gathering, strdup(found->name), image, false);
	if (error == 0)
		gathering->survey->found[gathering->survey->count - 1].own_count = found->own_count;
	return error;
}

static int compare_found(const void *a, const void *b)
{
	return strcmp(((const struct view_found *)a)->name, ((const struct view_found *)b)->name);
}

static void free_found(struct view_found *found)
{
	for (size_t i = 0; i < found->board_count; i++) {
		free(found->boards[i].name);
		free(found->boards[i].text);
	}
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

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_others(const void *a, const void *b)
{
	return strcmp((*(const struct walk_name *const *)a)->name, (*(const struct walk_name *const *)b)->name);
}

static struct link *find_link(const struct gathering *gathering, const char *name)
{
	return bsearch(&(struct link){ .name = name }, gathering->links, gathering->link_count, sizeof(struct link),
		       compare_links);
}

/* NULL: there is none of that name. */
static const struct walk_name *find_other(const struct gathering *gathering, const char *name)
{
	const struct walk_name key = { .name = (char *)name }, *wanted = &key, **found = NULL;

	if (gathering->other_count > 0)
		found = bsearch(&wanted, gathering->others, gathering->other_count, sizeof(wanted), compare_others);
	return found ? *found : NULL;
}

struct view_found *view_survey_image(const struct view_survey *survey, const char *name)
{
	return bsearch(&(struct view_found){ .name = (char *)name }, survey->found, survey->count, sizeof(*survey->found),
		       compare_found);
}

bool view_survey_has_link(const struct view_survey *survey, const char *name)
{
	return survey->link_count > 0 && bsearch(&name, survey->links, survey->link_count, sizeof(char *), compare_names);
}

/* Where a link ends, after links of SOURCE in between. */
struct end {
	struct view_found *image; /* or NULL, and */
	bool bad;
	enum view_bad why;
	enum archive_kind archive;
	const char *text; /* of the last link */
};

/* Neither image nor link; `name` is of SOURCE. A file that nobody asked for may be an image. */
static void end_at_other(const struct gathering *gathering, const char *name, struct end *end)
{
	const struct walk_name *other = find_other(gathering, name);
	struct view_image *image;

	end->why = other ? VIEW_BAD_DIRECTORY : VIEW_BAD_GONE;
	end->bad = !other || other->is_directory;
	if (end->bad)
		return;
	end->why = VIEW_BAD_ARCHIVE;
	end->archive = other->archive;
	end->bad = end->archive != ARCHIVE_NONE || archive_is_named(name);
	if (end->bad || !(image = known_by_file(gathering, name)))
		return;
	end->why = VIEW_BAD_NO_IMAGE;
	end->bad = atomic_load(&image->none);
	view_image_put(image);
}

/*
 * What is mirrored as it is. `jammy/bootcode.bin` is read in the mount, where jammy is a directory, and the directories
 * of SOURCE are not there.
 */
static void end_outside(const struct gathering *gathering, const struct link *link, struct end *end)
{
	char first[NAME_MAX + 1];
	const char *text = link->text;
	const struct walk_name *other;
	size_t length;

	end->why = link->gone ? VIEW_BAD_GONE : VIEW_BAD_ARCHIVE;
	end->archive = link->archive;
	end->bad = link->gone || end->archive != ARCHIVE_NONE || archive_is_named(text);
	while (text[0] == '.' && text[1] == '/')
		text += 1 + strspn(text + 1, "/");
	length = strcspn(text, "/");
	if (length == 0 || length > NAME_MAX)
		return;
	snprintf(first, sizeof(first), "%.*s", (int)length, text);
	other = find_other(gathering, first);
	if (other && other->is_directory) {
		end->why = VIEW_BAD_DIRECTORY;
		end->bad = true;
		return;
	}
	if (first[0] == '.' || other || find_link(gathering, first))
		end->bad = false;
	first[view_partition_suffix(first) - first] = '\0';
	if (view_survey_image(gathering->survey, first))
		end->bad = false;
}

/* At most VIEW_LINKS_MAX links. Of a circle the text is that of the first. */
static struct end follow(const struct gathering *gathering, const struct link *link)
{
	struct end end = { .why = VIEW_BAD_ROUND, .bad = true };
	const char *first = link->text;
	char name[NAME_MAX + 1];

	for (int i = 0; i < VIEW_LINKS_MAX; i++) {
		size_t length = (size_t)(view_partition_suffix(link->text) - link->text);
		const struct link *next;

		end.text = link->text;
		if (strchr(link->text, '/') || !view_can_be_shown(link->text) || length > NAME_MAX) {
			end_outside(gathering, link, &end);
			return end;
		}
		snprintf(name, sizeof(name), "%.*s", (int)length, link->text);
		end.image = view_survey_image(gathering->survey, name);
		next = end.image ? NULL : find_link(gathering, name);
		if (end.image) {
			end.bad = false;
			return end;
		}
		/* `jammy -> jammy:3` is named as the image that it leads to. */
		if (next == link && link->text[length] != '\0') {
			end.bad = false;
			return end;
		}
		if (!next) {
			end_at_other(gathering, name, &end);
			return end;
		}
		link = next;
	}
	end.text = first;
	return end;
}

/* As the mount reads it (look.c): `jammy:03` is none. */
static int partition_of(const char *text)
{
	const char *colon = view_partition_suffix(text);

	if (*colon == '\0')
		return -1;
	return strlen(colon) > 6 || (colon[1] == '0' && colon[2]) ? VIEW_PARTITION_NONE : atoi(colon + 1);
}

static int add_board(struct view_found *found, const struct link *link, const char *text)
{
	struct view_board *grown = reallocarray(found->boards, found->board_count + 1, sizeof(*grown));
	struct view_board *board;

	if (!grown)
		return -ENOMEM;
	found->boards = grown;
	board = &grown[found->board_count++];
	*board = (struct view_board){ .name = strdup(link->name),
				      .text = strdup(text),
				      .own_count = link->own_count,
				      .partition = partition_of(text) };
	return board->name && board->text ? 0 : -ENOMEM;
}

static int add_bad(struct view_survey *survey, const char *name, const struct end *end)
{
	struct view_bad_link *bad = &survey->bad[survey->bad_count++];

	*bad = (struct view_bad_link){
		.name = strdup(name), .text = strdup(end->text), .archive = end->archive, .why = end->why
	};
	return bad->name && bad->text ? 0 : -ENOMEM;
}

static int take_link(struct gathering *gathering, const struct link *link)
{
	struct view_survey *survey = gathering->survey;
	struct end end = follow(gathering, link);

	survey->links[survey->link_count++] = strdup(link->name);
	if (!survey->links[survey->link_count - 1])
		return -ENOMEM;
	if (end.bad)
		return add_bad(survey, link->name, &end);
	/* A board that is called as its image is tells nothing. */
	return end.image && strcmp(link->name, end.image->name) != 0 ? add_board(end.image, link, end.text) : 0;
}

static int find_boards(struct gathering *gathering)
{
	size_t count = gathering->link_count;
	int error = 0;

	qsort(gathering->links, count, sizeof(*gathering->links), compare_links);
	if (gathering->other_count > 0)
		qsort(gathering->others, gathering->other_count, sizeof(*gathering->others), compare_others);
	gathering->survey->bad = calloc(count + 1, sizeof(*gathering->survey->bad));
	gathering->survey->links = calloc(count + 1, sizeof(char *));
	if (!gathering->survey->bad || !gathering->survey->links)
		return -ENOMEM;
	for (size_t i = 0; error == 0 && i < count; i++)
		if (i == 0 || compare_links(&gathering->links[i - 1], &gathering->links[i]) != 0)
			error = take_link(gathering, &gathering->links[i]);
	return error;
}

/* ---- archives ---------------------------------------------------------------- */

static int find_archives(struct gathering *gathering)
{
	struct view_survey *survey = gathering->survey;

	survey->archives = calloc(gathering->other_count + 1, sizeof(*survey->archives));
	if (!survey->archives)
		return -ENOMEM;
	for (size_t i = 0; i < gathering->other_count; i++) {
		const struct walk_name *other = gathering->others[i];
		struct view_archive *archive = &survey->archives[survey->archive_count];

		if (other->archive == ARCHIVE_NONE)
			continue;
		*archive = (struct view_archive){ strdup(other->file), other->archive };
		if (!archive->file)
			return -ENOMEM;
		survey->archive_count++;
	}
	return 0;
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

	if (view_single(view, NULL, &target) != 0)
		target.image = NULL;
	return add_found(gathering, strndup(name, view_shown_length(name)), target.image, false);
}

static int survey_source(struct walk *walk, struct gathering *gathering)
{
	int error = walk_each(walk, take_name, gathering);

	if (error != 0)
		gathering->survey->partial = true;
	fold(gathering->survey);
	error = find_boards(gathering); /* which sorts the others as well */
	if (error == 0)
		error = find_archives(gathering);
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
	gathering.others = calloc(count + 1, sizeof(*gathering.others));
	if (!survey->found || !gathering.links || !gathering.others || (!walk && !view_is_single(view)))
		error = -ENOMEM;
	if (error == 0)
		error = walk ? survey_source(walk, &gathering) : survey_single(view, &gathering);
	for (size_t i = 0; i < gathering.all_count; i++)
		view_image_put(gathering.all[i]);
	free(gathering.all);
	free(gathering.links);
	free(gathering.others);
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
	for (size_t i = 0; i < survey->bad_count; i++) {
		free(survey->bad[i].name);
		free(survey->bad[i].text);
	}
	free(survey->bad);
	for (size_t i = 0; i < survey->archive_count; i++)
		free(survey->archives[i].file);
	free(survey->archives);
	for (size_t i = 0; i < survey->link_count; i++)
		free(survey->links[i]);
	free(survey->links);
	*survey = (struct view_survey){ 0 };
}
