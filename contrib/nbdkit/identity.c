/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nbdkit-filter.h>

#include "base/cleanup.h"

/* Constant once settled. */
static char *path;     /* dir= or file= */
static unsigned paths; /* how many of them there were */
static bool is_directory, has_files, is_by_name;

int identity_note_parameter(const char *key, const char *value)
{
	if (strcmp(key, "dir") != 0 && strcmp(key, "file") != 0)
		return 0;
	free(path);
	path = nbdkit_absolute_path(value); /* the plugin may be given another directory to work in */
	is_directory = strcmp(key, "dir") == 0;
	paths++;
	return path ? 0 : -1;
}

void identity_set_by_name(bool by_name)
{
	is_by_name = by_name;
}

/* A file= that is none, or several of them, are of another plugin than ours. */
void identity_settle(void)
{
	struct stat st;

	has_files = paths == 1 && stat(path, &st) == 0 &&
		    (is_directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static char *print_key(const struct statx *st)
{
	char *key;
	int r;

	/* A device by whichever node. An inode number is used again; its time of birth is not. */
	if (S_ISBLK(st->stx_mode))
		r = asprintf(&key, "device %u:%u", st->stx_rdev_major, st->stx_rdev_minor);
	else
		r = asprintf(&key, "file %u:%u %llu %lld.%u", st->stx_dev_major, st->stx_dev_minor,
			     (unsigned long long)st->stx_ino, (long long)st->stx_btime.tv_sec,
			     st->stx_btime.tv_nsec);
	return r == -1 ? NULL : key;
}

static char *key_of_file(const char *file)
{
	struct statx st = { 0 };

	if (statx(AT_FDCWD, file, 0, STATX_TYPE | STATX_INO | STATX_BTIME, &st) == -1)
		return NULL;
	if (!S_ISREG(st.stx_mode) && !S_ISBLK(st.stx_mode)) {
		errno = ENOENT;
		return NULL;
	}
	return print_key(&st);
}

char *identity_of(const char *name)
{
	CLEANUP_FREE char *file = NULL;

	if (!has_files)
		return strdup(is_by_name ? name : "");
	if (!is_directory)
		return key_of_file(path);
	if (strchr(name, '/')) {
		errno = ENOENT;
		return NULL;
	}
	return asprintf(&file, "%s/%s", path, name) == -1 ? (file = NULL) : key_of_file(file);
}

void identity_free(void)
{
	free(path);
}
