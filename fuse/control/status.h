/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: how things are, for people and for programs.
 *
 * Taken without a look at any image and without waiting for one: an image that
 * is just being read is "busy", one that nobody asked for is "idle". What each
 * line means stands in imagefs-control(7).
 */
#pragma once

#include <stdio.h>

#include "cache/changes/reporter.h"
#include "fuse/control/node.h"
#include "fuse/control/usage.h"

struct status_image {
	const char *name;	/* in the mount; of the survey */
	struct view_found *found; /* of the survey */
	const char *uri;	/* of an image behind a block server that was asked for; of the image, or NULL */
	char *connection;	/* owned: how the one to it is; likewise */
	bool open;		/* it is read, or was lately */
	bool busy;		/* `cache` is not known just now */
	struct cache_image_status cache; /* if open and not busy */
	struct cache_use use;	/* if open */
	bool has_problem;
	uint64_t opened, absent; /* files, and names that are not there */
	bool has_reports;
	struct reports_status reports;
	char reporters[REPORTS_STATUS_REPORTERS][32]; /* likewise */
	unsigned reporter_count; /* of those that are listed */
	unsigned unattached;
	char *complaint;	/* owned; or NULL */
	double complaint_age_seconds;
	bool complaint_is_damage; /* of the image: it was at rest, and makes no sense */
	bool complaint_is_over;	  /* no damage, and somebody got what he asked for since */
	int64_t flux_ns;	/* how long it has been written, and nobody was answered; 0: it is not so */
};

struct status {
	const struct options *options;
	const char *source;  /* borrowed: absolute, whatever was given */
	struct asked *asked; /* borrowed, thread-safe */
	int64_t now_ns;
	double uptime_seconds;
	struct view_survey survey;
	struct status_image *images;
	size_t count, open_count, busy_count;
	struct cache_use use; /* by all images */
	uint64_t clone_bytes; /* of blocks that images share: read for one in another's pages, so far */
	struct usage usage;
	unsigned unattached;
};

/* On one of the queue's threads. -ENOMEM. */
int status_take(struct control_base *control, struct status *status);
void status_free(struct status *status);

/* In a word or two: "kernel", "kernel, not exact"; "exact", "not exact"; "none". */
const char *status_reports_word(const struct status_image *image);

/* Why this partition is the boot partition. */
const char *status_boot_reason(const struct cache_image_status *cache);

/* Of a name that was asked for. */
const char *status_outcome_word(enum asked_outcome outcome);

double status_seconds_ago(const struct status *status, int64_t when_ns);

/* "12s" */
void status_write_age(FILE *out, double seconds);
