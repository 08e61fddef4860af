/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_programs.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "fuse/process/confine.h"

/* ---- what there is of an image, for both -------------------------------------- */

struct field {
	const char *json;	   /* its key; NULL: not there */
	const char *metric, *help; /* NULL: not there */
	enum {
		OF_REPORTS, /* there are none of most images */
		OF_CACHE,   /* known unless it is busy */
		OF_OPEN,    /* known if it is open */
		OF_IMAGE,
	} of;
	enum { FLAG, COUNT, LARGE, TEXT, SPAN, SECONDS } type; /* bool, unsigned, uint64_t, text, ns of which those below 0 are none, ns */
	size_t offset;
};

#define FIELD(field) offsetof(struct status_image, field)

static const struct field fields[] = {
	{ "opened", "imagefs_image_opens_total", "Files of the image that were opened.", OF_IMAGE, LARGE, FIELD(opened) },
	{ "not_found", "imagefs_image_not_found_total", "Names that were looked up in the image and are not there.",
	  OF_IMAGE, LARGE, FIELD(absent) },
	{ "uri", NULL, NULL, OF_IMAGE, TEXT, FIELD(uri) },
	{ "connection", NULL, NULL, OF_IMAGE, TEXT, FIELD(connection) },
	{ "unattached", NULL, NULL, OF_IMAGE, COUNT, FIELD(unattached) },
	{ "fat_partitions", NULL, NULL, OF_CACHE, COUNT, FIELD(cache.fat_count) },
	{ "changes", NULL, NULL, OF_CACHE, TEXT, FIELD(cache.change_source) },
	{ "open_files", "imagefs_image_open_files", "Files of the image that are open.", OF_CACHE, COUNT,
	  FIELD(cache.open_files) },
	{ "memory_bytes", "imagefs_image_memory_bytes", "Memory for directories and files of the image.", OF_OPEN, LARGE,
	  FIELD(use.memory_bytes) },
	{ "memory_limit_bytes", NULL, NULL, OF_OPEN, LARGE, FIELD(use.memory_limit_bytes) },
	{ "kept_memory_bytes", "imagefs_image_kept_memory_bytes", "Memory for bytes kept for open files of the image.", OF_OPEN,
	  LARGE, FIELD(use.kept.memory_bytes) },
	{ "kept_memory_limit_bytes", NULL, NULL, OF_OPEN, LARGE, FIELD(use.kept_limit.memory_bytes) },
	{ "kept_file_bytes", "imagefs_image_kept_file_bytes", "Bytes kept for open files of the image in temporary files.",
	  OF_OPEN, LARGE, FIELD(use.kept.file_bytes) },
	{ "kept_file_limit_bytes", NULL, NULL, OF_OPEN, LARGE, FIELD(use.kept_limit.file_bytes) },
	{ "problem", NULL, NULL, OF_CACHE, TEXT, FIELD(cache.problem) },
	{ NULL, "imagefs_image_problem", "1 if the image cannot be understood.", OF_CACHE, FLAG, FIELD(has_problem) },
	{ "exact", "imagefs_image_reports_exact", "1 if the reports are believed.", OF_REPORTS, FLAG,
	  FIELD(reports.log.exact) },
	{ "why_not", NULL, NULL, OF_REPORTS, TEXT, FIELD(reports.log.why_not) },
	{ "kernel", NULL, NULL, OF_REPORTS, FLAG, FIELD(reports.log.kernel) },
	{ "stranger_seconds", NULL, NULL, OF_REPORTS, SPAN, FIELD(reports.log.stranger_ns) },
	{ "reporter_count", "imagefs_image_reporters", "Servers that report their writes to the image.", OF_REPORTS, COUNT,
	  FIELD(reports.reporters) },
	{ "writes", "imagefs_image_reported_writes_total", "Writes that were reported.", OF_REPORTS, LARGE,
	  FIELD(reports.log.writes) },
	{ "written_bytes", "imagefs_image_reported_bytes_total", "Bytes of the writes that were reported.", OF_REPORTS, LARGE,
	  FIELD(reports.log.written_bytes) },
	{ "in_flight", "imagefs_image_writes_in_flight", "Writes begun and not ended.", OF_REPORTS, COUNT,
	  FIELD(reports.log.in_flight) },
	{ "quiet_seconds", NULL, NULL, OF_REPORTS, SPAN, FIELD(reports.log.quiet_ns) },
	{ "guarded_files", NULL, NULL, OF_REPORTS, COUNT, FIELD(reports.log.guarded) },
	{ "flux_seconds", "imagefs_image_flux_seconds",
	  "How long the image has been written, and nobody who asked got an answer.", OF_IMAGE, SECONDS, FIELD(flux_ns) },
	{ "saved_bytes", "imagefs_image_saved_bytes_total", "Bytes kept for readers before they were overwritten.", OF_REPORTS,
	  LARGE, FIELD(reports.log.saved_bytes) },
	{ "lost", "imagefs_image_lost_chunks_total", "Pieces that could not be kept in time.", OF_REPORTS, LARGE,
	  FIELD(reports.log.lost) },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool is_known(const struct status_image *image, const struct field *field)
{
	if (field->of == OF_REPORTS)
		return image->has_reports;
	return field->of == OF_IMAGE || (image->open && (field->of == OF_OPEN || !image->busy));
}

static void write_value(FILE *out, const struct status_image *image, const struct field *field, bool json)
{
	const void *at = (const char *)image + field->offset;
	bool flag = field->type == FLAG && *(const bool *)at;

	switch (field->type) {
	case FLAG:
		fputs(json ? (flag ? "true" : "false") : (flag ? "1" : "0"), out);
		break;
	case COUNT:
		fprintf(out, "%u", *(const unsigned *)at);
		break;
	case LARGE:
		fprintf(out, "%" PRIu64, *(const uint64_t *)at);
		break;
	case TEXT:
		text_write_json(out, *(const char *const *)at);
		break;
	case SECONDS:
		fprintf(out, "%.3f", (double)*(const int64_t *)at / 1e9);
		break;
	case SPAN:
		if (*(const int64_t *)at < 0)
			fputs("null", out);
		else
			fprintf(out, "%.6f", (double)*(const int64_t *)at / 1e9);
	}
}

/* ---- status.json ------------------------------------------------------------- */

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
		fprintf(out, ", \"result\": \"%s\", \"version\": ", status_outcome_word(request->outcome));
		if (request->outcome == ASKED_OPENED)
			fprintf(out, "%" PRIu64, request->version);
		else
			fputs("null", out);
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
	for (size_t i = 0; i < FIELDS; i++) {
		if (!fields[i].json || fields[i].of != of)
			continue;
		fprintf(out, ", \"%s\": ", fields[i].json);
		write_value(out, image, &fields[i], true);
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
	write_fields(out, image, OF_REPORTS);
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
		write_fields(out, image, OF_CACHE);
	}
	if (image->open)
		write_fields(out, image, OF_OPEN);
	if (image->has_reports)
		write_reports(out, image);
	write_fields(out, image, OF_IMAGE);
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
		fprintf(out, ", \"result\": \"%s\", \"version\": ", status_outcome_word(request->outcome));
		if (request->outcome == ASKED_OPENED)
			fprintf(out, "%" PRIu64, request->version);
		else
			fputs("null", out);
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

/* ---- metrics ----------------------------------------------------------------- */

static void write_head(FILE *out, const char *name, const char *help)
{
	bool counter = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, counter ? "counter" : "gauge");
}

