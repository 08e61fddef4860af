/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notify: which form a stream has, its lines, and the text form. The others are in notify_*.c. */
#include "cache/changes/formats/notify.h"

#include "base/checked.h"
#include "cache/changes/formats/notify_forms.h"

/* ---- what the forms share ------------------------------------------------- */

void notify_begin(const struct notify_sink *sink, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct notify_event event = {
		.kind = NOTIFY_BEGIN,
		.id = id,
		.offset_bytes = offset_bytes,
		.length_bytes = min_u64(length_bytes, UINT64_MAX - offset_bytes),
	};

	if (event.length_bytes > 0)
		sink->event(sink->context, &event);
}

void notify_end(const struct notify_sink *sink, uint64_t id)
{
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_END, .id = id });
}

static int digit_value(unsigned char byte, unsigned base)
{
	if (notify_is_digit(byte))
		return byte - '0';
	if (base == 16 && byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (base == 16 && byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

bool notify_take_number(struct notify_words *words, uint64_t *out)
{
	unsigned base = notify_take_text(words, "0x") ? 16 : 10;
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

/* ---- text ------------------------------------------------------------------ */

static bool take_blanks(struct notify_words *words)
{
	const unsigned char *first = words->at;

	while (words->at < words->end && (*words->at == ' ' || *words->at == '\t'))
		words->at++;
	return words->at > first;
}

/* A number after blanks. 1: there; 0: the line ends instead; -1: something else. */
static int take_argument(struct notify_words *words, uint64_t *number)
{
	bool parted = take_blanks(words);

	if (words->at == words->end)
		return 0;
	return parted && notify_take_number(words, number) ? 1 : -1;
}

static bool take_end(struct notify_words *words)
{
	take_blanks(words);
	return words->at == words->end;
}

static bool text_line(const struct notify_sink *sink, struct notify_words line)
{
	uint64_t offset_bytes, length_bytes, id = 0;

	take_blanks(&line);
	if (line.at == line.end)
		return true;
	if (notify_take_text(&line, "write")) {
		if (take_argument(&line, &offset_bytes) != 1 || take_argument(&line, &length_bytes) != 1 ||
		    take_argument(&line, &id) < 0 || !take_end(&line))
			return false;
		notify_begin(sink, id, offset_bytes, length_bytes);
		return true;
	}
	if (notify_take_text(&line, "done")) {
		if (take_argument(&line, &id) < 0 || !take_end(&line))
			return false;
		notify_end(sink, id);
		return true;
	}
	if (notify_take_text(&line, "ledger")) {
		if (take_argument(&line, &id) != 1 || !take_end(&line))
			return false;
		sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_LEDGER, .id = id });
		return true;
	}
	if (!notify_take_text(&line, "flush") || !take_end(&line))
		return false;
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_FLUSH });
	return true;
}

/* Also of nothing but blanks, and of a word that only begins as one of ours: text_line finds out. */
static bool text_recognises(struct notify_words line)
{
	take_blanks(&line);
	return notify_take_text(&line, "write") || notify_take_text(&line, "done") ||
	       notify_take_text(&line, "flush") || notify_take_text(&line, "ledger");
}

/* ---- lines ----------------------------------------------------------------- */

static void recognise(struct notify_parser *parser, struct notify_words line)
{
	if (notify_nbdkit_recognises(line))
		parser->reading = NOTIFY_FORM_NBDKIT; /* the form: when it is certain who speaks */
	else if (notify_qemu_recognises(line))
		parser->form = parser->reading = NOTIFY_FORM_QEMU_NBD;
	else if (text_recognises(line))
		parser->form = parser->reading = NOTIFY_FORM_TEXT;
}

/* The line that is held, without its newline. */
static bool take_line(const struct notify_sink *sink)
{
	struct notify_parser *parser = sink->parser;
	struct notify_words line = { parser->held, parser->held + parser->held_bytes };

	if (parser->reading == NOTIFY_FORM_UNKNOWN)
		recognise(parser, line);
	switch (parser->reading) {
	case NOTIFY_FORM_NBDKIT:
		return notify_nbdkit_line(sink, line);
	case NOTIFY_FORM_QEMU_NBD:
		return notify_qemu_line(sink, line);
	case NOTIFY_FORM_TEXT:
		return text_line(sink, line);
	default:
		return take_end(&line);
	}
}

/* Only lines with a time of nbdkit's hold names in quotes, which may contain newlines. */
static bool has_quotes(const struct notify_parser *parser)
{
	return (parser->reading == NOTIFY_FORM_NBDKIT || parser->reading == NOTIFY_FORM_UNKNOWN) &&
	       parser->held_bytes > 0 && notify_is_digit(parser->held[0]);
}

/*
 * Follow nbdkit's quotes over one byte (shell_quote in its common/utils): a
 * backslash stands before each quote, backslash, $ and ` that is part of the name.
 * False: so long a name is none.
 */
static bool follow_quotes(struct notify_parser *parser, unsigned char byte)
{
	if (!parser->is_quoted) {
		parser->is_quoted = byte == '"';
		parser->quoted_bytes = 0;
		return true;
	}
	if (parser->is_escaped)
		parser->is_escaped = false;
	else if (byte == '\\')
		parser->is_escaped = true;
	else if (byte == '"')
		parser->is_quoted = false;
	return ++parser->quoted_bytes <= NOTIFY_QUOTE_MAX;
}

/* A line that no form would begin with has no right to go on for ever. */
static bool may_go_on(const struct notify_parser *parser)
{
	struct notify_words line = { parser->held, parser->held + parser->held_bytes };

	if (parser->held_bytes < sizeof(parser->held) || parser->reading == NOTIFY_FORM_NBDKIT ||
	    parser->reading == NOTIFY_FORM_QEMU_NBD)
		return true;
	return parser->reading == NOTIFY_FORM_UNKNOWN &&
	       (notify_nbdkit_recognises(line) || notify_qemu_recognises(line));
}

/* Up to and with the next newline. Returns how many bytes; 0: broken. */
static size_t take_line_bytes(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = sink->parser;

	for (size_t i = 0; i < length_bytes; i++) {
		if (bytes[i] == '\n' && !parser->is_quoted) {
			bool understood = take_line(sink);

			parser->held_bytes = 0;
			return understood ? i + 1 : 0;
		}
		if (has_quotes(parser) && !follow_quotes(parser, bytes[i]))
			return 0;
		if (parser->held_bytes < sizeof(parser->held)) {
			parser->held[parser->held_bytes++] = bytes[i];
			if (!may_go_on(parser))
				return 0;
		}
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
	case NOTIFY_FORM_NBDKIT:
		return "nbdkit log";
	case NOTIFY_FORM_QEMU_NBD:
		return "qemu-nbd trace";
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
