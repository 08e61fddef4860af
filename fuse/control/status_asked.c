/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_asked.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#define ROOT_NAMES_SHOWN 8

static double seconds_ago(const struct status *status, int64_t when_ns)
{
	return status->now_ns > when_ns ? (double)(status->now_ns - when_ns) / 1e9 : 0;
}

static const char *outcome_word(enum asked_outcome outcome)
{
	static const char *const words[] = { "found", "not found", "error" };

	return words[outcome];
}

/* ---- for people ----------------------------------------------------------- */

static void write_missing(FILE *out, const struct status *status, const struct asked_missing *missing)
{
	fputs("  ", out);
	text_write_plain(out, missing->name);
	fprintf(out, "  %" PRIu64 " %s, ", missing->count, missing->count == 1 ? "time" : "times");
	status_write_age(out, seconds_ago(status, missing->when_ns));
	fputs(" ago\n", out);
}

static void write_request(FILE *out, const struct status *status, const struct asked_request *request)
{
	fputs("  ", out);
	text_write_plain(out, request->name);
	fprintf(out, "  %s", outcome_word(request->outcome));
	if (request->outcome == ASKED_OPENED)
		fprintf(out, ", version %" PRIu64, request->version);
	if (request->times > 1)
		fprintf(out, ", %u times", request->times);
	fputs(", ", out);
	status_write_age(out, seconds_ago(status, request->when_ns));
	fputs(" ago\n", out);
}

static void write_log(FILE *out, const struct status *status, struct asked_log *log, const char *board)
{
	struct asked_copy copy;

	asked_copy(log, &copy);
	if (copy.recent_count == 0)
		return;
	fputs("last requests", out);
	if (board) {
		fputs(" of ", out);
		text_write_plain(out, board);
	}
	fprintf(out, " (%" PRIu64 " opened, %" PRIu64 " not found):\n", copy.opened, copy.absent);
	for (size_t i = 0; i < copy.recent_count; i++)
		write_request(out, status, &copy.recent[i]);
	if (copy.missing_count > 0)
		fputs("not found:\n", out);
	for (size_t i = 0; i < copy.missing_count; i++)
		write_missing(out, status, &copy.missing[i]);
}

static bool is_board_of(const struct status_image *image, const char *name)
{
	for (size_t i = 0; i < image->found->board_count; i++)
		if (strcmp(image->found->boards[i], name) == 0)
			return true;
	return false;
}

void status_write_asked(FILE *out, const struct status *status, const struct status_image *image, const char *name)
{
	bool one = strcmp(name, image->name) != 0 && is_board_of(image, name);

	for (size_t i = 0; i < image->found->board_count; i++) {
		const char *board = image->found->boards[i];
		struct asked_board *asked = one && strcmp(board, name) != 0 ? NULL : asked_board(status->asked, board);

		if (asked)
			write_log(out, status, &asked->log, board);
	}
	if (!one && image->found->image)
		write_log(out, status, atomic_load(&image->found->image->asked), NULL);
}

void status_write_asked_of_root(FILE *out, const struct status *status)
{
	struct asked_copy copy;

	asked_copy(&status->asked->root, &copy);
	if (copy.recent_count == 0)
		return;
	fputs("\nasked for, and no image or board (is a link missing?):\n", out);
	for (size_t i = 0; i < copy.missing_count && i < ROOT_NAMES_SHOWN; i++) {
		/* The last ones, not those that were asked for most: the board that is looked at now. */
		const struct asked_missing *last = NULL;

		for (size_t j = 0; j < copy.missing_count; j++)
			if (copy.missing[j].when_ns >= 0 && (!last || copy.missing[j].when_ns > last->when_ns))
				last = &copy.missing[j];
		if (!last)
			return;
		write_missing(out, status, last);
		copy.missing[last - copy.missing].when_ns = -1;
	}
}

/* ---- for programs --------------------------------------------------------- */

static void write_missing_json(FILE *out, const struct status *status, const struct asked_copy *copy)
{
	fputs("[", out);
	for (size_t i = 0; i < copy->missing_count; i++) {
		const struct asked_missing *missing = &copy->missing[i];

		fputs(i > 0 ? ", {\"name\": " : "{\"name\": ", out);
		text_write_json(out, missing->name);
		fprintf(out, ", \"count\": %" PRIu64 ", \"age_seconds\": %.1f}", missing->count,
			seconds_ago(status, missing->when_ns));
	}
	fputs("]", out);
}

static void write_log_json(FILE *out, const struct status *status, struct asked_log *log, const char *board, bool *first)
{
	struct asked_copy copy;

	asked_copy(log, &copy);
	if (copy.recent_count == 0)
		return;
	fputs(*first ? "{\"board\": " : ", {\"board\": ", out);
	*first = false;
	if (board)
		text_write_json(out, board);
	else
		fputs("null", out);
	fprintf(out, ", \"opened\": %" PRIu64 ", \"not_found\": %" PRIu64 ", \"requests\": [", copy.opened, copy.absent);
	for (size_t i = 0; i < copy.recent_count; i++) {
		const struct asked_request *request = &copy.recent[i];

		fputs(i > 0 ? ", {\"name\": " : "{\"name\": ", out);
		text_write_json(out, request->name);
		fprintf(out, ", \"result\": \"%s\", \"version\": ", outcome_word(request->outcome));
		if (request->outcome == ASKED_OPENED)
			fprintf(out, "%" PRIu64, request->version);
		else
			fputs("null", out);
		fprintf(out, ", \"times\": %u, \"age_seconds\": %.1f}", request->times, seconds_ago(status, request->when_ns));
	}
	fputs("], \"names_not_found\": ", out);
	write_missing_json(out, status, &copy);
	fputs("}", out);
}

void status_write_asked_json(FILE *out, const struct status *status, const struct status_image *image)
{
	struct view_image *known = image->found->image;
	bool first = true;

	fprintf(out, ", \"opened\": %" PRIu64 ", \"not_found\": %" PRIu64 ", \"asked\": [",
		image->opened, image->absent);
	for (size_t i = 0; i < image->found->board_count; i++) {
		struct asked_board *board = asked_board(status->asked, image->found->boards[i]);

		if (board)
			write_log_json(out, status, &board->log, board->name, &first);
	}
	if (known)
		write_log_json(out, status, atomic_load(&known->asked), NULL, &first);
	fputs("]", out);
}

void status_write_asked_of_root_json(FILE *out, const struct status *status)
{
	struct asked_copy copy;

	asked_copy(&status->asked->root, &copy);
	fprintf(out, "  \"not_found\": %" PRIu64 ",\n  \"names_not_found\": ", copy.absent);
	write_missing_json(out, status, &copy);
	fputs(",\n", out);
}
