/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/place.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define NUMBER_DIGITS_MAX 5

static bool is_there(const char *text, const char *end)
{
	CLEANUP_FREE char *path = strndup(text, (size_t)(end - text));
	struct stat st;

	return path && stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

/* The ':' behind IMAGE; NULL: there is none. */
static const char *end_of_image(const char *text)
{
	const char *first = strchr(text, ':');

	for (const char *colon = first; colon; colon = strchr(colon + 1, ':'))
		if (is_there(text, colon))
			return colon;
	return first;
}

/* The end of the N of ":N" or ":N:", or NULL. */
static const char *end_of_number(const char *colon)
{
	size_t digits = strspn(colon + 1, "0123456789");
	const char *end = colon + 1 + digits;

	return digits > 0 && digits <= NUMBER_DIGITS_MAX && (*end == '\0' || *end == ':') ? end : NULL;
}

int place_read(const char *text, struct place *place)
{
	const char *end = strncmp(text, "./", 2) == 0 ? NULL : end_of_image(text), *path;

	*place = (struct place){ .is_stream = strcmp(text, "-") == 0, .is_image = end && end != text };
	if (!place->is_image) {
		place->path = strdup(text);
		return place->path ? 0 : -ENOMEM;
	}
	path = end + 1;
	if (end_of_number(end)) {
		end = end_of_number(end);
		path = *end ? end + 1 : end;
	}
	place->image = strndup(text, (size_t)(end - text));
	place->path = strdup(path);
	return place->image && place->path ? 0 : -ENOMEM;
}

void place_free(struct place *place)
{
	free(place->image);
	free(place->path);
	*place = (struct place){ 0 };
}

bool place_is_directory(const struct place *place)
{
	size_t length = strlen(place->path);

	return length == 0 ? place->is_image : place->path[length - 1] == '/';
}

char *place_last_name(const char *path)
{
	size_t length = strlen(path), start;

	while (length > 0 && path[length - 1] == '/')
		length--;
	for (start = length; start > 0 && path[start - 1] != '/';)
		start--;
	return strndup(path + start, length - start);
}
