/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_json.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "fuse/control/status_fields.h"
#include "fuse/process/confine.h"

static void write_missing(FILE *out, const struct status *status, const struct asked_copy *copy)
{
	fputs("[", out);
	for (size_t i = 0; i < copy->missing_count; i++) {
		const struct asked_missing *missing = &copy->missing[i];

		fputs(i > 0 ? ", {\"name\": " : "{\"name\": ", out);
		text_write_json(out, missing->name);
		fprintf(out, ", \"count\": %" PRIu64 ", \"age_seconds\": %.1f}", missing->count,
			status_seconds_ago(status, missing->when_ns));
	}
	fputs("]", out);
}

static void write_result(FILE *out, enum asked_outcome outcome, uint64_t version)
{
	fprintf(out, ", \"result\": \"%s\", \"version\": ", status_outcome_word(outcome));
	if (outcome == ASKED_OPENED)
		fprintf(out, "%" PRIu64, version);
	else
		fputs("null", out);
}

static void write_log(FILE *out, const struct status *status, struct asked_log *log, const char *board, bool *first)
{
	struct asked_copy copy;

	asked_copy(log, &copy);
	if (copy.recent_count == 0)
		return;
	fputs(*first ? "{\"board\": " : ", {\"board\": ", out);
	*first = false;
	text_write_json(out, board);
	fprintf(out, ", \"opened\": %" PRIu64 ", \"not_found\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"requests\": [", copy.opened,
		copy.absent, copy.failed);
	for (size_t i = 0; i < copy.recent_count; i++) {
		const struct asked_request *request = &copy.recent[i];

		fputs(i > 0 ? ", {\"name\": " : "{\"name\": ", out);
		text_write_json(out, request->name);
		write_result(out, request->outcome, request->version);
		fprintf(out, ", \"times\": %u, \"age_seconds\": %.1f}", request->times, status_seconds_ago(status, request->when_ns));
	}
	fputs("], \"names_not_found\": ", out);
	write_missing(out, status, &copy);
	fputs("}", out);
}

static void write_asked(FILE *out, const struct status *status, const struct status_image *image)
{
	struct view_image *known = image->found->image;
	bool first = true;

	fputs(", \"asked\": [", out);
	for (size_t i = 0; i < image->found->board_count; i++) {
		struct asked_board *board = asked_board(status->asked, image->found->boards[i].name);

		if (board)
			write_log(out, status, &board->log, board->name, &first);
	}
	if (known)
		write_log(out, status, atomic_load(&known->asked), NULL, &first);
	fputs("]", out);
}

static void write_fields(FILE *out, const struct status_image *image, unsigned of)
{
	size_t count;
	const struct status_field *fields = status_fields(&count);

	for (size_t i = 0; i < count; i++) {
		if (!fields[i].json || fields[i].of != of)
			continue;
		fprintf(out, ", \"%s\": ", fields[i].json);
		status_field_write(out, image, &fields[i], true);
	}
}

static void write_partition(FILE *out, const struct cache_image_status *cache)
{
	static const char *const schemes[] = { "none", "mbr", "gpt" };

	fputs(", \"table\": ", out);
	text_write_json(out, cache->table_known ? schemes[cache->scheme] : NULL);
	fputs(", \"partition\": ", out);
	if (!cache->boot_known) {
		fputs("null", out);
		return;
	}
	fprintf(out, "{\"number\": %u, \"reason\": \"%s\", \"offset_bytes\": %" PRIu64 ", \"length_bytes\": %" PRIu64,
		cache->boot_number, status_boot_reason(cache), cache->boot_offset_bytes, cache->boot_length_bytes);
	if (cache->boot_tryboot)
		fprintf(out, ", \"tryboot\": %u", cache->boot_tryboot);
	fputc('}', out);
}

static void write_reports(FILE *out, const struct status_image *image)
{
	fputs(", \"reports\": {\"reporters\": [", out);
	for (unsigned i = 0; i < image->reporter_count; i++) {
		const struct reporter_status *reporter = &image->reports.reporter[i];

		fprintf(out, "%s{\"pid\": %d, \"name\": ", i > 0 ? ", " : "", (int)reporter->thread);
		text_write_json(out, image->reporters[i]);
		fprintf(out, ", \"form\": \"%s\", \"writes\": %" PRIu64 "}", notify_form_name(reporter->form),
			reporter->writes);
	}
	fputs("]", out);
	write_fields(out, image, STATUS_OF_REPORTS);
	fputs("}", out);
}

static void write_own_of(FILE *out, const char *name, size_t count, bool *first)
{
	if (count == 0)
		return;
	fputs(*first ? "" : ", ", out);
	*first = false;
	text_write_json(out, name);
	fprintf(out, ": %zu", count);
}

/* By the name in the mount: the image's, and its boards'. */
static void write_own(FILE *out, const struct view_found *found)
{
	bool first = true;

	fputs(", \"own_files\": {", out);
	write_own_of(out, found->name, found->own_count, &first);
	for (size_t i = 0; i < found->board_count; i++)
		write_own_of(out, found->boards[i].name, found->boards[i].own_count, &first);
	fputs("}", out);
}

