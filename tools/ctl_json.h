/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_json: as much of JSON as imagefsctl has to read of status.json, whose writer it
 * knows: one line for each image, which begins with its name and those of its boards, and
 * one for each problem and each request.
 * Pure functions over text.
 */
#pragma once

#include <stdbool.h>

/* `text` as a JSON string, with its quotes; for the caller to free. NULL: no memory. */
char *json_of(const char *text);

/* Undo it, in place: `text` is behind the first quote, and ends at the next one. */
void json_unquote(char *text);

/* The text or the number behind that key, the first of it in the line. Text is for the caller to free; NULL: none. */
char *json_text_of(const char *line, const char *key);
double json_number_of(const char *line, const char *key);

/* Is the line about the image that has `token` (json_of) as its name or as that of a board? */
bool json_line_is_of(const char *line, const char *token);
