/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prep_find: which image is meant, what it is, and what is to be made of it. */
#include "tools/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/prep/holder.h"

static const char *const image_suffixes[] = { ".img", ".raw" };
static const char *const archive_suffixes[] = { ".xz", ".zst", ".zstd", ".gz", ".bz2", ".zip" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- names ---------------------------------------------------------------- */

/* Cut one of them off, unless nothing would be left. */
static bool cut_suffix(char *path, const char *const suffixes[], size_t count)
{
	size_t length = strlen(path), name = strlen(prep_last_part(path));

	for (size_t i = 0; i < count; i++) {
		size_t suffix = strlen(suffixes[i]);

		if (name > suffix && strcasecmp(path + length - suffix, suffixes[i]) == 0) {
			path[length - suffix] = '\0';
			return true;
		}
	}
	return false;
}

static bool has_image_suffix(const char *path)
{
	CLEANUP_FREE char *copy = strdup(prep_last_part(path));

	return copy && cut_suffix(copy, image_suffixes, COUNT(image_suffixes));
}

char *prep_image_name(const struct prep *prep)
{
	char *name = strdup(prep_last_part(prep->path));

	if (name)
		cut_suffix(name, image_suffixes, COUNT(image_suffixes));
	return name;
}

char *prep_template_name(const struct prep *prep)
{
	CLEANUP_FREE char *real = realpath(prep->template, NULL);
	char *name = strdup(prep_last_part(real ? real : prep->template));

	if (name)
		cut_suffix(name, image_suffixes, COUNT(image_suffixes));
	return name;
}

/* `jammy` is jammy.img of the directory of images, if there is no file `jammy` here. For the caller to free.
 */
static char *find_template(const struct prep_options *options)
{
	const char *given = options->template, *directory = options->images ? options->images : PREP_IMAGES;
	char *path = NULL;

	if (strcmp(given, "-") == 0 || strchr(given, '/') || access(given, F_OK) == 0)
		return strdup(given);
	for (size_t i = 0; i <= COUNT(image_suffixes); i++) {
		if (asprintf(&path, "%s/%s%s", directory, given, i == 0 ? "" : image_suffixes[i - 1]) < 0)
			return NULL;
		if (access(path, F_OK) == 0)
			return path;
		free(path);
	}
	return strdup(given);
}

/* jammy.img.xz is unpacked to jammy.img, jammy.zip too. */
static char *beside_archive(const char *template)
{
	char *path = malloc(strlen(template) + sizeof(".img"));

	if (!path)
		return NULL;
	strcpy(path, template);
	cut_suffix(path, archive_suffixes, COUNT(archive_suffixes));
	if (!has_image_suffix(path))
		strcat(path, ".img");
	return path;
}

/* The copy of a name is beside it, and called as it is. */
static char *beside_template(const struct prep *prep, const char *name)
{
	const char *slash = strrchr(prep->template, '/'),
		   *suffix = strrchr(prep_last_part(prep->template), '.');
	char *path = NULL;

	if (strchr(name, '/') || strchr(prep->options->template, '/') ||
	    strcmp(prep->template, prep->options->template) == 0)
		return strdup(name);
	if (has_image_suffix(name) || !has_image_suffix(prep->template))
		suffix = "";
	if (asprintf(&path, "%.*s%s%s", slash ? (int)(slash + 1 - prep->template) : 0, prep->template, name,
		     suffix) < 0)
		return NULL;
	return path;
}

/* ---- which image ---------------------------------------------------------- */

static int open_template(struct prep *prep)
{
	prep->template = find_template(prep->options);
	if (!prep->template)
		return prep_fail("", strerror(ENOMEM));
	prep->template_fd = strcmp(prep->template, "-") == 0
				    ? dup(STDIN_FILENO)
				    : open(prep->template, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (prep->template_fd < 0 || fstat(prep->template_fd, &prep->template_st) != 0)
		return prep_fail(prep->template, strerror(errno));
	if (!S_ISREG(prep->template_st.st_mode) && !S_ISBLK(prep->template_st.st_mode) &&
	    strcmp(prep->template, "-") != 0)
		return prep_fail(prep->template, "is neither a regular file nor a block device");
	prep->kind = archive_of_fd(prep->template_fd);
	return PREP_OK;
}

bool prep_is_pipe(const struct prep *prep)
{
	return strcmp(prep->template, "-") == 0;
}

bool prep_is_archive(const struct prep *prep)
{
	return prep_is_pipe(prep) || prep->kind != ARCHIVE_NONE;
}

static int check_kind(const struct prep *prep)
{
	CLEANUP_FREE char *why = NULL;

	if (prep->options->clone && prep_is_archive(prep))
		return prep_fail(prep->template, "is no image; --clone is for images: leave it out");
	if (!archive_is_disk(prep->kind))
		return PREP_OK;
	if (asprintf(&why, "is %s: qemu-img convert -O raw %s %s", archive_text(prep->kind), prep->template,
		     prep->options->instance ? prep->options->instance : "NAME.img") < 0)
		why = NULL;
	return prep_fail(prep->template, why ? why : strerror(ENOMEM));
}

static int find_path(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	struct problem problem;

	if (!options->instance && prep_is_pipe(prep))
		return prep_fail("", "what comes from a pipe needs an INSTANCE");
	if (options->instance)
		prep->shown =
			options->clone ? beside_template(prep, options->instance) : strdup(options->instance);
	else
		prep->shown = prep_is_archive(prep) ? beside_archive(prep->template) : strdup(prep->template);
	prep->path = prep->shown ? instance_path(prep->shown, &problem) : NULL;
	if (prep->path)
		return PREP_OK;
	return prep_fail("", prep->shown ? problem.text : strerror(ENOMEM));
}

static bool is_in_place(const struct prep *prep)
{
	struct stat st;

	if (prep_is_pipe(prep) || stat(prep->path, &st) != 0)
		return false;
	if (S_ISBLK(st.st_mode) && S_ISBLK(prep->template_st.st_mode))
		return st.st_rdev == prep->template_st.st_rdev;
	return st.st_dev == prep->template_st.st_dev && st.st_ino == prep->template_st.st_ino;
}

int prep_check_holders(struct prep *prep, bool *leased)
{
	CLEANUP_FREE char *real = realpath(prep->template, NULL);
	CLEANUP_FREE char *who = NULL;
	CLEANUP_FREE char *why = NULL;
	int error = S_ISREG(prep->template_st.st_mode) ? holder_lease(prep->template_fd) : -EOPNOTSUPP;

	*leased = error == 0;
	if (error == 0)
		return PREP_OK;
	who = holder_names(&prep->template_st, real ? real : prep->template);
	if (error != -EBUSY && !who)
		return PREP_OK;
	if (prep->options->force) {
		prep_note(prep->options,
			  "%s is open for writing (%s): what is copied may be half of a change",
			  prep->template, who ? who : "nobody knows by whom");
		return PREP_OK;
	}
	if (asprintf(&why,
		     "is open for writing by %s: a copy could have half of a change (--force copies all the "
		     "same)",
		     who ? who : "somebody whom this system does not show") < 0)
		why = NULL;
	return prep_fail(prep->template, why ? why : strerror(ENOMEM));
}

/* Who has the one that is replaced open goes on with a file that has no name any more. */
static void note_replaced(const struct prep *prep)
{
	CLEANUP_FREE char *who = NULL;
	struct stat st;

	if (stat(prep->path, &st) == 0)
		who = holder_names(&st, prep->path);
	if (who)
		prep_note(prep->options, "%s is open for writing by %s, whose changes from now on are lost",
			  prep->shown, who);
}

static bool is_to_grow(const struct prep *prep)
{
	const struct prep_options *options = prep->options;

	return options->grow_root || (options->size_bytes > (uint64_t)prep->template_st.st_size);
}

int prep_image_find(struct prep *prep)
{
	struct problem problem;
	int result = open_template(prep);
	bool leased;

	if (result == PREP_OK)
		result = check_kind(prep);
	if (result == PREP_OK)
		result = find_path(prep);
	if (result != PREP_OK)
		return result;
	prep->in_place = is_in_place(prep);
	if (prep->in_place && prep_is_archive(prep))
		return prep_fail(prep->template, "would be replaced by what is in it: which INSTANCE?");
	if (prep->in_place && prep->options->clone)
		return prep_fail(prep->template, "would be a copy of itself");
	prep->makes = !prep->in_place || (S_ISREG(prep->template_st.st_mode) && is_to_grow(prep));
	if (!prep->in_place && instance_allowed(prep->path, prep->options->force, &problem) != 0)
		return prep_fail("", problem.text);
	if (!prep->in_place && prep->options->force)
		note_replaced(prep);
	if (!prep->makes || prep_is_archive(prep))
		return PREP_OK;
	result = prep_check_holders(prep, &leased);
	if (leased)
		holder_lease_end(prep->template_fd);
	return result;
}
