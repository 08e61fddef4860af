/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What imagefsctl reads of status.json (tools/ctl_json.h): any bytes as a line of it, and
 * any names as an image's and its boards', as the daemon writes them.
 *
 * What is written comes back, and a name finds the lines that are about it and no others.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/text.h"
#include "tools/ctl_json.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAMES_MAX 8

static bool is_utf8(const char *text)
{
	for (size_t length; *text; text += length) {
		length = text_sequence_bytes(text);
		if (length == 0)
			return false;
	}
	return true;
}

static void check_token(const char *name)
{
	char *token = json_of(name), *text;

	promise(token);
	text = strdup(token + 1);
	promise(text);
	json_unquote(text);
	promise(!is_utf8(name) || strcmp(text, name) == 0);
	free(text);
	free(token);
}

/* A line as fuse/control/status_text.c writes it, of the first name and its boards. */
static char *line_of(char *const *names, size_t count)
{
	char *line = NULL;
	size_t length;
	FILE *out = open_memstream(&line, &length);

	promise(out);
	fputs("    {\"name\": ", out);
	text_write_json(out, names[0]);
	fputs(", \"boards\": [", out);
	for (size_t i = 1; i < count; i++) {
		fputs(i > 1 ? ", " : "", out);
		text_write_json(out, names[i]);
	}
	fputs("], \"state\": \"ok\", \"missing\": [{\"name\": ", out);
	text_write_json(out, names[count - 1]);
	fputs("}]},\n", out);
	promise(fclose(out) == 0);
	return line;
}

/* The last name is asked for; it stands elsewhere in the line as well. */
static void check_line(char *const *names, size_t count)
{
	char *line = line_of(names, count - 1), *token = json_of(names[count - 1]);
	bool wanted = false;

	promise(token);
	for (size_t i = 0; i + 1 < count; i++) {
		char *other = json_of(names[i]);

		promise(other);
		wanted = wanted || strcmp(other, token) == 0;
		free(other);
	}
	promise(json_line_is_of(line, token) == wanted);
	free(token);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *names[NAMES_MAX], *text = malloc(size + 1), *token;
	size_t count = 0;

	promise(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t at = 0; at <= size && count < NAMES_MAX; at += strlen(text + at) + 1)
		names[count++] = text + at;
	for (size_t i = 0; i < count; i++)
		check_token(names[i]);
	if (count > 1)
		check_line(names, count);
	token = json_of(names[count - 1]);
	promise(token);
	json_line_is_of(text, token);
	free(token);
	json_unquote(text);
	free(text);
	return 0;
}
