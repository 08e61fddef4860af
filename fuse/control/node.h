/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node: what there is in the control mount, and what its files share.
 *
 * Unlike in the main mount every lookup makes a node, and stat(2) shows another
 * inode number at every time: nbd-server guards its log by a semaphore named
 * after the file's number, and a child that is killed inside of a log write
 * would hang every later client of the same number. That each open file has an
 * inode to itself also means that the kernel, which lets one write at a time
 * into an inode, never has one server wait for another.
 */
#pragma once

#include <stdatomic.h>

#include "fuse/names/asked.h"
#include "fuse/names/survey.h"
#include "fuse/process/api.h"
#include "fuse/process/handles.h"
#include "fuse/process/options.h"
#include "fuse/process/queue.h"

#define CONTROL_NAME_LANES 64

struct report;
struct reading;

/* Reads that wait for a text: control/text.c's. */
struct control_texts {
	struct job job; /* while `making` */
	pthread_mutex_t lock;
	/* Under the lock. */
	bool making;
	struct reading *waiting;
};

/*
 * What the files of the mount stand on; libfuse's userdata. Constant after start but for the lanes, the texts,
 * the list and the count.
 */
struct control_base {
	const struct options *options;
	struct view *view;
	struct cache *cache;
	struct queue *queue;
	struct asked *asked; /* what status tells of requests; borrowed, thread-safe */
	struct handles *handles; /* borrowed, thread-safe */
	int64_t started_ns;

	struct lane name_lanes[CONTROL_NAME_LANES]; /* names that are being looked for */
	struct lane status_lane;
	struct walk_lanes survey_lanes;
	struct control_texts texts;
	pthread_mutex_t reports_lock;
	struct report *reports; /* that lock: those that are open; control/report.c's */
	_Atomic unsigned unattached; /* open control files that nothing is taken from (yet) */
};

struct lane *control_lane_of_name(struct control_base *control, const char *name);

/* Numbers of nodes; those of images are their addresses. */
enum control_id {
	CONTROL_ROOT = FUSE_ROOT_ID,
	CONTROL_STATUS,
	CONTROL_STATUS_JSON,
	CONTROL_METRICS,
	CONTROL_IMAGES,
	CONTROL_RESERVED = CONTROL_IMAGES - CONTROL_STATUS, /* how many have a name */
};

/* The id of a status file, 0 if the name is none's; and all their names in turn, NULL behind the last. */
uint64_t control_reserved_id(const char *name);
const char *control_reserved_name(size_t index);

/*
 * A control file, as it was found by one lookup. Constant. The kernel remembers it for a long
 * time, which keeps no image open: it knows its image by number only.
 */
struct control_node {
	_Atomic uint64_t lookups;
	char *name;
	struct view_identity image; /* inode 0 and device 0: what the name leads to did not answer in time */
	uid_t uid;
	gid_t gid;
};

/* NULL: the number is that of the root or of a status file. */
struct control_node *control_node_of(uint64_t id);

/* With one lookup. `image` and `st` are NULL if it did not answer. NULL: no memory. */
struct control_node *control_node_new(const struct control_base *control, const char *name,
				      const struct view_image *image, const struct stat *st);

void control_node_forget(uint64_t id, uint64_t count);

/* What stat(2) shows, anew at every time. */
void control_node_attributes(uint64_t id, struct stat *st);
