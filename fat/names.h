/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * names: a list of names that stand beside those of a FAT directory, and are found as those are: by any spelling.
 *
 * Files of a board's own (NAME.d/ in SOURCE) stand before those of its image; the daemon and imagefsctl must see the
 * same ones. Add all, fold once, then find. Not thread-safe.
 */
#pragma once

#include <stddef.h>

/* Zero is empty. */
struct fat_names {
	char **list; /* owned, as each of them; once folded in the order of fat_name_compare */
	size_t count, room;
};

/* A copy of the name; 0 or -ENOMEM. */
int fat_names_add(struct fat_names *names, const char *name);

/* Sort; of several that are spelled alike only the first by strcmp stays. */
void fat_names_fold(struct fat_names *names);

/* The one that `name` is a spelling of, borrowed; or NULL. Of folded ones. */
const char *fat_names_find(const struct fat_names *names, const char *name);

void fat_names_free(struct fat_names *names); /* empty again */
