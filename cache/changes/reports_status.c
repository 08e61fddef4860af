/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reports_status: what people are told of it. */
#include "base/cleanup.h"
#include "cache/changes/reports_inside.h"

static void status_of_guards(struct reports *reports, struct reports_status *status)
{
	status->saved_bytes = reports->saved_bytes;
	for (struct guard *guard = reports->guards; guard; guard = guard_link(guard)->next) {
		status->saved_bytes += guard_saved_bytes(guard);
		status->guarded += guard_link(guard)->epoch == reports->epoch;
	}
}

void reports_status(struct reports *reports, struct reports_status *status)
{
	struct company_state company = { .why_not = "the daemon may not see who else writes (it needs root)" };

	*status = (struct reports_status){ 0 };
	if (reports->company)
		reports->company->ops->look(reports->company, &company);
	LOCK_SCOPE(&reports->lock);
	reports_take_posted(reports);
	for (struct reporter *reporter = reports->reporters; reporter; reporter = reporter->next) {
		if (reporter->process == 0)
			continue;
		if (status->reporters < REPORTS_STATUS_REPORTERS) {
			status->reporter[status->reporters].process = reporter->process;
			status->reporter[status->reporters].form =
				reporter->distrusted ? NOTIFY_FORM_BROKEN : reporter->parser.form;
			status->reporter[status->reporters].writes = reporter->writes;
		}
		status->reporters++;
	}
	status->exact = reports->speaking > 0 && reports->distrusted == 0 && company.alone && !reports->blind &&
			!reports_is_stuck(reports, reports->monotonic_ns());
	status->other = company.other;
	if (reports->speaking > 0 && !status->exact)
		status->why_not = reports->distrusted ? "a reporter cannot be followed" :
				  reports->blind      ? "writers on other machines cannot be seen" :
				  company.why_not     ? company.why_not :
							"a write has been in flight for too long";
	status->writes = reports->writes;
	status->written_bytes = reports->written_bytes;
	status->in_flight = (unsigned)reports->flight_count;
	status->quiet_ns = reports->last_end_ns == 0 ? -1 : reports->monotonic_ns() - reports->last_end_ns;
	status->lost = reports->lost;
	status_of_guards(reports, status);
}
