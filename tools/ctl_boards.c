/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boards: a table of them, what is wrong with each below it, and who asked and has no link. */
#include "tools/ctl_boards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fold.h"
#include "base/text.h"
#include "tools/ctl.h"

/* ---- for people ---------------------------------------------------------------- */

enum column { NAME, IMAGE, PARTITION, ROOT, COLUMNS };

/* The cell, in plain characters; for the caller to free. NULL: no memory. */
static char *cell(const struct board *board, enum column column)
{
	const char *values[COLUMNS] = { board->name, board->image ? board->image : board->text, "-", board->root ? board->root : "-" };
	char *text = NULL;

	if (column == PARTITION && board->number > 0) {
		if (asprintf(&text, "%u", board->number) < 0)
			return NULL;
	} else {
		text = strdup(values[column]);
	}
	if (text)
		text_make_plain(text);
	return text;
}

static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static bool print_row(const struct board *board, const int widths[COLUMNS])
{
	CLEANUP_FREE char *asked = strdup(board->asked ? board->asked : "-");

	for (int column = 0; column < COLUMNS; column++) {
		CLEANUP_FREE char *text = cell(board, (enum column)column);

		if (!text)
			return false;
		printf("%s%*s  ", text, widths[column] - width_of(text), "");
	}
	if (!asked)
		return false;
	text_make_plain(asked);
	puts(asked);
	return true;
}

static bool print_problem(const struct board *board, const char *problem)
{
	CLEANUP_FREE char *line = NULL;

	if (asprintf(&line, "%s: %s", board->name, problem) < 0)
		return false;
	text_make_plain(line);
	fold_line(stdout, line, strlen(line));
	return true;
}

static bool print_table(const struct boards *boards)
{
	static const char *const headings[COLUMNS] = { "BOARD", "IMAGE", "PARTITION", "ROOT" };
	int widths[COLUMNS];

	for (int column = 0; column < COLUMNS; column++) {
		widths[column] = width_of(headings[column]);
		for (size_t i = 0; i < boards->count; i++) {
			CLEANUP_FREE char *text = cell(&boards->list[i], (enum column)column);
			int width = text ? width_of(text) : 0;

			widths[column] = width > widths[column] ? width : widths[column];
		}
	}
	for (int column = 0; column < COLUMNS; column++)
		printf("%-*s  ", widths[column], headings[column]);
	puts("ASKED");
	for (size_t i = 0; i < boards->count; i++)
		if (!print_row(&boards->list[i], widths))
			return false;
	return true;
}

/* With the line that would link it: to the only image there is, else to one that has to be chosen. */
static bool print_unlinked(const struct boards *boards, const struct unlinked *unlinked, const char *images)
{
	CLEANUP_FREE char *span = boards_span(unlinked->age_seconds), *line = NULL;
	size_t length;
	FILE *out = open_memstream(&line, &length);

	if (!span || !out)
		return false;
	fprintf(out, "%s: asked %s ago, and has no link: imagefsctl link ", unlinked->name, span);
	if (images) {
		fputs("--images ", out);
		text_write_word(out, images);
		fputc(' ', out);
	}
	text_write_word(out, unlinked->name);
	fputc(' ', out);
	text_write_word(out, boards->only_image ? boards->only_image : "IMAGE");
	if (fclose(out) != 0)
		return false;
	text_make_plain(line);
	fold_line(stdout, line, strlen(line));
	return true;
}

static bool print_text(const struct boards *boards, const char *images)
{
	bool printed = boards->count == 0 ? printf("no boards: no link in %s leads to an image\n", boards->directory) > 0 :
					    print_table(boards);
	bool space = false;

	for (size_t i = 0; i < boards->count && printed; i++) {
		for (size_t j = 0; j < boards->list[i].problem_count && printed; j++) {
			if (!space)
				putchar('\n');
			space = true;
			printed = print_problem(&boards->list[i], boards->list[i].problems[j]);
		}
	}
	for (size_t i = 0; i < boards->unlinked_count && printed; i++) {
		if (!space)
			putchar('\n');
		space = true;
		printed = print_unlinked(boards, &boards->unlinked[i], images);
	}
	return printed;
}

/* ---- for programs ---------------------------------------------------------------- */

static void write_key(const char *before, const char *key, const char *value)
{
	printf("%s\"%s\": ", before, key);
	text_write_json(stdout, value);
}

static void print_json(const struct boards *boards)
{
	write_key("{\n  ", "images", boards->directory);
	fputs(",\n  \"boards\": [\n", stdout);
	for (size_t i = 0; i < boards->count; i++) {
		const struct board *board = &boards->list[i];

		write_key("    {", "name", board->name);
		write_key(", ", "leads_to", board->text);
		write_key(", ", "image", board->image);
		if (board->number > 0)
			printf(", \"partition\": %u", board->number);
		else
			fputs(", \"partition\": null", stdout);
		write_key(", ", "root", board->root);
		write_key(", ", "asked", board->asked);
		fputs(", \"problems\": [", stdout);
		for (size_t j = 0; j < board->problem_count; j++) {
			fputs(j > 0 ? ", " : "", stdout);
			text_write_json(stdout, board->problems[j]);
		}
		fputs(i + 1 < boards->count ? "]},\n" : "]}\n", stdout);
	}
	fputs("  ],\n  \"unlinked\": [\n", stdout);
	for (size_t i = 0; i < boards->unlinked_count; i++) {
		write_key("    {", "name", boards->unlinked[i].name);
		printf(", \"asked_seconds\": %.1f}%s\n", boards->unlinked[i].age_seconds, i + 1 < boards->unlinked_count ? "," : "");
	}
	puts("  ]\n}");
}

/* ---- the command ------------------------------------------------------------------ */

static bool any_problem(const struct boards *boards)
{
	for (size_t i = 0; i < boards->count; i++)
		if (boards->list[i].problem_count > 0)
			return true;
	return boards->unlinked_count > 0;
}

int command_boards(const char *control, int count, char **arguments)
{
	CLEANUP_FREE char *status = NULL;
	const char *images = NULL;
	struct boards boards;
	char *directory;
	bool json = false;
	int result;

	for (int i = 0; i < count; i++) {
		if (strcmp(arguments[i], "--json") == 0)
			json = true;
		else if (strcmp(arguments[i], "--images") == 0 && i + 1 < count)
			images = arguments[++i];
		else
			return ctl_misused(arguments[i], arguments[i][0] == '-' ? "unknown option, or its value is missing" :
										  "it takes no argument");
	}
	directory = boards_directory(control, images, &status);
	if (!directory)
		return USAGE;
	result = boards_find(&boards, directory) == OK ? OK : USAGE;
	if (result == OK) {
		boards_look(&boards);
		if (status)
			boards_ask_status(&boards, status);
		if (json)
			print_json(&boards);
		else if (!print_text(&boards, images))
			boards.no_memory = true;
		result = any_problem(&boards) ? FAILED : OK;
	}
	if (result != USAGE && boards.no_memory) {
		ctl_fail("boards", strerror(ENOMEM));
		result = USAGE;
	}
	boards_free(&boards);
	return result;
}