static void write_image(FILE *out, const struct status *status, const struct status_image *image)
{
	fputs("    {\"name\": ", out);
	text_write_json(out, image->name);
	fputs(", \"boards\": [", out);
	for (size_t i = 0; i < image->found->board_count; i++) {
		fputs(i > 0 ? ", " : "", out);
		text_write_json(out, image->found->boards[i].name);
	}
	fprintf(out, "], \"state\": \"%s\", \"removed\": %s", !image->open ? "idle" : image->busy ? "busy" : "open",
		image->found->gone ? "true" : "false");
	if (image->open && !image->busy) {
		write_partition(out, &image->cache);
		write_fields(out, image, STATUS_OF_CACHE);
	}
	if (image->open)
		write_fields(out, image, STATUS_OF_OPEN);
	if (image->has_reports)
		write_reports(out, image);
	write_fields(out, image, STATUS_OF_IMAGE);
	write_own(out, image->found);
	write_asked(out, status, image);
	fputs(", \"last_error\": ", out);
	if (image->complaint) {
		fputs("{\"text\": ", out);
		text_write_json(out, image->complaint);
		fprintf(out, ", \"age_seconds\": %.1f}", image->complaint_age_seconds);
	} else {
		fputs("null", out);
	}
	fputc('}', out);
}

/* What all images use; each of them has the same keys. */
static void write_use(FILE *out, const struct cache_use *use)
{
	fprintf(out, "  \"memory_bytes\": %" PRIu64 ",\n  \"memory_limit_bytes\": %" PRIu64 ",\n", use->memory_bytes,
		use->memory_limit_bytes);
	fprintf(out, "  \"kept_memory_bytes\": %" PRIu64 ",\n  \"kept_memory_limit_bytes\": %" PRIu64 ",\n",
		use->kept.memory_bytes, use->kept_limit.memory_bytes);
	fprintf(out, "  \"kept_file_bytes\": %" PRIu64 ",\n  \"kept_file_limit_bytes\": %" PRIu64 ",\n",
		use->kept.file_bytes, use->kept_limit.file_bytes);
}

/* What was asked for, by all, the last one at the end. */
static void write_recent(FILE *out, const struct status *status)
{
	struct recent_request *requests = calloc(RECENT_COUNT, sizeof(*requests));
	size_t count = requests ? recent_copy(&status->asked->recent, requests) : 0;

	fputs("  \"requests\": [\n", out);
	for (size_t i = 0; i < count; i++) {
		const struct recent_request *request = &requests[i];

		fprintf(out, "    {\"sequence\": %" PRIu64 ", \"age_seconds\": %.3f, \"board\": ", request->sequence,
			status_seconds_ago(status, request->when_ns));
		text_write_json(out, request->board[0] ? request->board : NULL);
		fputs(", \"image\": ", out);
		text_write_json(out, request->image[0] ? request->image : NULL);
		fputs(", \"file\": ", out);
		text_write_json(out, request->name);
		write_result(out, request->outcome, request->version);
		fputs(", \"program\": ", out);
		text_write_json(out, request->program[0] ? request->program : NULL);
		fputs(i + 1 < count ? "},\n" : "}\n", out);
	}
	fputs("  ],\n", out);
	free(requests);
}

void status_write_json(FILE *out, const struct status *status, const struct problems *problems)
{
	struct asked_copy root;

	asked_copy(&status->asked->root, &root);
	fputs("{\n  \"version\": \"" IMAGEFS_VERSION "\",\n  \"source\": ", out);
	text_write_json(out, status->source);
	fputs(",\n  \"mountpoint\": ", out);
	text_write_json(out, status->options->mountpoint);
	fputs(",\n  \"nbd\": ", out);
	text_write_json(out, status->options->nbd ? status->options->nbd : "any");
	fprintf(out, ",\n  \"uptime_seconds\": %.1f,\n  \"complete\": %s,\n", status->uptime_seconds,
		status->survey.partial ? "false" : "true");
	write_use(out, &status->use);
	fprintf(out, "  \"clone_bytes\": %" PRIu64 ",\n", status->clone_bytes);
	fprintf(out, "  \"unattached\": %u,\n", status->unattached);
	usage_write_json(out, &status->usage);
	fputs("  \"privileges\": {\"in_force\": ", out);
	text_write_json(out, confine_in_force());
	fputs(", \"missing\": ", out);
	text_write_json(out, confine_missing());
	fprintf(out, "},\n  \"not_found\": %" PRIu64 ",\n  \"names_not_found\": ", root.absent);
	write_missing(out, status, &root);
	fputs(",\n", out);
	problems_write_json(out, problems);
	write_recent(out, status);
	fputs("  \"images\": [\n", out);
	for (size_t i = 0; i < status->count; i++) {
		write_image(out, status, &status->images[i]);
		fputs(i + 1 < status->count ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
}
