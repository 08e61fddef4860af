/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_asked: what boards asked for last, and what of it was not there.
 *
 * The logs are copied one at a time while the text is written: together they
 * would be large.
 */
#pragma once

#include <stdio.h>

#include "fuse/control/status.h"

/* `name` is an image's, or that of the only board to tell of. */
void status_write_asked_of_root(FILE *out, const struct status *status);
void status_write_asked(FILE *out, const struct status *status, const struct status_image *image, const char *name);
void status_write_asked_of_root_json(FILE *out, const struct status *status);
void status_write_asked_json(FILE *out, const struct status *status, const struct status_image *image);
