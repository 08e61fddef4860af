/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/option_value.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/process/log.h"

/* The one above it is (uid_t)-1: nobody. */
#define ID_MAX (UINT_MAX - 1LL)
#define ID_MAX_TEXT "4294967294"

bool option_number(const char *text, int base, long long low, long long high, long long *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, base);
	return isdigit((unsigned char)text[text[0] == '-']) && end != text && *end == '\0' && errno == 0 && *out >= low && *out <= high;
}

const char *option_user(const char *text, uid_t *out)
{
	const struct passwd *user = getpwnam(text);
	long long value;

	if (user)
		value = user->pw_uid;
	else if (!option_number(text, 10, 0, ID_MAX, &value))
		return "is not the name of a user, nor a number from 0 to " ID_MAX_TEXT;
	*out = (uid_t)value;
	return NULL;
}

bool option_find_user(const char *name, uid_t *user, gid_t *group)
{
	const struct passwd *found = getpwnam(name);

	if (!found)
		return false;
	*user = found->pw_uid;
	*group = found->pw_gid;
	return true;
}

const char *option_group(const char *text, gid_t *out)
{
	const struct group *group = getgrnam(text);
	long long value;

	if (group)
		value = group->gr_gid;
	else if (!option_number(text, 10, 0, ID_MAX, &value))
		return "is not the name of a group, nor a number from 0 to " ID_MAX_TEXT;
	*out = (gid_t)value;
	return NULL;
}

const char *option_debug(const char *text, unsigned *what)
{
	static const struct {
		const char *name;
		enum log_debug what;
	} known[] = {
		{ "requests", LOG_DEBUG_REQUESTS }, { "files", LOG_DEBUG_FILES },     { "images", LOG_DEBUG_IMAGES },
		{ "changes", LOG_DEBUG_CHANGES },   { "all", LOG_DEBUG_ALL },
	};

	for (;;) {
		size_t length = strcspn(text, ",:"), i = 0;

		while (i < sizeof(known) / sizeof(known[0]) &&
		       (strlen(known[i].name) != length || strncmp(known[i].name, text, length) != 0))
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return "is of requests, files, images, changes, all";
		*what |= known[i].what;
		if (text[length] == '\0')
			return NULL;
		text += length + 1;
	}
}
