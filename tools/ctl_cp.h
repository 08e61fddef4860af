/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_cp: the two directions of cp.
 */
#pragma once

#include "tools/ctl_change.h"

/* Out of images: the last place is a local one, or standard output. The exit status (ctl_cp_out.c). */
int cp_out(const char *control, const struct places *places, bool recursive);
