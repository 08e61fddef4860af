/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_text: for people, in lines of 80 columns as far as names allow. Problems come first. Columns may grow and lines may be added; programs
 * read status.json.
 */
#pragma once

#include <stdio.h>

#include "fuse/control/problems.h"
#include "fuse/control/status.h"

void status_write_table(FILE *out, const struct status *status, const struct problems *problems);

/* The image with that identity, or, if that is 0, of that name; for the requests, `name` may be that of a board. */
void status_write_image(FILE *out, const struct status *status, const struct view_identity *identity, const char *name);
