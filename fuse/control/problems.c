/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/problems.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "fuse/control/status.h"
#include "fuse/names/links.h"

/* ---- finding them ----------------------------------------------------------- */

struct finding {
	const struct status *status;
	struct problems *problems;
	size_t room;
	int error;
	/* Of the problem that is being told. */
	FILE *out;
	char *text;
	size_t length;
};

static FILE *begin(struct finding *finding)
{
	finding->out = open_memstream(&finding->text, &finding->length);
	if (!finding->out)
		finding->error = -ENOMEM;
	return finding->out;
}

static void end(struct finding *finding, enum problem_kind kind, const char *name, int64_t age_ns)
{
	struct problems *problems = finding->problems;

	if (fclose(finding->out) != 0)
		finding->error = -ENOMEM;
	if (problems->count == finding->room) {
		size_t room = finding->room ? finding->room * 2 : 16;
		void *grown = reallocarray(problems->list, room, sizeof(*problems->list));

		if (!grown) {
			free(finding->text);
			finding->error = -ENOMEM;
			return;
		}
		problems->list = grown;
		finding->room = room;
	}
	problems->list[problems->count++] = (struct problem){ kind, strdup(name), finding->text, age_ns };
	if (!problems->list[problems->count - 1].name)
		finding->error = -ENOMEM;
}

static int64_t age_of(const struct finding *finding, int64_t when_ns)
{
	return when_ns == 0 ? -1 : when_ns < finding->status->now_ns ? finding->status->now_ns - when_ns : 0;
}

static bool is_recent(int64_t age_ns)
{
	return age_ns >= 0 && age_ns < PROBLEM_RECENT_NS;
}

/* "1 s", which is the least. */
static void write_span(FILE *out, int64_t ns)
{
	int64_t seconds = (ns + WAIT_S / 2) / WAIT_S;

	if (seconds < 120)
		fprintf(out, "%d s", seconds < 1 ? 1 : (int)seconds);
	else if (seconds < 2 * 3600)
		fprintf(out, "%d min", (int)(seconds / 60));
	else
		fprintf(out, "%lld h", (long long)seconds / 3600);
}

/* When anything was last asked for through that link; -1: it was not. */
static int64_t asked_age(const struct finding *finding, const char *board)
{
	struct asked_board *asked = asked_board(finding->status->asked, board);
	struct asked_copy copy = { .last_ns = 0 };

	if (asked)
		asked_copy(&asked->log, &copy);
	return age_of(finding, copy.last_ns);
}

static void write_asked(FILE *out, int64_t age_ns)
{
	if (!is_recent(age_ns))
		return;
	fputs("; asked for ", out);
	write_span(out, age_ns);
	fputs(" ago", out);
}

/* The directory that images are in; `file` is one of it, or SOURCE itself. For the caller to free. */
static char *directory_of(const struct status *status, const char *file)
{
	const char *source = status->source, *slash = strrchr(source, '/');
	bool single = status->survey.count == 1 && slash && strcmp(slash + 1, file) == 0;

	return single ? strndup(source, (size_t)(slash - source) + 1) : strdup(source);
}

/* As what is that image, not only in use still after it was removed, shown? NULL: there is none. */
static const char *shown_as(const struct status *status, const char *image)
{
	CLEANUP_FREE char *name = strndup(image, view_shown_length(image));
	const struct view_found *found = name ? view_survey_image(&status->survey, name) : NULL;

	return found && !found->gone ? found->name : NULL;
}

bool problem_is_unpacked(const struct status *status, const char *file)
{
	CLEANUP_FREE char *image = archive_image_name(file);

	return image && shown_as(status, image);
}

void problem_write_archive(FILE *out, const struct status *status, const char *file, enum archive_kind kind)
{
	CLEANUP_FREE char *directory = directory_of(status, file);
	CLEANUP_FREE char *image = archive_image_name(strrchr(file, '/') ? strrchr(file, '/') + 1 : file);
	const char *shown = image && strcmp(image, file) != 0 ? shown_as(status, image) : NULL;

	if (shown)
		fprintf(out, "link to %s, which is there", shown);
	else if (directory && image)
		archive_write_command(out, directory, file, image, kind);
}

