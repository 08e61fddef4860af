/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* names: those of the boards of a storm, as they are given, counted, or found. */
#pragma once

#include <stddef.h>

struct names {
	char **names; /* owned */
	size_t count;
};

/* -ENOMEM. */
int names_add(struct names *names, const char *name);

/*
 * `count` names of `pattern`, whose last run of # is the number from 1 on, with as many digits at least as
 * there are
 * #. Without one all have the same name. -ENOMEM.
 */
int names_count(struct names *names, const char *pattern, size_t count);

/* Each directory, and each link to one, that is in `directory` and not hidden; sorted. -errno. */
int names_find(struct names *names, const char *directory);

void names_free(struct names *names);
