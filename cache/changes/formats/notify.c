/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notify: which form a stream has, its lines, and the text form. nbd-server's is in nbd_server.c. */
#include "cache/changes/formats/notify.h"

#include <string.h>

#include "base/checked.h"
#include "cache/changes/formats/nbd_server.h"

/* ---- text ------------------------------------------------------------------ */

/* A line's bytes that are still to be read. */
struct words {
	const unsigned char *at, *end;
};

/* Step over `text`, if it comes next. */
static bool take_text(struct words *words, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(words->end - words->at) < length || memcmp(words->at, text, length) != 0)
		return false;
	words->at += length;
	return true;
}

static int digit_value(unsigned char byte, unsigned base)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (base == 16 && byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (base == 16 && byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

/* Decimal, or hexadecimal after 0x. Up to 2^64 - 1. */
static bool take_number(struct words *words, uint64_t *out)
{
	unsigned base = take_text(words, "0x") ? 16 : 10;
	const unsigned char *first = words->at;
	uint64_t number = 0;

	for (; words->at < words->end; words->at++) {
		int digit = digit_value(*words->at, base);

		if (digit < 0)
			break;
		if (!mul_u64(number, base, &number) || !add_u64(number, (uint64_t)digit, &number))
			return false;
	}
	*out = number;
	return words->at > first;
}

static bool take_blanks(struct words *words)
{
	const unsigned char *first = words->at;

	while (words->at < words->end && (*words->at == ' ' || *words->at == '\t'))
		words->at++;
	return words->at > first;
}

/* A number after blanks. 1: there; 0: the line ends instead; -1: something else. */
static int take_argument(struct words *words, uint64_t *number)
{
	bool parted = take_blanks(words);

	if (words->at == words->end)
		return 0;
	return parted && take_number(words, number) ? 1 : -1;
}

static bool take_end(struct words *words)
{
	take_blanks(words);
	return words->at == words->end;
}

static bool text_line(const struct notify_sink *sink, struct words line)
{
	uint64_t offset_bytes, length_bytes, id = 0;

	take_blanks(&line);
	if (line.at == line.end)
		return true;
	if (take_text(&line, "write")) {
		if (take_argument(&line, &offset_bytes) != 1 || take_argument(&line, &length_bytes) != 1 ||
		    take_argument(&line, &id) < 0 || !take_end(&line))
			return false;
		notify_begin(sink, id, offset_bytes, length_bytes);
		return true;
	}
	if (take_text(&line, "done")) {
		if (take_argument(&line, &id) < 0 || !take_end(&line))
			return false;
		notify_end(sink, id);
		return true;
	}
	if (!take_text(&line, "flush") || !take_end(&line))
		return false;
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_FLUSH });
	return true;
}

/* Also of nothing but blanks, and of a word that only begins as one of ours: text_line finds out. */
static bool text_recognises(struct words line)
{
	take_blanks(&line);
	return take_text(&line, "write") || take_text(&line, "done") || take_text(&line, "flush");
}

/* ---- lines ----------------------------------------------------------------- */

/* The line that is held, without its newline. */
static bool take_line(const struct notify_sink *sink)
{
	struct notify_parser *parser = sink->parser;
	struct words line = { parser->held, parser->held + parser->held_bytes };

	if (parser->form == NOTIFY_FORM_UNKNOWN && text_recognises(line))
		parser->form = parser->reading = NOTIFY_FORM_TEXT;
	return parser->form == NOTIFY_FORM_TEXT ? text_line(sink, line) : take_end(&line);
}

/* Up to and with the next newline. Returns how many bytes; 0: broken. */
static size_t take_line_bytes(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = sink->parser;

	for (size_t i = 0; i < length_bytes; i++) {
		if (bytes[i] == '\n') {
			bool understood = take_line(sink);

			parser->held_bytes = 0;
			return understood ? i + 1 : 0;
		}
		parser->held[parser->held_bytes++] = bytes[i];
		if (parser->held_bytes == sizeof(parser->held))
			return 0; /* no line is so long */
	}
	return length_bytes;
}

/* ---- streams ---------------------------------------------------------------- */

/* Both magics a transaction log can begin with do so with a byte that begins no line. */
#define NBD_SERVER_FIRST_BYTE 0x25

void notify_feed(struct notify_parser *parser, const void *bytes, size_t length_bytes,
		 void (*event)(void *context, const struct notify_event *event), void *context)
{
	struct notify_sink sink = { parser, event, context };
	const unsigned char *at = bytes;

	/* Ends: each round takes at least a byte, or breaks the stream. */
	while (length_bytes > 0 && parser->form != NOTIFY_FORM_BROKEN) {
		size_t taken;

		if (parser->reading == NOTIFY_FORM_UNKNOWN && parser->held_bytes == 0 &&
		    *at == NBD_SERVER_FIRST_BYTE)
			parser->reading = NOTIFY_FORM_NBD_SERVER;
		if (parser->reading == NOTIFY_FORM_NBD_SERVER)
			taken = notify_nbd_server_take(&sink, at, length_bytes);
		else
			taken = take_line_bytes(&sink, at, length_bytes);
		if (taken == 0)
			parser->form = NOTIFY_FORM_BROKEN;
		at += taken;
		length_bytes -= taken;
	}
}

const char *notify_form_name(enum notify_form form)
{
	switch (form) {
	case NOTIFY_FORM_NBD_SERVER:
		return "nbd-server";
	case NOTIFY_FORM_TEXT:
		return "text";
	case NOTIFY_FORM_BROKEN:
		return "not understood";
	case NOTIFY_FORM_UNKNOWN:
		break;
	}
	return "nothing yet";
}

bool notify_form_is_exact(enum notify_form form)
{
	return form != NOTIFY_FORM_UNKNOWN && form != NOTIFY_FORM_BROKEN;
}
