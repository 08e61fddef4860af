/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/device/clone.h"
#include "cache/device/nbd_target.h"
#include "cache/device/opener.h"

static double seconds_since(int64_t ns)
{
	return (double)(queue_now_ns() - ns) / 1e9;
}

static void take_reports(struct status_image *image, struct write_log *reports)
{
	if (!reports)
		return;
	image->has_reports = true;
	reports_status(reports, &image->reports);
	image->reporter_count = image->reports.reporters < REPORTS_STATUS_REPORTERS ? image->reports.reporters :
										       REPORTS_STATUS_REPORTERS;
	for (unsigned i = 0; i < image->reporter_count; i++)
		opener_process_name(image->reports.reporter[i].thread, image->reporters[i]);
}

static void take_image(struct view_found *found, struct status_image *image)
{
	struct cache_image *cache = found->image ? atomic_load(&found->image->cache) : NULL;
	char connection[512];
	int64_t when_ns;

	image->found = found;
	image->name = found->name;
	image->open = cache != NULL;
	if (!found->image)
		return;
	if (found->image->remote) {
		nbd_target_describe(found->image->remote, connection, sizeof(connection));
		image->uri = found->image->remote->text;
		image->connection = strdup(connection);
	}
	image->unattached = atomic_load(&found->image->unattached);
	image->opened = atomic_load(&found->image->opened);
	image->absent = atomic_load(&found->image->absent);
	image->flux_ns = view_image_in_flux(found->image, queue_now_ns());
	image->complaint = view_image_complaint(found->image, &when_ns, &image->complaint_is_damage);
	if (image->complaint)
		image->complaint_age_seconds = seconds_since(when_ns);
	image->complaint_is_over = !image->complaint_is_damage && atomic_load(&found->image->rest_ns) > when_ns;
	if (!cache)
		return;
	cache_image_use(cache, &image->use);
	image->busy = cache_image_status(cache, &image->cache) != 0;
	image->has_problem = !image->busy && image->cache.problem;
	take_reports(image, cache_image_log(cache));
}

int status_take(struct control_base *control, struct status *status)
{
	int error;

	*status = (struct status){
		.options = control->options,
		.source = view_source_path(view_source(control->view)),
		.asked = control->asked,
		.now_ns = queue_now_ns(),
	};
	error = view_survey(control->view, control->queue, &control->survey_lanes, &status->survey);
	if (error != 0)
		return error;
	status->images = calloc(status->survey.count + 1, sizeof(*status->images));
	if (!status->images) {
		view_survey_free(&status->survey);
		return -ENOMEM;
	}
	status->count = status->survey.count;
	for (size_t i = 0; i < status->count; i++) {
		take_image(&status->survey.found[i], &status->images[i]);
		status->open_count += status->images[i].open;
		status->busy_count += status->images[i].busy;
	}
	cache_use(control->cache, &status->use);
	status->clone_bytes = clone_bytes_shared();
	usage_take(control, &status->usage);
	status->unattached = atomic_load(&control->unattached);
	status->uptime_seconds = seconds_since(control->started_ns);
	return 0;
}

void status_free(struct status *status)
{
	for (size_t i = 0; i < status->count; i++) {
		free(status->images[i].connection);
		free(status->images[i].complaint);
	}
	free(status->images);
	view_survey_free(&status->survey);
}

const char *status_reports_word(const struct status_image *image)
{
	if (image->has_reports && image->reports.log.late)
		return image->reports.log.exact ? "server" : "none";
	if (!image->has_reports || (!image->reports.log.kernel && image->reports.reporters == 0))
		return "none";
	if (image->reports.log.kernel)
		return image->reports.log.exact ? "kernel" : "kernel, not exact";
	return image->reports.log.exact ? "exact" : "not exact";
}

const char *status_boot_reason(const struct cache_image_status *cache)
{
	if (cache->boot_by_option)
		return "option";
	if (cache->fat_count == 1)
		return "only FAT";
	return part_boot_reason_text(cache->boot_reason);
}

void status_write_age(FILE *out, double seconds)
{
	if (seconds < 10)
		fprintf(out, "%.1fs", seconds);
	else if (seconds < 120)
		fprintf(out, "%.0fs", seconds);
	else if (seconds < 2 * 3600)
		fprintf(out, "%.0fmin", seconds / 60);
	else
		fprintf(out, "%.0fh", seconds / 3600);
}

const char *status_outcome_word(enum asked_outcome outcome)
{
	static const char *const words[] = { "found", "not found", "error" };

	return words[outcome];
}

double status_seconds_ago(const struct status *status, int64_t when_ns)
{
	return status->now_ns > when_ns ? (double)(status->now_ns - when_ns) / 1e9 : 0;
}
