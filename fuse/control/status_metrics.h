/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_metrics: the file metrics, for Prometheus in its text exposition format 0.0.4.
 *
 * Images that nobody asked for have no series of their own: there may be ten
 * thousand. Counters of an image begin anew when it was closed in between. Those
 * of boards are of at most ASKED_BOARDS_MAX, and of ASKED_MISSING names each: a
 * name that is asked for seldom gives way, and begins anew.
 */
#pragma once

#include <stdio.h>

#include "fuse/control/problems.h"
#include "fuse/control/status.h"

void status_write_metrics(FILE *out, const struct status *status, const struct problems *problems);
