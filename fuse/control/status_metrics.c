/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_metrics.h"

#include <stddef.h>

#include "base/text.h"

/* One metric of an image: a bool, an unsigned or a uint64_t of it. */
struct metric {
	const char *name, *type, *help;
	enum {
		OF_REPORTS, /* there are none of most images */
		OF_CACHE,   /* known unless it is busy */
		OF_IMAGE,
	} of;
	size_t offset, bytes;
};

#define FIELD(field) offsetof(struct status_image, field), sizeof(((struct status_image *)0)->field)

static const struct metric metrics[] = {
	{ "imagefs_image_opens_total", "counter", "Files of the image that were opened.", OF_IMAGE,
	  FIELD(opened) },
	{ "imagefs_image_not_found_total", "counter", "Names that were looked up in the image and are not there.", OF_IMAGE,
	  FIELD(absent) },
	{ "imagefs_image_open_files", "gauge", "Files of the image that are open.", OF_CACHE,
	  FIELD(cache.open_files) },
	{ "imagefs_image_problem", "gauge", "1 if the image cannot be understood.", OF_CACHE,
	  FIELD(has_problem) },
	{ "imagefs_image_reporters", "gauge", "Servers that report their writes to the image.", OF_REPORTS,
	  FIELD(reports.reporters) },
	{ "imagefs_image_reports_exact", "gauge", "1 if the reports are believed.", OF_REPORTS,
	  FIELD(reports.log.exact) },
	{ "imagefs_image_reported_writes_total", "counter", "Writes that were reported.", OF_REPORTS,
	  FIELD(reports.log.writes) },
	{ "imagefs_image_reported_bytes_total", "counter", "Bytes of the writes that were reported.", OF_REPORTS,
	  FIELD(reports.log.written_bytes) },
	{ "imagefs_image_writes_in_flight", "gauge", "Writes begun and not ended.", OF_REPORTS,
	  FIELD(reports.log.in_flight) },
	{ "imagefs_image_saved_bytes_total", "counter", "Bytes kept for readers before they were overwritten.", OF_REPORTS,
	  FIELD(reports.log.saved_bytes) },
	{ "imagefs_image_lost_chunks_total", "counter", "Pieces that could not be kept in time.", OF_REPORTS,
	  FIELD(reports.log.lost) },
};

static double value_of(const struct status_image *image, const struct metric *metric)
{
	const void *field = (const char *)image + metric->offset;

	if (metric->bytes == sizeof(bool))
		return *(const bool *)field;
	return metric->bytes == sizeof(unsigned) ? *(const unsigned *)field : (double)*(const uint64_t *)field;
}

static void write_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_of_images(FILE *out, const struct status *status, const struct metric *metric)
{
	write_head(out, metric->name, metric->type, metric->help);
	for (size_t i = 0; i < status->count; i++) {
		const struct status_image *image = &status->images[i];

		if (!image->open || (metric->of == OF_CACHE && image->busy) ||
		    (metric->of == OF_REPORTS && !image->has_reports))
			continue;
		fprintf(out, "%s{image=", metric->name);
		text_write_label(out, image->name);
		fprintf(out, "} %.17g\n", value_of(image, metric));
	}
}

static void write_board(FILE *out, const char *metric, const char *image, const char *board)
{
	fprintf(out, "%s{image=", metric);
	text_write_label(out, image);
	fputs(",board=", out);
	text_write_label(out, board);
}

enum of_board { BOARD_OPENED, BOARD_ABSENT, BOARD_NAMES };

/* Of one board; its log is copied, since together they would be large. */
static void write_of_board(FILE *out, const char *metric, enum of_board what, const char *image, struct asked_board *board)
{
	struct asked_copy copy;

	asked_copy(&board->log, &copy);
	if (what != BOARD_NAMES) {
		write_board(out, metric, image, board->name);
		fprintf(out, "} %.17g\n", (double)(what == BOARD_OPENED ? copy.opened : copy.absent));
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
		[BOARD_NAMES] = { "imagefs_board_name_not_found_total", "The same, of the names asked for most." },
	};

	for (enum of_board what = BOARD_OPENED; what <= BOARD_NAMES; what++) {
		const char *metric = metrics_of_boards[what][0];

		write_head(out, metric, "counter", metrics_of_boards[what][1]);
		for (size_t i = 0; i < status->count; i++) {
			const struct status_image *image = &status->images[i];

			for (size_t j = 0; j < image->found->board_count; j++) {
				struct asked_board *board = asked_board(status->asked, image->found->boards[j]);

				if (board)
					write_of_board(out, metric, what, image->name, board);
			}
		}
	}
}

static void write_single(FILE *out, const char *name, const char *type, const char *help, double value)
{
	write_head(out, name, type, help);
	fprintf(out, "%s %.17g\n", name, value);
}

void status_write_metrics(FILE *out, const struct status *status)
{
	struct asked_copy root;

	write_head(out, "imagefs_info", "gauge", "What is shown where.");
	fputs("imagefs_info{version=\"" IMAGEFS_VERSION "\",source=", out);
	text_write_label(out, status->options->source);
	fputs(",mountpoint=", out);
	text_write_label(out, status->options->mountpoint);
	fputs("} 1\n", out);
	write_single(out, "imagefs_uptime_seconds", "gauge", "Time since the start.", status->uptime_seconds);
	write_single(out, "imagefs_complete", "gauge", "0 if the directory of images does not answer.",
		     !status->survey.partial);
	write_head(out, "imagefs_images", "gauge", "Images, by state.");
	fprintf(out, "imagefs_images{state=\"open\"} %zu\n", status->open_count - status->busy_count);
	fprintf(out, "imagefs_images{state=\"busy\"} %zu\n", status->busy_count);
	fprintf(out, "imagefs_images{state=\"idle\"} %zu\n", status->count - status->open_count);
	write_head(out, "imagefs_kept_bytes", "gauge", "Bytes kept for open files, by place.");
	fprintf(out, "imagefs_kept_bytes{place=\"memory\"} %.17g\n", (double)status->kept_memory_bytes);
	fprintf(out, "imagefs_kept_bytes{place=\"file\"} %.17g\n", (double)status->kept_file_bytes);
	asked_copy(&status->asked->root, &root);
	write_single(out, "imagefs_root_not_found_total", "counter", "Names that were looked up in the root and are not there.",
		     (double)root.absent);
	write_single(out, "imagefs_unattached", "gauge", "Open control files that are not listened to.",
		     status->unattached);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		write_of_images(out, status, &metrics[i]);
	write_of_boards(out, status);
}
