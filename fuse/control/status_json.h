/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_json: the file status.json, for programs. Its keys stand in imagefs-control(7).
 */
#pragma once

#include <stdio.h>

#include "fuse/control/problems.h"
#include "fuse/control/status.h"

void status_write_json(FILE *out, const struct status *status, const struct problems *problems);
