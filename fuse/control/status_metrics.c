/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_metrics.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "fuse/control/status_fields.h"

static void write_head(FILE *out, const char *name, const char *help)
{
	bool counter = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, counter ? "counter" : "gauge");
}

static void write_of_images(FILE *out, const struct status *status, const struct status_field *field)
{
	write_head(out, field->metric, field->help);
	for (size_t i = 0; i < status->count; i++) {
		const struct status_image *image = &status->images[i];

		if (!image->open || !status_field_is_known(image, field))
			continue;
		fprintf(out, "%s{image=", field->metric);
		text_write_label(out, image->name);
		fputs("} ", out);
		status_field_write(out, image, field, false);
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
	size_t field_count;
	const struct status_field *fields = status_fields(&field_count);
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
	for (size_t i = 0; i < field_count; i++)
		if (fields[i].metric)
			write_of_images(out, status, &fields[i]);
	write_of_boards(out, status);
	write_own_files(out, status);
	problems_write_metrics(out, problems);
}
