/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control: the second mount, where servers report and people ask (CONTRACT P).
 *
 * A directory outside of the TFTP root with one file for each image, into which
 * block servers log what they write, and a few files that say how things are;
 * imagefs-control(7) is its contract with the servers. It comes and goes with
 * the main mount, and the main mount never waits for it.
 */
#pragma once

#include <stdbool.h>

#include "fuse/names/asked.h"
#include "fuse/names/view.h"
#include "fuse/process/handles.h"
#include "fuse/process/options.h"
#include "fuse/process/queue.h"

struct control;

/*
 * Choose its place and make that ready. *control stays NULL when there shall be
 * none, or when the default place is not to be had (which is logged). False when
 * the place that was asked for cannot be: a line went to stderr. Before the main
 * mount, whose mountpoint must not be looked at later.
 */
bool control_prepare(const struct options *options, struct view *view, struct cache *cache, struct control **control);

/* Mount it; nothing is served yet, so nobody of ours may look there. Results as control_prepare. */
bool control_mount(struct control **control);

/* Serve it, on threads of its own. -errno. */
int control_start(struct control *control, struct queue *queue, struct asked *asked, struct handles *handles);

/* The image is to be closed, and no file of it is open: give back what holds it open here. Of NULL: nothing. */
void control_let_go(struct control *control, struct view_image *image);

/* A request went through the kernel and came back, or there is no mount any more. */
void control_wait_until_answered(const struct control *control);

/* Take it away; who has files open there is served until the daemon ends. Of NULL: nothing. */
void control_end(struct control *control);
