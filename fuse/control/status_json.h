/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_json: for programs. Members are only ever added. Each image has a line
 * of its own that begins with its name and its boards: imagefsctl counts on that
 * to pick one.
 */
#pragma once

#include <stdio.h>

#include "fuse/control/status.h"

void status_write_json(FILE *out, const struct status *status);
