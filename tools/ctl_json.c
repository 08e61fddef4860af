/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "fat/name.h"

char *json_of(const char *text)
{
	char *token = NULL;
	size_t length;
	FILE *out = open_memstream(&token, &length);

	if (!out)
		return NULL;
	text_write_json(out, text);
	return fclose(out) == 0 ? token : NULL;
}

/* What \\u stands for takes less room than it. */
void json_unquote(char *text)
{
	char *to = text;

	for (; *text && *text != '"'; text++) {
		if (*text == '\\' && text[1] == 'u' && strlen(text) >= 6) {
			char digits[5] = { text[2], text[3], text[4], text[5], '\0' };

			to += fat_utf8_put((uint32_t)strtoul(digits, NULL, 16), to);
			text += 5;
		} else {
			if (*text == '\\' && text[1])
				text++;
			*to++ = *text;
		}
	}
	*to = '\0';
}

/*
 * A key stands between quotes that have no backslash before them, and those of a string have one. So it
 * is found in no string.
 */
static const char *value_of(const char *line, const char *key)
{
	CLEANUP_FREE char *token = NULL;
	const char *at;

	if (asprintf(&token, "\"%s\": ", key) < 0)
		return NULL;
	at = strstr(line, token);
	return at ? at + strlen(token) : NULL;
}

char *json_text_of(const char *line, const char *key)
{
	const char *value = value_of(line, key);
	char *text = value && *value == '"' ? strdup(value + 1) : NULL;

	if (text)
		json_unquote(text);
	return text;
}

double json_number_of(const char *line, const char *key)
{
	const char *value = value_of(line, key);

	return value ? strtod(value, NULL) : 0;
}

/*
 * Name and boards are at the line's beginning. A quote inside of a JSON string has a
 * backslash before it.
 */
bool json_line_is_of(const char *line, const char *token)
{
	const char *end = strstr(line, "], \"state\": ");
	const char *at = line;

	if (strncmp(line, "    {\"name\": ", 13) != 0 || !end)
		return false;
	while ((at = strstr(at, token)) && at < end) {
		char after = at[strlen(token)];

		if ((at[-1] == ' ' || at[-1] == '[') && (after == ',' || after == ']'))
			return true;
		at++;
	}
	return false;
}
