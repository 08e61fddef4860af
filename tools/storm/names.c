/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

int names_add(struct names *names, const char *name)
{
	char **grown = reallocarray(names->names, names->count + 1, sizeof(*grown));
	char *copy = strdup(name);

	if (grown)
		names->names = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	grown[names->count++] = copy;
	return 0;
}

int names_count(struct names *names, const char *pattern, size_t count)
{
	const char *last = strrchr(pattern, '#'), *first = last;
	int digits = 0;

	if (last) {
		while (first > pattern && first[-1] == '#')
			first--;
		digits = (int)(last - first) + 1;
	}
	for (size_t i = 1; i <= count; i++) {
		CLEANUP_FREE char *name = NULL;
		int result;

		if (last &&
		    asprintf(&name, "%.*s%0*zu%s", (int)(first - pattern), pattern, digits, i, last + 1) < 0)
			return -ENOMEM;
		result = names_add(names, name ? name : pattern);
		if (result != 0)
			return result;
	}
	return 0;
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int names_find(struct names *names, const char *directory)
{
	CLEANUP_FD int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries;
	int count, result = 0;

	if (fd < 0)
		return -errno;
	count = scandirat(fd, ".", &entries, is_shown, alphasort);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		struct stat status;

		if (result == 0 && fstatat(fd, entries[i]->d_name, &status, 0) == 0 &&
		    S_ISDIR(status.st_mode))
			result = names_add(names, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return result;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct names){ 0 };
}
