/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names are any bytes; what is written for people, for JSON and for Prometheus
 * is not. One function for each, of which nothing but the quotes around it is
 * left to the caller.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* For hash tables; `seed` tells apart what has the same name. */
static inline size_t text_hash(const char *text, size_t seed)
{
	size_t hash = seed + 5381;

	for (; *text; text++)
		hash = hash * 33 + (unsigned char)*text;
	return hash;
}

/*
 * Length of the well-formed UTF-8 sequence at `text` (Unicode, table 3-7), 0 if
 * there is none. The NUL at the end of a string is no continuation, so a short
 * sequence never reads beyond it.
 */
static inline size_t text_sequence_bytes(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f; /* no surrogates */
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	return length;
}

/* Write `text` through `escape`, which is given each ASCII character; what is not UTF-8 becomes `unknown`. */
static inline void text_write_escaped(FILE *out, const char *text, void (*escape)(FILE *out, char character),
				      const char *unknown)
{
	while (*text) {
		size_t length = text_sequence_bytes(text);

		if (length == 0) {
			fputs(unknown, out);
			text++;
		} else if (length == 1) {
			escape(out, *text++);
		} else {
			fwrite(text, 1, length, out);
			text += length;
		}
	}
}

static inline void text_escape_plain(FILE *out, char character)
{
	fputc((unsigned char)character < 0x20 || character == 0x7f ? '?' : character, out);
}

static inline void text_escape_json(FILE *out, char character)
{
	if (character == '"' || character == '\\')
		fprintf(out, "\\%c", character);
	else if ((unsigned char)character < 0x20 || character == 0x7f)
		fprintf(out, "\\u%04x", (unsigned)(unsigned char)character);
	else
		fputc(character, out);
}

/* Prometheus' text exposition format knows these three in label values. */
static inline void text_escape_label(FILE *out, char character)
{
	if (character == '"' || character == '\\')
		fprintf(out, "\\%c", character);
	else if (character == '\n')
		fputs("\\n", out);
	else
		fputc(character, out);
}

/* For people: nothing that could forge a line or move a cursor. */
static inline void text_write_plain(FILE *out, const char *text)
{
	text_write_escaped(out, text, text_escape_plain, "?");
}

/* With its quotes; NULL is null. U+FFFD stands for what is no UTF-8. */
static inline void text_write_json(FILE *out, const char *text)
{
	if (!text) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	text_write_escaped(out, text, text_escape_json, "\xef\xbf\xbd");
	fputc('"', out);
}

/* With its quotes. */
static inline void text_write_label(FILE *out, const char *text)
{
	fputc('"', out);
	text_write_escaped(out, text, text_escape_label, "\xef\xbf\xbd");
	fputc('"', out);
}

/* For people: "512B", "1.5MiB", "276MiB", with `space` before the unit. */
static inline void text_write_size(FILE *out, uint64_t bytes, const char *space)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	fprintf(out, "%.*f%s%s", unit == 0 || value >= 100 ? 0 : 1, value, space, units[unit]);
}
