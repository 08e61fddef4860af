/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_fields.h"

#include <inttypes.h>

#include "base/text.h"

#define FIELD(field) offsetof(struct status_image, field)

static const struct status_field fields[] = {
	{ "opened", "imagefs_image_opens_total", "Files of the image that were opened.", STATUS_OF_IMAGE, STATUS_LARGE, FIELD(opened) },
	{ "not_found", "imagefs_image_not_found_total", "Names that were looked up in the image and are not there.",
	  STATUS_OF_IMAGE, STATUS_LARGE, FIELD(absent) },
	{ "uri", NULL, NULL, STATUS_OF_IMAGE, STATUS_TEXT, FIELD(uri) },
	{ "connection", NULL, NULL, STATUS_OF_IMAGE, STATUS_TEXT, FIELD(connection) },
	{ "unattached", NULL, NULL, STATUS_OF_IMAGE, STATUS_COUNT, FIELD(unattached) },
	{ "fat_partitions", NULL, NULL, STATUS_OF_CACHE, STATUS_COUNT, FIELD(cache.fat_count) },
	{ "changes", NULL, NULL, STATUS_OF_CACHE, STATUS_TEXT, FIELD(cache.change_source) },
	{ "open_files", "imagefs_image_open_files", "Files of the image that are open.", STATUS_OF_CACHE, STATUS_COUNT,
	  FIELD(cache.open_files) },
	{ "memory_bytes", "imagefs_image_memory_bytes", "Memory for directories and files of the image.", STATUS_OF_OPEN, STATUS_LARGE,
	  FIELD(use.memory_bytes) },
	{ "memory_limit_bytes", NULL, NULL, STATUS_OF_OPEN, STATUS_LARGE, FIELD(use.memory_limit_bytes) },
	{ "kept_memory_bytes", "imagefs_image_kept_memory_bytes", "Memory for bytes kept for open files of the image.", STATUS_OF_OPEN,
	  STATUS_LARGE, FIELD(use.kept.memory_bytes) },
	{ "kept_memory_limit_bytes", NULL, NULL, STATUS_OF_OPEN, STATUS_LARGE, FIELD(use.kept_limit.memory_bytes) },
	{ "kept_file_bytes", "imagefs_image_kept_file_bytes", "Bytes kept for open files of the image in temporary files.",
	  STATUS_OF_OPEN, STATUS_LARGE, FIELD(use.kept.file_bytes) },
	{ "kept_file_limit_bytes", NULL, NULL, STATUS_OF_OPEN, STATUS_LARGE, FIELD(use.kept_limit.file_bytes) },
	{ "problem", NULL, NULL, STATUS_OF_CACHE, STATUS_TEXT, FIELD(cache.problem) },
	{ NULL, "imagefs_image_problem", "1 if the image cannot be understood.", STATUS_OF_CACHE, STATUS_FLAG, FIELD(has_problem) },
	{ "exact", "imagefs_image_reports_exact", "1 if the reports are believed.", STATUS_OF_REPORTS, STATUS_FLAG,
	  FIELD(reports.log.exact) },
	{ "why_not", NULL, NULL, STATUS_OF_REPORTS, STATUS_TEXT, FIELD(reports.log.why_not) },
	{ "kernel", NULL, NULL, STATUS_OF_REPORTS, STATUS_FLAG, FIELD(reports.log.kernel) },
	{ "stranger_seconds", NULL, NULL, STATUS_OF_REPORTS, STATUS_SPAN, FIELD(reports.log.stranger_ns) },
	{ "reporter_count", "imagefs_image_reporters", "Servers that report their writes to the image.", STATUS_OF_REPORTS, STATUS_COUNT,
	  FIELD(reports.reporters) },
	{ "writes", "imagefs_image_reported_writes_total", "Writes that were reported.", STATUS_OF_REPORTS, STATUS_LARGE,
	  FIELD(reports.log.writes) },
	{ "written_bytes", "imagefs_image_reported_bytes_total", "Bytes of the writes that were reported.", STATUS_OF_REPORTS, STATUS_LARGE,
	  FIELD(reports.log.written_bytes) },
	{ "in_flight", "imagefs_image_writes_in_flight", "Writes begun and not ended.", STATUS_OF_REPORTS, STATUS_COUNT,
	  FIELD(reports.log.in_flight) },
	{ "quiet_seconds", NULL, NULL, STATUS_OF_REPORTS, STATUS_SPAN, FIELD(reports.log.quiet_ns) },
	{ "guarded_files", NULL, NULL, STATUS_OF_REPORTS, STATUS_COUNT, FIELD(reports.log.guarded) },
	{ "flux_seconds", "imagefs_image_flux_seconds",
	  "How long the image has been written, and nobody who asked got an answer.", STATUS_OF_IMAGE, STATUS_SECONDS, FIELD(flux_ns) },
	{ "saved_bytes", "imagefs_image_saved_bytes_total", "Bytes kept for readers before they were overwritten.", STATUS_OF_REPORTS,
	  STATUS_LARGE, FIELD(reports.log.saved_bytes) },
	{ "lost", "imagefs_image_lost_chunks_total", "Pieces that could not be kept in time.", STATUS_OF_REPORTS, STATUS_LARGE,
	  FIELD(reports.log.lost) },
};

const struct status_field *status_fields(size_t *count)
{
	*count = sizeof(fields) / sizeof(fields[0]);
	return fields;
}

bool status_field_is_known(const struct status_image *image, const struct status_field *field)
{
	if (field->of == STATUS_OF_REPORTS)
		return image->has_reports;
	return field->of == STATUS_OF_IMAGE || (image->open && (field->of == STATUS_OF_OPEN || !image->busy));
}

void status_field_write(FILE *out, const struct status_image *image, const struct status_field *field, bool json)
{
	const void *at = (const char *)image + field->offset_bytes;
	bool flag = field->type == STATUS_FLAG && *(const bool *)at;

	switch (field->type) {
	case STATUS_FLAG:
		fputs(json ? (flag ? "true" : "false") : (flag ? "1" : "0"), out);
		break;
	case STATUS_COUNT:
		fprintf(out, "%u", *(const unsigned *)at);
		break;
	case STATUS_LARGE:
		fprintf(out, "%" PRIu64, *(const uint64_t *)at);
		break;
	case STATUS_TEXT:
		text_write_json(out, *(const char *const *)at);
		break;
	case STATUS_SECONDS:
		fprintf(out, "%.3f", (double)*(const int64_t *)at / 1e9);
		break;
	case STATUS_SPAN:
		if (*(const int64_t *)at < 0)
			fputs("null", out);
		else
			fprintf(out, "%.6f", (double)*(const int64_t *)at / 1e9);
	}
}
