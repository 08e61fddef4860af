/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fold: lines for people, no longer than a terminal is wide.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FOLD_COLUMNS 80
#define FOLD_INDENT "    "

/* How many bytes of `text` (UTF-8, of which each character counts one) come before column `columns`. */
static inline size_t fold_bytes(const char *text, size_t length, size_t columns)
{
	size_t at = 0, used = 0;

	for (; at < length; at++)
		if (((unsigned char)text[at] & 0xc0) != 0x80 && used++ == columns)
			return at;
	return at;
}

/* The last blank of its first `length` bytes that has something before it; 0: there is none. */
static inline size_t fold_blank(const char *text, size_t length)
{
	size_t first = strspn(text, " ");

	while (length > first && text[length] != ' ')
		length--;
	return length > first ? length : 0;
}

/* One line. Each turn writes a word at least. */
static inline void fold_line(FILE *out, const char *line, size_t length)
{
	const char *indent = "";

	for (;;) {
		size_t fits = fold_bytes(line, length, FOLD_COLUMNS - strlen(indent)), end = length;

		if (fits < length && (end = fold_blank(line, fits)) == 0) {
			/* A name that is longer stays whole. */
			end = strspn(line, " ");
			end += strcspn(line + end, " \n");
			end = end < length ? end : length;
		}
		fprintf(out, "%s%.*s\n", indent, (int)end, line);
		while (end < length && line[end] == ' ')
			end++;
		if (end == length)
			return;
		line += end;
		length -= end;
		indent = FOLD_INDENT;
	}
}

/*
 * `text` with its lines folded at blanks; what goes on in a next line is indented. Blanks at the end of a line are
 * left out. A NUL-terminated text whose last line has an end.
 */
static inline void fold_write(FILE *out, const char *text)
{
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		size_t length = (size_t)(end - text);

		while (length > 0 && text[length - 1] == ' ')
			length--;
		fold_line(out, text, length);
	}
}
