/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_json.h"

#include <inttypes.h>

#include "base/text.h"
#include "fuse/control/status_asked.h"

static void write_text_or_null(FILE *out, const char *text)
{
	if (text)
		text_write_json(out, text);
	else
		fputs("null", out);
}

static const char *boolean(bool value)
{
	return value ? "true" : "false";
}

static void write_process(FILE *out, pid_t process, const char *name)
{
	fprintf(out, "{\"pid\": %d, \"name\": ", (int)process);
	text_write_json(out, name);
}

static void write_partition(FILE *out, const struct cache_image_status *cache)
{
	static const char *const schemes[] = { "none", "mbr", "gpt" };

	fputs(", \"table\": ", out);
	write_text_or_null(out, cache->table_known ? schemes[cache->scheme] : NULL);
	fprintf(out, ", \"fat_partitions\": %u, \"partition\": ", cache->fat_count);
	if (cache->boot_known)
		fprintf(out,
			"{\"number\": %u, \"reason\": \"%s\", \"offset_bytes\": %" PRIu64 ", \"length_bytes\": %" PRIu64 "}",
			cache->boot_number, status_boot_reason(cache), cache->boot_offset_bytes, cache->boot_length_bytes);
	else
		fputs("null", out);
	fputs(", \"changes\": ", out);
	write_text_or_null(out, cache->change_source);
	fprintf(out, ", \"open_files\": %u, \"problem\": ", cache->open_files);
	write_text_or_null(out, cache->problem);
}

static void write_reports(FILE *out, const struct status_image *image)
{
	const struct reports_status *reports = &image->reports;

	fprintf(out, ", \"reports\": {\"exact\": %s, \"why_not\": ", boolean(reports->log.exact));
	write_text_or_null(out, reports->log.why_not);
	fprintf(out, ", \"kernel\": %s, \"stranger_seconds\": ", boolean(reports->log.kernel));
	if (reports->log.stranger_ns >= 0)
		fprintf(out, "%.6f", (double)reports->log.stranger_ns / 1e9);
	else
		fputs("null", out);
	fprintf(out, ", \"reporter_count\": %u, \"reporters\": [", reports->reporters);
	for (unsigned i = 0; i < image->reporter_count; i++) {
		fputs(i > 0 ? ", " : "", out);
		write_process(out, reports->reporter[i].thread, image->reporters[i]);
		fputs(", \"form\": ", out);
		text_write_json(out, notify_form_name(reports->reporter[i].form));
		fprintf(out, ", \"writes\": %" PRIu64 "}", reports->reporter[i].writes);
	}
	fprintf(out, "], \"writes\": %" PRIu64 ", \"written_bytes\": %" PRIu64 ", \"in_flight\": %u, \"quiet_seconds\": ",
		reports->log.writes, reports->log.written_bytes, reports->log.in_flight);
	if (reports->log.quiet_ns >= 0)
		fprintf(out, "%.6f", (double)reports->log.quiet_ns / 1e9);
	else
		fputs("null", out);
	fprintf(out, ", \"guarded_files\": %u, \"saved_bytes\": %" PRIu64 ", \"lost\": %" PRIu64 "}", reports->log.guarded,
		reports->log.saved_bytes, reports->log.lost);
}

static void write_image(FILE *out, const struct status *status, const struct status_image *image)
{
	fputs("    {\"name\": ", out);
	text_write_json(out, image->name);
	fputs(", \"boards\": [", out);
	for (size_t i = 0; i < image->found->board_count; i++) {
		fputs(i > 0 ? ", " : "", out);
		text_write_json(out, image->found->boards[i]);
	}
	fprintf(out, "], \"state\": \"%s\", \"removed\": %s", !image->open ? "idle" : image->busy ? "busy" : "open",
		boolean(image->found->gone));
	if (image->open && !image->busy)
		write_partition(out, &image->cache);
	if (image->has_reports)
		write_reports(out, image);
	status_write_asked_json(out, status, image);
	fprintf(out, ", \"unattached\": %u, \"last_error\": ", image->unattached);
	if (image->complaint) {
		fputs("{\"text\": ", out);
		text_write_json(out, image->complaint);
		fprintf(out, ", \"age_seconds\": %.1f}", image->complaint_age_seconds);
	} else {
		fputs("null", out);
	}
	fputc('}', out);
}

void status_write_json(FILE *out, const struct status *status)
{
	fputs("{\n  \"version\": \"" IMAGEFS_VERSION "\",\n  \"source\": ", out);
	text_write_json(out, status->options->source);
	fputs(",\n  \"mountpoint\": ", out);
	text_write_json(out, status->options->mountpoint);
	fprintf(out, ",\n  \"uptime_seconds\": %.1f,\n  \"complete\": %s,\n", status->uptime_seconds,
		boolean(!status->survey.partial));
	fprintf(out, "  \"kept_memory_bytes\": %" PRIu64 ",\n  \"kept_file_bytes\": %" PRIu64 ",\n  \"unattached\": %u,\n",
		status->kept_memory_bytes, status->kept_file_bytes, status->unattached);
	status_write_asked_of_root_json(out, status);
	fputs("  \"images\": [\n", out);
	for (size_t i = 0; i < status->count; i++) {
		write_image(out, status, &status->images[i]);
		fputs(i + 1 < status->count ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
}