static void write_of_images(FILE *out, const struct status *status, const struct field *field)
{
	write_head(out, field->metric, field->help);
	for (size_t i = 0; i < status->count; i++) {
		const struct status_image *image = &status->images[i];

		if (!image->open || !is_known(image, field))
			continue;
		fprintf(out, "%s{image=", field->metric);
		text_write_label(out, image->name);
		fputs("} ", out);
		write_value(out, image, field, false);
		fputc('\n', out);
	}
}

static void write_board(FILE *out, const char *metric, const char *image, const char *board)
{
	fprintf(out, "%s{image=", metric);
	text_write_label(out, image);
	fputs(",board=", out);
	text_write_label(out, board);
}

enum of_board { BOARD_OPENED, BOARD_ABSENT, BOARD_FAILED, BOARD_LAST, BOARD_LAST_FAILED, BOARD_NAMES };

/* What never was has no time. */
static void write_value_of_board(FILE *out, const char *metric, enum of_board what, const char *image, const char *board,
				 const struct asked_copy *copy, int64_t now_ns)
{
	bool is_time = what == BOARD_LAST || what == BOARD_LAST_FAILED;
	int64_t when_ns = what == BOARD_LAST ? copy->last_ns : copy->failed_ns;
	uint64_t count = what == BOARD_OPENED ? copy->opened : what == BOARD_ABSENT ? copy->absent : copy->failed;

	if (is_time && when_ns == 0)
		return;
	write_board(out, metric, image, board);
	if (is_time)
		fprintf(out, "} %.3f\n", (double)time(NULL) - (double)(now_ns - when_ns) / 1e9);
	else
		fprintf(out, "} %" PRIu64 "\n", count);
}

/* Of one board; its log is copied, since together they would be large. */
static void write_of_board(FILE *out, const char *metric, enum of_board what, const char *image, struct asked_board *board,
			   int64_t now_ns)
{
	struct asked_copy copy;

	asked_copy(&board->log, &copy);
	if (what != BOARD_NAMES) {
		write_value_of_board(out, metric, what, image, board->name, &copy, now_ns);
		return;
	}
	for (size_t i = 0; i < copy.missing_count; i++) {
		write_board(out, metric, image, board->name);
		fputs(",name=", out);
		text_write_label(out, copy.missing[i].name);
		fprintf(out, "} %.17g\n", (double)copy.missing[i].count);
	}
}