static void find_bad_link(struct finding *finding, const struct view_bad_link *bad)
{
	static const char *const behind[] = {
		[VIEW_BAD_GONE] = ", which is not there",
		[VIEW_BAD_ARCHIVE] = ", by its name an archive: unpack it",
		[VIEW_BAD_NO_IMAGE] = ", which is no image",
		[VIEW_BAD_DIRECTORY] = ", and directories are not shown: link to it by its whole path",
		[VIEW_BAD_ROUND] = ", and on in a circle, or through too many links",
	};
	int64_t age_ns = asked_age(finding, bad->name);
	FILE *out = begin(finding);

	if (!out)
		return;
	if (bad->archive != ARCHIVE_NONE) {
		fprintf(out, "leads to %s, %s: ", bad->text, archive_text(bad->archive));
		problem_write_archive(out, finding->status, bad->text, bad->archive);
	} else {
		fprintf(out, "leads to %s%s", bad->text, behind[bad->why]);
	}
	write_asked(out, age_ns);
	end(finding, PROBLEM_LINK, bad->name, age_ns);
}

static bool has_partition(const struct cache_image_status *cache, unsigned number)
{
	for (unsigned i = 0; i < cache->fat_count && i < CACHE_STATUS_FATS; i++)
		if (cache->fat_numbers[i] == number)
			return true;
	return cache->fat_count > CACHE_STATUS_FATS;
}

static void find_bad_partition(struct finding *finding, const struct status_image *image, const struct view_board *board)
{
	int64_t age_ns = asked_age(finding, board->name);
	FILE *out;

	if (board->partition < 0 || has_partition(&image->cache, (unsigned)board->partition) || !(out = begin(finding)))
		return;
	fprintf(out, "leads to %s, and %s has no FAT partition %s", board->text, image->name,
		view_partition_suffix(board->text) + 1);
	write_asked(out, age_ns);
	end(finding, PROBLEM_LINK, board->name, age_ns);
}

static void find_links(struct finding *finding)
{
	const struct status *status = finding->status;

	for (size_t i = 0; i < status->survey.bad_count; i++)
		find_bad_link(finding, &status->survey.bad[i]);
	for (size_t i = 0; i < status->count; i++) {
		const struct status_image *image = &status->images[i];

		/* What is not known just now was not asked for either. */
		for (size_t j = 0; image->open && !image->busy && image->cache.table_known && j < image->found->board_count; j++)
			find_bad_partition(finding, image, &image->found->boards[j]);
	}
}

/*
 * May it be a board's? A Pi that asks without its name asks for files, all of which have a dot in their
 * names but for the directory of overlays; what has a dot and is a name is an address. A server that is
 * chrooted to the mount asks for /dev/log, /etc/localtime and their like by itself.
 */
static bool may_be_board(const char *name)
{
	static const char *const others[] = { "overlays", "dev", "etc", "lib", "lib64", "proc", "run", "sys", "usr", "var" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return !strchr(name, '.') || name[strspn(name, "0123456789.")] == '\0';
}

/* Is there one by now, or was it a partition that was asked for? */
static bool has_name(const struct view_survey *survey, const char *name)
{
	char base[ASKED_NAME_BYTES];

	snprintf(base, sizeof(base), "%.*s", (int)(view_partition_suffix(name) - name), name);
	return view_survey_has_link(survey, name) || view_survey_image(survey, base);
}

bool problem_is_named(const struct status *status, const char *name)
{
	return has_name(&status->survey, name);
}

static void find_without_link(struct finding *finding)
{
	const struct status *status = finding->status;
	struct asked_copy copy;

	asked_copy(&status->asked->root, &copy);
	for (size_t i = 0; i < copy.missing_count; i++) {
		const struct asked_missing *missing = &copy.missing[i];
		int64_t age_ns = age_of(finding, missing->when_ns);

		if (!is_recent(age_ns) || !may_be_board(missing->name) || has_name(&status->survey, missing->name) ||
		    !begin(finding))
			continue;
		fputs("asked for ", finding->out);
		write_span(finding->out, age_ns);
		fputs(" ago, no link", finding->out);
		end(finding, PROBLEM_NO_LINK, missing->name, age_ns);
	}
}

static void write_check(FILE *out, const char *name)
{
	fputs(": imagefsctl check ", out);
	text_write_word(out, name);
}

static void write_conversion(FILE *out, const struct status *status, const struct status_image *image)
{
	CLEANUP_FREE char *file = view_image_file(image->found->image);

	fputs(": ", out);
	if (file)
		problem_write_archive(out, status, file, image->cache.archive);
}

bool problem_is_complaint(const struct status_image *image)
{
	return image->complaint && !image->complaint_is_over && image->complaint_age_seconds * 1e9 < (double)PROBLEM_RECENT_NS;
}

static void find_of_image(struct finding *finding, const struct status_image *image)
{
	int64_t age_ns = image->complaint ? (int64_t)(image->complaint_age_seconds * 1e9) : -1;
	bool file = problem_is_complaint(image);
	FILE *out = image->has_problem || file ? begin(finding) : NULL;

	if (out) {
		fputs(file ? image->complaint : image->cache.problem, out);
		if (image->has_problem && image->cache.archive != ARCHIVE_NONE)
			write_conversion(out, finding->status, image);
		else if (image->has_problem || image->complaint_is_damage)
			write_check(out, image->name);
		if (file)
			write_asked(out, age_ns);
		end(finding, image->has_problem ? PROBLEM_IMAGE : PROBLEM_FILE, image->name, age_ns);
	}
	if (image->flux_ns >= PROBLEM_FLUX_NS && begin(finding)) {
		fputs("is being written for ", finding->out);
		write_span(finding->out, image->flux_ns);
		fputs(", and nobody who asks gets an answer", finding->out);
		end(finding, PROBLEM_WRITES, image->name, -1);
	}
}

static int compare(const void *a, const void *b)
{
	const struct problem *left = a, *right = b;

	return left->kind != right->kind ? (left->kind < right->kind ? -1 : 1) : strcmp(left->name, right->name);
}

int problems_find(const struct status *status, struct problems *problems)
{
	struct finding finding = { .status = status, .problems = problems };

	*problems = (struct problems){ .count = 0 };
	if (status->survey.partial && begin(&finding)) {
		fputs("this directory, or what its links lead to, does not answer", finding.out);
		end(&finding, PROBLEM_SOURCE, status->source, -1);
	}
	find_without_link(&finding);
	find_links(&finding);
	for (size_t i = 0; i < status->count; i++)
		find_of_image(&finding, &status->images[i]);
	if (finding.error == 0 && problems->count > 0)
		qsort(problems->list, problems->count, sizeof(*problems->list), compare);
	return finding.error;
}

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].name);
		free(problems->list[i].text);
	}
	free(problems->list);
	*problems = (struct problems){ .count = 0 };
}

