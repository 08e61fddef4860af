/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/status_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fold.h"
#include "base/text.h"
#include "fuse/process/confine.h"

#define ROOT_NAMES_SHOWN 8

/* ---- words ---------------------------------------------------------------- */

static void write_bytes(FILE *out, uint64_t bytes)
{
	text_write_size(out, bytes, "");
}

static void write_used(FILE *out, uint64_t bytes, uint64_t limit_bytes)
{
	write_bytes(out, bytes);
	fputs(" of ", out);
	write_bytes(out, limit_bytes);
}

static void write_process(FILE *out, pid_t process, const char *name)
{
	fprintf(out, "%d", (int)process);
	if (name[0] != '\0') {
		fputs(" (", out);
		text_write_plain(out, name);
		fputc(')', out);
	}
}

static void write_boards(FILE *out, const struct view_found *found)
{
	for (size_t i = 0; i < found->board_count; i++) {
		if (i > 0)
			fputc(' ', out);
		text_write_plain(out, found->boards[i].name);
	}
}

/* ---- what was asked for ----------------------------------------------------- */

static void write_missing(FILE *out, const struct status *status, const struct asked_missing *missing)
{
	fputs("  ", out);
	text_write_plain(out, missing->name);
	fprintf(out, "  %" PRIu64 " %s, ", missing->count, missing->count == 1 ? "time" : "times");
	status_write_age(out, status_seconds_ago(status, missing->when_ns));
	fputs(" ago\n", out);
}

static void write_request(FILE *out, const struct status *status, const struct asked_request *request)
{
	fputs("  ", out);
	text_write_plain(out, request->name);
	fprintf(out, "  %s", status_outcome_word(request->outcome));
	if (request->outcome == ASKED_OPENED)
		fprintf(out, ", version %" PRIu64, request->version);
	if (request->times > 1)
		fprintf(out, ", %u times", request->times);
	fputs(", ", out);
	status_write_age(out, status_seconds_ago(status, request->when_ns));
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
		if (strcmp(image->found->boards[i].name, name) == 0)
			return true;
	return false;
}

/* `name` is the image's, or that of the only board to tell of. */
static void write_asked(FILE *out, const struct status *status, const struct status_image *image, const char *name)
{
	bool one = strcmp(name, image->name) != 0 && is_board_of(image, name);

	for (size_t i = 0; i < image->found->board_count; i++) {
		const char *board = image->found->boards[i].name;
		struct asked_board *asked = one && strcmp(board, name) != 0 ? NULL : asked_board(status->asked, board);

		if (asked)
			write_log(out, status, &asked->log, board);
	}
	if (!one && image->found->image)
		write_log(out, status, atomic_load(&image->found->image->asked), NULL);
}

static void write_asked_of_root(FILE *out, const struct status *status)
{
	struct asked_copy copy;
	size_t shown = 0;

	asked_copy(&status->asked->root, &copy);
	for (size_t i = 0; i < copy.missing_count && shown < ROOT_NAMES_SHOWN; i++) {
		/* The last ones, not those that were asked for most: the board that is looked at now. */
		const struct asked_missing *last = NULL;

		for (size_t j = 0; j < copy.missing_count; j++)
			if (copy.missing[j].when_ns >= 0 && (!last || copy.missing[j].when_ns > last->when_ns))
				last = &copy.missing[j];
		if (!last)
			return;
		/* What has come to be there since is not missing. */
		if (!problem_is_named(status, last->name)) {
			if (shown++ == 0)
				fputs("\nasked for, and no image or board (is a link missing?):\n", out);
			write_missing(out, status, last);
		}
		copy.missing[last - copy.missing].when_ns = -1;
	}
}

/* ---- the table ------------------------------------------------------------ */

enum column { NAME, PARTITION, CHANGES, REPORTS, OPEN, COLUMNS };

static const char *const headings[COLUMNS] = { "IMAGE", "PARTITION", "CHANGES", "REPORTS", "OPEN" };

