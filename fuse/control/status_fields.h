/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status_fields: what programs are told of each image: the keys of status.json and the metrics for Prometheus, in one table,
 * so that the two have the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "fuse/control/status.h"

struct status_field {
	const char *json;	   /* its key; NULL: not there */
	const char *metric, *help; /* NULL: not there */
	enum {
		STATUS_OF_REPORTS, /* there are none of most images */
		STATUS_OF_CACHE,   /* known unless it is busy */
		STATUS_OF_OPEN,	   /* known if it is open */
		STATUS_OF_IMAGE,
	} of;
	enum {
		STATUS_FLAG,	/* bool */
		STATUS_COUNT,	/* unsigned */
		STATUS_LARGE,	/* uint64_t */
		STATUS_TEXT,	/* const char *; may be NULL */
		STATUS_SPAN,	/* int64_t of ns; none below 0 */
		STATUS_SECONDS, /* int64_t of ns */
	} type;
	size_t offset_bytes; /* in struct status_image */
};

/* All of them, in their order; constant. */
const struct status_field *status_fields(size_t *count);

/* Is it known of this image just now? */
bool status_field_is_known(const struct status_image *image, const struct status_field *field);

/* Its value, as JSON has it, or Prometheus. */
void status_field_write(FILE *out, const struct status_image *image, const struct status_field *field, bool json);
