/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_files: is a file there, and what is in it: on a FAT volume, by path; with files of a board's own before its root's.
 */
#pragma once

#include "fat/fat.h"
#include "tools/ctl_own.h"

struct volume_files {
	const struct fat_volume *volume; /* borrowed */
	struct source *source;		 /* borrowed */
	const struct own *own;		 /* borrowed */
	struct fat_dir *root, *last;	 /* owned: the root, and the directory that was asked of last */
	char last_path[1024];
};

/* 0, or as fat_dir_read. */
int volume_files_open(struct volume_files *files, const struct fat_volume *volume, struct source *source,
		      const struct own *own);
void volume_files_close(struct volume_files *files);

/* For pi.h: `context` is the volume_files. */
bool volume_files_exists(void *context, const char *path);
bool volume_files_any(void *context, const char *prefix, const char *suffix);
bool volume_files_whole(void *context, const char *path); /* every byte has a cluster that is inside of the source */
char *volume_files_read(void *context, const char *path, size_t *length);
