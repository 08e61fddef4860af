/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/status.h"

void reports_status(struct write_log *log, struct reports_status *status)
{
	*status = (struct reports_status){ 0 };
	write_log_status(log, &status->log);
	status->reporters = reporters_of(log, status->reporter, REPORTS_STATUS_REPORTERS);
}
