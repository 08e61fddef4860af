/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status: what people are told of how an image's changes are known. */
#pragma once

#include "cache/changes/reporter.h"
#include "cache/changes/write_log.h"

#define REPORTS_STATUS_REPORTERS 8

struct reports_status {
	struct write_log_status log;
	unsigned reporters; /* open control files that have said something */
	struct reporter_status reporter[REPORTS_STATUS_REPORTERS]; /* the first of them */
};

/* Without a look at the image. */
void reports_status(struct write_log *log, struct reports_status *status);