static void write_of_boards(FILE *out, const struct status *status)
{
	static const char *const metrics_of_boards[][2] = {
		[BOARD_OPENED] = { "imagefs_board_opens_total", "Files that the board opened." },
		[BOARD_ABSENT] = { "imagefs_board_not_found_total",
				   "Names that the board asked for and that are not there." },
		[BOARD_FAILED] = { "imagefs_board_errors_total", "Answers to the board that were EIO." },
		[BOARD_LAST] = { "imagefs_board_asked_timestamp_seconds", "When the board last asked for anything." },
		[BOARD_LAST_FAILED] = { "imagefs_board_error_timestamp_seconds",
					"When an answer to the board was last EIO." },
		[BOARD_NAMES] = { "imagefs_board_name_not_found_total", "The same, of the names asked for most." },
	};

	for (enum of_board what = BOARD_OPENED; what <= BOARD_NAMES; what++) {
		const char *metric = metrics_of_boards[what][0];

		write_head(out, metric, metrics_of_boards[what][1]);
		for (size_t i = 0; i < status->count; i++) {
			const struct status_image *image = &status->images[i];

			for (size_t j = 0; j < image->found->board_count; j++) {
				struct asked_board *board = asked_board(status->asked, image->found->boards[j].name);

				if (board)
					write_of_board(out, metric, what, image->name, board, status->now_ns);
			}
		}
	}
}

/* Of images and boards that have some. */
static void write_own_files(FILE *out, const struct status *status)
{
	write_head(out, "imagefs_own_files", "Files of its own that stand before the image's.");
	for (size_t i = 0; i < status->count; i++) {
		const struct view_found *found = status->images[i].found;

		if (found->own_count > 0) {
			write_board(out, "imagefs_own_files", status->images[i].name, "");
			fprintf(out, "} %zu\n", found->own_count);
		}
		for (size_t j = 0; j < found->board_count; j++) {
			if (found->boards[j].own_count == 0)
				continue;
			write_board(out, "imagefs_own_files", status->images[i].name, found->boards[j].name);
			fprintf(out, "} %zu\n", found->boards[j].own_count);
		}
	}
}

static void write_single(FILE *out, const char *name, const char *help, double value)
{
	write_head(out, name, help);
	fprintf(out, "%s %.17g\n", name, value);
}

static void write_kept(FILE *out, const char *name, const char *help, const struct kept_amount *amount)
{
	write_head(out, name, help);
	fprintf(out, "%s{place=\"memory\"} %.17g\n", name, (double)amount->memory_bytes);
	fprintf(out, "%s{place=\"file\"} %.17g\n", name, (double)amount->file_bytes);
}

void status_write_metrics(FILE *out, const struct status *status, const struct problems *problems)
{
	struct asked_copy root;

	write_head(out, "imagefs_info", "What is shown where.");
	fputs("imagefs_info{version=\"" IMAGEFS_VERSION "\",source=", out);
	text_write_label(out, status->source);
	fputs(",mountpoint=", out);
	text_write_label(out, status->options->mountpoint);
	fputs("} 1\n", out);
	write_single(out, "imagefs_uptime_seconds", "Time since the start.", status->uptime_seconds);
	write_single(out, "imagefs_complete", "0 if the directory of images does not answer.",
		     !status->survey.partial);
	write_head(out, "imagefs_images", "Images, by state.");
	fprintf(out, "imagefs_images{state=\"open\"} %zu\n", status->open_count - status->busy_count);
	fprintf(out, "imagefs_images{state=\"busy\"} %zu\n", status->busy_count);
	fprintf(out, "imagefs_images{state=\"idle\"} %zu\n", status->count - status->open_count);
	write_single(out, "imagefs_memory_bytes", "Memory for directories and files of all images.",
		     (double)status->use.memory_bytes);
	write_single(out, "imagefs_memory_limit_bytes", "How much it may be.", (double)status->use.memory_limit_bytes);
	write_kept(out, "imagefs_kept_bytes", "Bytes kept for open files, by place.", &status->use.kept);
	write_kept(out, "imagefs_kept_limit_bytes", "How many they may be, by place.", &status->use.kept_limit);
	write_single(out, "imagefs_clone_bytes_total", "Bytes of clones that were not read from the disk again.",
		     (double)status->clone_bytes);
	usage_write_metrics(out, &status->usage);
	asked_copy(&status->asked->root, &root);
	write_single(out, "imagefs_root_not_found_total", "Names that were looked up in the root and are not there.",
		     (double)root.absent);
	write_single(out, "imagefs_unattached", "Open control files that are not listened to.",
		     status->unattached);
	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].metric)
			write_of_images(out, status, &fields[i]);
	write_of_boards(out, status);
	write_own_files(out, status);
	problems_write_metrics(out, problems);
}
