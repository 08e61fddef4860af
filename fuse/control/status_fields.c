/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_fields.h"

#include <inttypes.h>

#include "base/text.h"

#define FIELD(of, type, field) STATUS_OF_##of, STATUS_##type, offsetof(struct status_image, field)

static const struct status_field fields[] = {
	{ "opened", "imagefs_image_opens_total", "Files of the image that were opened.",
	  FIELD(IMAGE, LARGE, opened) },
	{ "not_found", "imagefs_image_not_found_total", "Names that were looked up in the image and are not there.",
	  FIELD(IMAGE, LARGE, absent) },
	{ "uri", NULL, NULL, FIELD(IMAGE, TEXT, uri) },
	{ "connection", NULL, NULL, FIELD(IMAGE, TEXT, connection) },
	{ "unattached", NULL, NULL, FIELD(IMAGE, COUNT, unattached) },
	{ "fat_partitions", NULL, NULL, FIELD(CACHE, COUNT, cache.fat_count) },
	{ "changes", NULL, NULL, FIELD(CACHE, TEXT, cache.change_source) },
	{ "open_files", "imagefs_image_open_files", "Files of the image that are open.",
	  FIELD(CACHE, COUNT, cache.open_files) },
	{ "memory_bytes", "imagefs_image_memory_bytes", "Memory for directories and files of the image.",
	  FIELD(OPEN, LARGE, use.memory_bytes) },
	{ "memory_limit_bytes", NULL, NULL, FIELD(OPEN, LARGE, use.memory_limit_bytes) },
	{ "kept_memory_bytes", "imagefs_image_kept_memory_bytes",
	  "Memory for bytes kept for open files of the image.", FIELD(OPEN, LARGE, use.kept.memory_bytes) },
	{ "kept_memory_limit_bytes", NULL, NULL, FIELD(OPEN, LARGE, use.kept_limit.memory_bytes) },
	{ "kept_file_bytes", "imagefs_image_kept_file_bytes",
	  "Bytes kept for open files of the image in temporary files.", FIELD(OPEN, LARGE, use.kept.file_bytes) },
	{ "kept_file_limit_bytes", NULL, NULL, FIELD(OPEN, LARGE, use.kept_limit.file_bytes) },
	{ "problem", NULL, NULL, FIELD(CACHE, TEXT, cache.problem) },
	{ NULL, "imagefs_image_problem", "1 if the image cannot be understood.", FIELD(CACHE, FLAG, has_problem) },
	{ "exact", "imagefs_image_reports_exact", "1 if the reports are believed.",
	  FIELD(REPORTS, FLAG, reports.log.exact) },
	{ "why_not", NULL, NULL, FIELD(REPORTS, TEXT, reports.log.why_not) },
	{ "kernel", NULL, NULL, FIELD(REPORTS, FLAG, reports.log.kernel) },
	{ "stranger_seconds", NULL, NULL, FIELD(REPORTS, SPAN, reports.log.stranger_ns) },
	{ "reporter_count", "imagefs_image_reporters", "Servers that report their writes to the image.",
	  FIELD(REPORTS, COUNT, reports.reporters) },
	{ "writes", "imagefs_image_reported_writes_total", "Writes that were reported.",
	  FIELD(REPORTS, LARGE, reports.log.writes) },
	{ "written_bytes", "imagefs_image_reported_bytes_total", "Bytes of the writes that were reported.",
	  FIELD(REPORTS, LARGE, reports.log.written_bytes) },
	{ "in_flight", "imagefs_image_writes_in_flight", "Writes begun and not ended.",
	  FIELD(REPORTS, COUNT, reports.log.in_flight) },
	{ "quiet_seconds", NULL, NULL, FIELD(REPORTS, SPAN, reports.log.quiet_ns) },
	{ "guarded_files", NULL, NULL, FIELD(REPORTS, COUNT, reports.log.guarded) },
	{ "flux_seconds", "imagefs_image_flux_seconds",
	  "How long the image has been written, and nobody who asked got an answer.", FIELD(IMAGE, SECONDS, flux_ns) },
	{ "saved_bytes", "imagefs_image_saved_bytes_total", "Bytes kept for readers before they were overwritten.",
	  FIELD(REPORTS, LARGE, reports.log.saved_bytes) },
	{ "lost", "imagefs_image_lost_chunks_total", "Pieces that could not be kept in time.",
	  FIELD(REPORTS, LARGE, reports.log.lost) },
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
