/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: what the daemon uses of what is limited, and the limits (CONTRACT S5), for status.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "fuse/control/node.h"

struct usage_pair {
	uint64_t used; /* 0: it cannot be known */
	uint64_t limit;
};

struct usage {
	struct usage_pair threads, descriptors;
	struct usage_pair open_images; /* past the limit those that were not used for longest are closed */
	struct usage_pair handles; /* directories and status files that are open; the limit is one user's */
	struct usage_pair handle_bytes; /* of what they are read from; the limit is that of all */
};

/* Before the daemon gives up opening files: what is counted later. */
void usage_prepare(void);

/* Blocks for no device. */
void usage_take(const struct control_base *control, struct usage *usage);

/* A line for people; members of a JSON object, each with a comma behind it; metrics. */
void usage_write_text(FILE *out, const struct usage *usage);
void usage_write_json(FILE *out, const struct usage *usage);
void usage_write_metrics(FILE *out, const struct usage *usage);