/* ---- telling ---------------------------------------------------------------- */

const char *problem_kind_name(enum problem_kind kind)
{
	static const char *const names[PROBLEM_KINDS] = { "source", "no_link", "link", "image", "file", "writes" };

	return names[kind];
}

void problems_write_text(FILE *out, const struct problems *problems)
{
	fputs(problems->count == 0 ? "problems: none\n\n" : "problems:\n", out);
	for (size_t i = 0; i < problems->count; i++) {
		fputs("  ", out);
		text_write_plain(out, problems->list[i].name);
		fputs(": ", out);
		text_write_plain(out, problems->list[i].text);
		fputs(i + 1 < problems->count ? "\n" : "\n\n", out);
	}
}

void problems_write_json(FILE *out, const struct problems *problems)
{
	fputs("  \"problems\": [\n", out);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];

		fprintf(out, "    {\"kind\": \"%s\", \"name\": ", problem_kind_name(problem->kind));
		text_write_json(out, problem->name);
		fputs(", \"text\": ", out);
		text_write_json(out, problem->text);
		fputs(", \"asked_seconds\": ", out);
		if (problem->age_ns < 0)
			fputs("null", out);
		else
			fprintf(out, "%.1f", (double)problem->age_ns / 1e9);
		fputs(i + 1 < problems->count ? "},\n" : "}\n", out);
	}
	fputs("  ],\n", out);
}

void problems_write_metrics(FILE *out, const struct problems *problems)
{
	unsigned counts[PROBLEM_KINDS] = { 0 };

	for (size_t i = 0; i < problems->count; i++)
		counts[problems->list[i].kind]++;
	fputs("# HELP imagefs_problems Problems that imagefsctl status --problems names, by kind.\n"
	      "# TYPE imagefs_problems gauge\n", out);
	for (int kind = 0; kind < PROBLEM_KINDS; kind++)
		fprintf(out, "imagefs_problems{kind=\"%s\"} %u\n", problem_kind_name((enum problem_kind)kind), counts[kind]);
	fputs("# HELP imagefs_no_image_asked_timestamp_seconds When a board was last asked for whose link leads to no image,"
	      " or is missing.\n# TYPE imagefs_no_image_asked_timestamp_seconds gauge\n", out);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];

		if ((problem->kind != PROBLEM_NO_LINK && problem->kind != PROBLEM_LINK) || problem->age_ns < 0)
			continue;
		fputs("imagefs_no_image_asked_timestamp_seconds{board=", out);
		text_write_label(out, problem->name);
		fprintf(out, "} %.3f\n", (double)time(NULL) - (double)problem->age_ns / 1e9);
	}
}
