/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boards: what status.json says of them. Of each image it has a line, and in it what each board asked for, the last
 * request first; of each problem a line, with who asked and has no link.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/ctl.h"
#include "tools/ctl_boards.h"
#include "tools/ctl_json.h"

static int compare_name(const void *name, const void *board)
{
	return strcmp(name, ((const struct board *)board)->name);
}

static struct board *board_of(const struct boards *boards, const char *name)
{
	return boards->count == 0 ? NULL : bsearch(name, boards->list, boards->count, sizeof(*boards->list), compare_name);
}

static char *asked_text(double age_seconds, const char *file, const char *result)
{
	CLEANUP_FREE char *span = boards_span(age_seconds);
	char *text;

	if (!span || asprintf(&text, "%s ago%s%s%s%s", span, file ? ": " : "", file ? file : "",
			      result && strcmp(result, "found") != 0 ? ", " : "",
			      result && strcmp(result, "found") != 0 ? result : "") < 0)
		return NULL;
	return text;
}

/* `at` is the object of one board in an image's line. */
static void take_board(struct boards *boards, const char *at)
{
	CLEANUP_FREE char *name = json_text_of(at, "board"), *file = NULL, *result = NULL;
	struct board *board = name ? board_of(boards, name) : NULL;
	const char *request = strstr(at, "\"requests\": [{");

	if (!board || board->asked || !request)
		return;
	file = json_text_of(request, "name");
	result = json_text_of(request, "result");
	board->asked = asked_text(json_number_of(request, "age_seconds"), file, result);
}

/* In a string a quote has a backslash before it, so this is found in none. */
static void take_image(struct boards *boards, const char *line)
{
	static const char mark[] = "{\"board\": \"";

	for (const char *at = line; (at = strstr(at, mark)); at += sizeof(mark) - 1)
		take_board(boards, at);
}

static void add_unlinked(struct boards *boards, const char *name, double age_seconds)
{
	struct unlinked *list = reallocarray(boards->unlinked, boards->unlinked_count + 1, sizeof(*list));

	if (list) {
		boards->unlinked = list;
		list[boards->unlinked_count].name = strdup(name);
		list[boards->unlinked_count].age_seconds = age_seconds;
	}
	if (!list || !list[boards->unlinked_count].name)
		boards->no_memory = true;
	else
		boards->unlinked_count++;
}

static void take_problem(struct boards *boards, const char *line)
{
	CLEANUP_FREE char *kind = json_text_of(line, "kind"), *name = json_text_of(line, "name");
	double age_seconds = json_number_of(line, "asked_seconds");
	bool asked = !strstr(line, "\"asked_seconds\": null");
	struct board *board = name ? board_of(boards, name) : NULL;

	if (!kind || !name || !asked)
		return;
	if (strcmp(kind, "no_link") == 0 && !board)
		add_unlinked(boards, name, age_seconds);
	if (strcmp(kind, "link") == 0 && board && !board->asked)
		board->asked = asked_text(age_seconds, NULL, NULL);
}

void boards_ask_status(struct boards *boards, const char *control)
{
	CLEANUP_FREE char *path = NULL, *line = NULL;
	size_t size = 0;
	FILE *file;

	if (asprintf(&path, "%s/status.json", control) < 0)
		path = NULL;
	file = path ? fopen(path, "re") : NULL;
	if (!file) {
		ctl_fail(control, strerror(errno));
		return;
	}
	while (getline(&line, &size, file) > 0) {
		if (strncmp(line, "    {\"name\": ", 13) == 0)
			take_image(boards, line);
		else if (strncmp(line, "    {\"kind\": ", 13) == 0)
			take_problem(boards, line);
	}
	fclose(file);
}