static void write_partition(FILE *out, const struct cache_image_status *cache)
{
	if (cache->boot_known) {
		fprintf(out, "%u ", cache->boot_number);
		write_bytes(out, cache->boot_length_bytes);
		fprintf(out, " (%s)", status_boot_reason(cache));
	} else {
		fputs(!cache->table_known ? "-" : cache->problem ? "not known" : "not looked for", out);
	}
}

/* "exact: nbd-server"; of several reporters the first. */
static void write_reports(FILE *out, const struct status_image *image)
{
	fputs(status_reports_word(image), out);
	if (image->reporter_count > 0)
		fprintf(out, ": %s", notify_form_name(image->reports.reporter[0].form));
	if (image->has_reports && image->reports.reporters > 1)
		fprintf(out, " +%u", image->reports.reporters - 1);
}

static void write_cell(FILE *out, const struct status_image *image, enum column column)
{
	bool known = image->open && !image->busy;

	switch (column) {
	case NAME:
		text_write_plain(out, image->name);
		break;
	case PARTITION:
		if (known)
			write_partition(out, &image->cache);
		else
			fputs(image->busy ? "busy" : "idle", out);
		break;
	case CHANGES:
		fputs(known ? image->cache.change_source : "-", out);
		break;
	case REPORTS:
		write_reports(out, image);
		break;
	case OPEN:
	default:
		if (known)
			fprintf(out, "%u", image->cache.open_files);
		else
			fputc('-', out);
	}
}

/* The cell as text of at most `size_bytes`; its width in characters. */
static int cell(char *text, size_t size_bytes, const struct status_image *image, enum column column)
{
	FILE *out = fmemopen(text, size_bytes, "w");
	int width = 0;

	text[0] = '\0';
	if (!out)
		return 0;
	write_cell(out, image, column);
	fclose(out);
	text[size_bytes - 1] = '\0';
	for (const char *at = text; *at; at++)
		width += ((unsigned char)*at & 0xc0) != 0x80;
	return width;
}

static void write_rows(FILE *out, const struct status *status)
{
	int widths[COLUMNS];
	char text[1024];

	for (int column = 0; column < COLUMNS; column++) {
		widths[column] = (int)strlen(headings[column]);
		for (size_t i = 0; i < status->count; i++) {
			int width = cell(text, sizeof(text), &status->images[i], (enum column)column);

			if (width > widths[column])
				widths[column] = width;
		}
	}
	for (int column = 0; column < COLUMNS; column++)
		fprintf(out, "%-*s  ", widths[column], headings[column]);
	fputs("BOARDS\n", out);
	for (size_t i = 0; i < status->count; i++) {
		for (int column = 0; column < COLUMNS; column++) {
			int width = cell(text, sizeof(text), &status->images[i], (enum column)column);

			fprintf(out, "%s%*s  ", text, widths[column] - width, "");
		}
		write_boards(out, status->images[i].found);
		fputs(status->images[i].found->gone ? " (removed, still in use)\n" : "\n", out);
	}
}

static void write_complaint(FILE *out, const struct status_image *image)
{
	text_write_plain(out, image->complaint);
	fputs(", ", out);
	status_write_age(out, image->complaint_age_seconds);
	fputs(" ago\n", out);
}

static void write_own_count(FILE *out, const char *name, size_t count)
{
	if (count == 0)
		return;
	text_write_plain(out, name);
	fprintf(out, ": own files: %zu\n", count);
}

/* Of the image, and of its boards. */
static void write_own(FILE *out, const struct view_found *found)
{
	write_own_count(out, found->name, found->own_count);
	for (size_t i = 0; i < found->board_count; i++)
		write_own_count(out, found->boards[i].name, found->boards[i].own_count);
}

/* What one has to know of an image and has no column. */
static void write_remarks(FILE *out, const struct status_image *image)
{
	const char *why_not = image->has_reports ? image->reports.log.why_not : NULL;

	if (why_not) {
		text_write_plain(out, image->name);
		fprintf(out, ": writes are not known exactly: %s\n", why_not);
	}
	if (image->unattached > 0) {
		text_write_plain(out, image->name);
		fprintf(out, ": %u control files are open and not listened to (yet)\n", image->unattached);
	}
	if (image->complaint && !problem_is_complaint(image)) {
		text_write_plain(out, image->name);
		fputs(": ", out);
		write_complaint(out, image);
	}
	write_own(out, image->found);
}

