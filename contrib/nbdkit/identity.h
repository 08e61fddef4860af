/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity: which image the name of an export means, so that all names of one image
 * share one page. A client chooses the name, and a filter cannot ask the plugin what
 * it opened; so it is found from what the plugin was told:
 *
 *   dir=, file=     (of the plugin file) the file or device itself, as it is now: links lead
 *                   to one image, and one that was replaced is another.
 *   anything else   one image, whatever the names. If it is not so, the one page counts the writes
 *                   to all of them, and readers read more than they would have to.
 *   imagefs-by-name=true
 *                   each name is an image of its own. Who says so knows it.
 */
#pragma once

#include <stdbool.h>

/* A parameter of the plugin. -1: said by nbdkit_error. */
int identity_note_parameter(const char *key, const char *value);
void identity_set_by_name(bool by_name);

/* When all parameters are known. */
void identity_settle(void);

/* The key of its page, to be freed. NULL, errno: there is no such image, or no memory. */
char *identity_of(const char *name);

void identity_free(void);
