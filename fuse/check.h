/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: what is said of SOURCE before it is served. One image that cannot be shown is an
 * error at the start; a directory without images is only worth a line.
 */
#pragma once

#include <stdbool.h>

#include "fuse/names/view.h"
#include "fuse/process/options.h"
#include "fuse/process/queue.h"

/* Say what is the matter with SOURCE (-errno). False. */
bool check_say(const char *source, int error);

/*
 * Are SOURCE and MOUNTPOINT swapped? Then what the mount hides are images, or SOURCE has nothing and
 * MOUNTPOINT has. A warning. Before it is mounted.
 */
void check_swapped(const struct options *options);

/*
 * Can it be served at all? If not, that is said. The image is looked into, so it is to be asked when no
 * privileges are left. Where its storage does not answer for WAIT_CHECK_NS it is served: then each
 * request is answered in time. Both arguments are borrowed for good. Once.
 */
bool check_servable(struct view *view, const struct options *options);

/* A directory without images: a line. Waits for a listing of it, unless its names tell. */
void check_say_if_empty(struct view *view, struct queue *queue, const char *source);