/* Whoever put one there wonders why it is not shown. One that was unpacked is there as an image. */
static void write_archives(FILE *out, const struct status *status)
{
	for (size_t i = 0; i < status->survey.archive_count; i++) {
		const struct view_archive *archive = &status->survey.archives[i];
		CLEANUP_FREE char *line = NULL;
		size_t length;
		FILE *plain;

		if (problem_is_unpacked(status, archive->file) || !(plain = open_memstream(&line, &length)))
			continue;
		fprintf(plain, "%s: is %s, and not shown: ", archive->file, archive_text(archive->kind));
		problem_write_archive(plain, status, archive->file, archive->kind);
		if (fclose(plain) == 0)
			text_write_plain(out, line);
		fputc('\n', out);
	}
}

static void write_table(FILE *out, const struct status *status, const struct problems *problems)
{
	problems_write_text(out, problems);
	fputs("imagefs " IMAGEFS_VERSION ": ", out);
	text_write_plain(out, status->source);
	fputs(" on ", out);
	text_write_plain(out, status->options->mountpoint);
	fputs(", for ", out);
	status_write_age(out, status->uptime_seconds);
	fprintf(out, "\n%zu images, %zu open; kept for open files: ", status->count, status->open_count);
	write_used(out, status->use.kept.memory_bytes, status->use.kept_limit.memory_bytes);
	fputs(" in memory, ", out);
	write_used(out, status->use.kept.file_bytes, status->use.kept_limit.file_bytes);
	fputs(" in files; of directories and files: ", out);
	write_used(out, status->use.memory_bytes, status->use.memory_limit_bytes);
	if (status->clone_bytes > 0) {
		fputs("; of clones, not read again: ", out);
		text_write_size(out, status->clone_bytes, "");
	}
	fputc('\n', out);
	usage_write_text(out, &status->usage);
	fprintf(out, "privileges: %s", confine_in_force());
	if (confine_missing()[0] != '\0')
		fprintf(out, "; without: %s", confine_missing());
	fputc('\n', out);
	fputc('\n', out);
	write_rows(out, status);
	fputc('\n', out);
	for (size_t i = 0; i < status->count; i++)
		write_remarks(out, &status->images[i]);
	write_archives(out, status);
	write_asked_of_root(out, status);
}

/* What is written in between, folded. No memory: nothing, as if it was short (out is memory, too). */
static FILE *begin_folded(char **text, size_t *length)
{
	return open_memstream(text, length);
}

static void end_folded(FILE *folded, char **text, FILE *out)
{
	if (folded && fclose(folded) == 0)
		fold_write(out, *text);
	free(*text);
}

void status_write_table(FILE *out, const struct status *status, const struct problems *problems)
{
	char *text = NULL;
	size_t length;
	FILE *folded = begin_folded(&text, &length);

	if (folded)
		write_table(folded, status, problems);
	end_folded(folded, &text, out);
}

/* ---- one image ------------------------------------------------------------ */

static void write_image_reports(FILE *out, const struct status_image *image)
{
	const struct reports_status *reports = &image->reports;

	fprintf(out, "reports: %s", status_reports_word(image));
	if (reports->log.why_not)
		fprintf(out, ": %s", reports->log.why_not);
	fputc('\n', out);
	for (unsigned i = 0; i < image->reporter_count; i++) {
		fprintf(out, "reporter: %s, process ", notify_form_name(reports->reporter[i].form));
		write_process(out, reports->reporter[i].thread, image->reporters[i]);
		fprintf(out, ", %" PRIu64 " writes\n", reports->reporter[i].writes);
	}
	if (reports->reporters > image->reporter_count)
		fprintf(out, "more reporters: %u\n", reports->reporters - image->reporter_count);
	fprintf(out, "reported writes: %" PRIu64 ", %" PRIu64 " bytes, %u in flight\n", reports->log.writes,
		reports->log.written_bytes, reports->log.in_flight);
	if (reports->log.quiet_ns >= 0)
		fprintf(out, "quiet: %.3f s\n", (double)reports->log.quiet_ns / 1e9);
	fprintf(out, "guarded files: %u\n", reports->log.guarded);
	fprintf(out, "kept before a write: %" PRIu64 " bytes; lost: %" PRIu64 "\n", reports->log.saved_bytes, reports->log.lost);
}

