/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names are any bytes; what is written for people, for JSON and for Prometheus
 * is not. One function for each, of which nothing but the quotes around it is
 * left to the caller.
 */
#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline bool text_starts(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static inline bool text_is_blank(char character)
{
	return character == ' ' || character == '\t' || character == '\r';
}

/* In place: without blanks at both ends, and what comes of a line that ends as DOS's do. */
static inline char *text_trim(char *text)
{
	size_t length;

	while (text_is_blank(*text))
		text++;
	length = strlen(text);
	while (length > 0 && text_is_blank(text[length - 1]))
		text[--length] = '\0';
	return text;
}

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

/* The character of a well-formed sequence of `length` bytes. */
static inline uint32_t text_character(const char *text, size_t length)
{
	uint32_t character = (unsigned char)text[0] & (length == 1 ? 0x7f : 0xff >> (length + 1));

	for (size_t i = 1; i < length; i++)
		character = character << 6 | ((unsigned char)text[i] & 0x3f);
	return character;
}

/*
 * Not for the eyes as it is: what controls a terminal, U+0080 to U+009F among it (U+009B is ESC and
 * [ in one); what ends a line; and what changes the order of the text around it (Unicode TR36, 3.8:
 * bidirectional text). All of these are below U+10000.
 */
static inline bool text_is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x061c ||
	       character == 0x200e || character == 0x200f || (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x206f);
}

/* Write `text`: what it has of `quoted` behind a backslash, control characters by `control`; what is not UTF-8 becomes `unknown`. */
static inline void text_write_escaped(FILE *out, const char *text, const char *quoted,
				      void (*control)(FILE *out, uint32_t character), const char *unknown)
{
	while (*text) {
		size_t length = text_sequence_bytes(text);

		if (length == 0) {
			fputs(unknown, out);
			text++;
			continue;
		}
		if (text_is_control(text_character(text, length))) {
			control(out, text_character(text, length));
		} else {
			if (strchr(quoted, *text))
				fputc('\\', out);
			fwrite(text, 1, length, out);
		}
		text += length;
	}
}

static inline void text_control_plain(FILE *out, uint32_t character)
{
	(void)character;
	fputc('?', out);
}

static inline void text_control_json(FILE *out, uint32_t character)
{
	fprintf(out, "\\u%04x", (unsigned)character);
}

/* Prometheus' text exposition format knows the line feed, beside the quoted two. */
static inline void text_control_label(FILE *out, uint32_t character)
{
	fputs(character == '\n' ? "\\n" : "\xef\xbf\xbd", out);
}

/* For people: nothing that could forge a line, move a cursor or turn the text around. */
static inline void text_write_plain(FILE *out, const char *text)
{
	text_write_escaped(out, text, "", text_control_plain, "?");
}

/* The same in place. */
static inline void text_make_plain(char *text)
{
	char *to = text;

	for (size_t length; *text; text += length) {
		length = text_sequence_bytes(text);
		if (length == 0 || text_is_control(text_character(text, length))) {
			*to++ = '?';
			length += length == 0;
		} else {
			memmove(to, text, length);
			to += length;
		}
	}
	*to = '\0';
}

/* As a word for a shell that it is pasted into. Control characters are left to whoever writes the line. */
static inline void text_write_word(FILE *out, const char *word)
{
	const char *at = word;

	while (isalnum((unsigned char)*at) || (*at && strchr("._+:@%/-", *at)))
		at++;
	if (*at == '\0' && *word != '\0' && *word != '-') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (at = word; *at; at++) {
		if (*at == '\'')
			fputs("'\\''", out);
		else
			fputc(*at, out);
	}
	fputc('\'', out);
}

/* With its quotes; NULL is null. U+FFFD stands for what is no UTF-8. */
static inline void text_write_json(FILE *out, const char *text)
{
	if (!text) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	text_write_escaped(out, text, "\"\\", text_control_json, "\xef\xbf\xbd");
	fputc('"', out);
}

/* With its quotes. */
static inline void text_write_label(FILE *out, const char *text)
{
	fputc('"', out);
	text_write_escaped(out, text, "\"\\", text_control_label, "\xef\xbf\xbd");
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