static void write_image_partition(FILE *out, const struct cache_image_status *cache)
{
	static const char *const schemes[] = { "none", "MBR", "GPT" };

	if (cache->table_known)
		fprintf(out, "partition table: %s, FAT partitions: %u\n", schemes[cache->scheme], cache->fat_count);
	if (cache->boot_known)
		fprintf(out, "boot partition: %u (%s), %" PRIu64 " bytes at %" PRIu64 "\n", cache->boot_number,
			status_boot_reason(cache), cache->boot_length_bytes, cache->boot_offset_bytes);
	if (cache->boot_tryboot)
		fprintf(out, "tryboot partition: %u (autoboot.txt of partition %u)\n", cache->boot_tryboot, cache->boot_autoboot);
	fprintf(out, "changes: %s\n", cache->change_source);
	fprintf(out, "open files: %u\n", cache->open_files);
	if (cache->problem)
		fprintf(out, "problem: %s\n", cache->problem);
}

static void write_image_use(FILE *out, const struct cache_use *use)
{
	fprintf(out, "memory: %" PRIu64 " of %" PRIu64 " bytes\n", use->memory_bytes, use->memory_limit_bytes);
	fprintf(out, "kept for open files: %" PRIu64 " of %" PRIu64 " bytes in memory, %" PRIu64 " of %" PRIu64 " in files\n",
		use->kept.memory_bytes, use->kept_limit.memory_bytes, use->kept.file_bytes, use->kept_limit.file_bytes);
}

static void write_image(FILE *out, const struct status *status, const struct status_image *image, const char *name)
{
	fputs("image: ", out);
	text_write_plain(out, image->name);
	fputs("\nboards: ", out);
	write_boards(out, image->found);
	fprintf(out, "\nstate: %s%s\n", !image->open ? "idle" : image->busy ? "busy" : "open",
		image->found->gone ? ", removed" : "");
	write_own(out, image->found);
	if (image->uri) {
		fputs("uri: ", out);
		text_write_plain(out, image->uri);
	}
	if (image->connection) {
		fputs("\nconnection: ", out);
		text_write_plain(out, image->connection);
		fputc('\n', out);
	}
	if (image->open && !image->busy)
		write_image_partition(out, &image->cache);
	if (image->open)
		write_image_use(out, &image->use);
	if (image->has_reports)
		write_image_reports(out, image);
	if (image->unattached > 0)
		fprintf(out, "not listened to: %u control files\n", image->unattached);
	if (image->complaint) {
		fputs("last error: ", out);
		write_complaint(out, image);
	}
	write_asked(out, status, image, name);
}

static bool is_image(const struct view_found *found, const struct view_identity *identity, const char *name)
{
	if (identity->device == 0 && identity->inode == 0)
		return strcmp(found->name, name) == 0;
	return found->image && view_identity_equal(&found->image->identity, identity);
}

static void write_one(FILE *out, const struct status *status, const struct view_identity *identity, const char *name)
{
	for (size_t i = 0; i < status->count; i++) {
		if (is_image(status->images[i].found, identity, name)) {
			write_image(out, status, &status->images[i], name);
			return;
		}
	}
	fputs("image: ", out);
	text_write_plain(out, name);
	fputs("\nstate: unknown\n", out);
}

void status_write_image(FILE *out, const struct status *status, const struct view_identity *identity, const char *name)
{
	char *text = NULL;
	size_t length;
	FILE *folded = begin_folded(&text, &length);

	if (folded)
		write_one(folded, status, identity, name);
	end_folded(folded, &text, out);
}
