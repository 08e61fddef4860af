/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/formats/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

/* One call of notify_feed. */
struct notify_sink {
	struct notify_parser *parser;
	void (*event)(void *context, const struct notify_event *event);
	void *context;
};

/* An empty range tells nothing; one beyond 2^64 is cut. */
static void tell_begin(const struct notify_sink *sink, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes)
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

static void tell_end(const struct notify_sink *sink, uint64_t id)
{
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_END, .id = id });
}

/* ---- nbd-server's transaction log, as its nbd-trdump(1) reads it -------------- */

/*
 * Records are those of the protocol (doc/proto.md of NBD), big-endian:
 *
 *   request           0x25609513  flags:16 type:16 cookie:64 offset:64 length:32
 *   reply             0x67446698  error:32 cookie:64
 *   structured reply  0x668e33ef  flags:16 type:16 cookie:64 length:32
 *   option of the log 0x25609514  as a request: type 1 is the data log, on when the
 *                                 length is not 0; the offset is a constant
 *
 * The client of one stream chooses its cookies. One that uses a cookie twice at a
 * time lies about its own image only.
 */

#define REQUEST_MAGIC 0x25609513
#define REPLY_MAGIC 0x67446698
#define STRUCTURED_REPLY_MAGIC 0x668e33ef
#define OPTION_MAGIC 0x25609514

#define MAGIC_BYTES 4
#define REQUEST_BYTES 28
#define REPLY_BYTES 16
#define STRUCTURED_REPLY_BYTES 20

/* Where the fields are; the cookie is at the same place in all. */
#define FLAGS 4
#define TYPE 4 /* with the flags in its upper half */
#define COOKIE 8
#define OFFSET 16
#define LENGTH 24

#define TYPE_MASK 0xffff
#define FLAG_DONE 1 /* of a structured reply: the last of its request */
#define OPTION_DATA 1
#define OPTION_OFFSET UINT64_C(0x4a93ba39a54f31b6)

enum {
	COMMAND_READ = 0,
	COMMAND_WRITE = 1,
	COMMAND_DISCONNECT = 2,
	COMMAND_FLUSH = 3,
	COMMAND_CACHE = 5,
	COMMAND_BLOCK_STATUS = 7,
};

static void take_request(const struct notify_sink *sink, const unsigned char *record)
{
	uint32_t command = get_be32(record + TYPE) & TYPE_MASK;
	uint32_t length_bytes = get_be32(record + LENGTH);

	switch (command) {
	case COMMAND_READ:
	case COMMAND_DISCONNECT:
	case COMMAND_FLUSH:
	case COMMAND_CACHE:
	case COMMAND_BLOCK_STATUS:
		return;
	case COMMAND_WRITE:
		sink->parser->skip_bytes = sink->parser->has_data ? length_bytes : 0;
		break;
	default: /* TRIM, WRITE_ZEROES, and what is not known yet */
		break;
	}
	tell_begin(sink, get_be64(record + COOKIE), get_be64(record + OFFSET), length_bytes);
}

static bool take_option(struct notify_parser *parser, const unsigned char *record)
{
	if (get_be32(record + TYPE) != OPTION_DATA || get_be64(record + OFFSET) != OPTION_OFFSET)
		return false;
	parser->has_data = get_be32(record + LENGTH) != 0;
	return true;
}

static bool take_record(const struct notify_sink *sink, const unsigned char *record)
{
	switch (get_be32(record)) {
	case REQUEST_MAGIC:
		take_request(sink, record);
		return true;
	case REPLY_MAGIC:
		tell_end(sink, get_be64(record + COOKIE));
		return true;
	case STRUCTURED_REPLY_MAGIC:
		if (get_be16(record + FLAGS) & FLAG_DONE)
			tell_end(sink, get_be64(record + COOKIE));
		return true;
	default:
		return take_option(sink->parser, record);
	}
}

/* How long the record is that begins with what is held; 0: it is none. */
static size_t record_bytes(const struct notify_parser *parser)
{
	if (parser->held_bytes < MAGIC_BYTES)
		return MAGIC_BYTES;
	switch (get_be32(parser->held)) {
	case REQUEST_MAGIC:
	case OPTION_MAGIC:
		return REQUEST_BYTES;
	case REPLY_MAGIC:
		return REPLY_BYTES;
	case STRUCTURED_REPLY_MAGIC:
		return STRUCTURED_REPLY_BYTES;
	default:
		return 0;
	}
}

/* Takes one record, or a part of it. Returns how many bytes; 0: broken. */
static size_t take_record_bytes(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = sink->parser;
	size_t taken, whole;

	if (parser->skip_bytes > 0) {
		taken = (size_t)min_u64(parser->skip_bytes, length_bytes);
		parser->skip_bytes -= taken;
		return taken;
	}
	taken = (size_t)min_u64(record_bytes(parser) - parser->held_bytes, length_bytes);
	memcpy(parser->held + parser->held_bytes, bytes, taken);
	parser->held_bytes += taken;
	whole = record_bytes(parser);
	if (whole == 0)
		return 0;
	if (parser->held_bytes < whole)
		return taken;
	parser->form = NOTIFY_FORM_NBD_SERVER;
	parser->held_bytes = 0;
	return take_record(sink, parser->held) ? taken : 0;
}

/* ---- text ------------------------------------------------------------------ */

/* Step over `text`, if it comes next. */
static bool take_text(const char **at, const char *text)
{
	size_t length = strlen(text);

	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* Decimal, or hexadecimal after 0x. Up to 2^64 - 1. */
static bool take_number(const char **at, uint64_t *out)
{
	const char *first = *at;
	char *end;

	/* strtoull would take blanks, and a sign. */
	if (*first < '0' || *first > '9')
		return false;
	errno = 0;
	*out = strtoull(first, &end, strncmp(first, "0x", 2) == 0 ? 16 : 10);
	*at = end;
	return errno == 0;
}

static bool take_blanks(const char **at)
{
	size_t blanks = strspn(*at, " \t");

	*at += blanks;
	return blanks > 0;
}

/* A number after blanks. 1: there; 0: the line ends instead; -1: something else. */
static int take_argument(const char **at, uint64_t *number)
{
	bool parted = take_blanks(at);

	if (**at == '\0')
		return 0;
	return parted && take_number(at, number) ? 1 : -1;
}

static bool take_end(const char *at)
{
	take_blanks(&at);
	return *at == '\0';
}

static bool text_line(const struct notify_sink *sink, const char *at)
{
	uint64_t offset_bytes, length_bytes, id = 0;

	if (take_end(at))
		return true;
	take_blanks(&at);
	if (take_text(&at, "write")) {
		if (take_argument(&at, &offset_bytes) != 1 || take_argument(&at, &length_bytes) != 1 ||
		    take_argument(&at, &id) < 0 || !take_end(at))
			return false;
		tell_begin(sink, id, offset_bytes, length_bytes);
		return true;
	}
	if (take_text(&at, "done")) {
		if (take_argument(&at, &id) < 0 || !take_end(at))
			return false;
		tell_end(sink, id);
		return true;
	}
	if (!take_text(&at, "flush") || !take_end(at))
		return false;
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_FLUSH });
	return true;
}

/* A word that only begins as one of ours, too: text_line finds out. */
static bool text_recognises(const char *at)
{
	take_blanks(&at);
	return take_text(&at, "write") || take_text(&at, "done") || take_text(&at, "flush");
}

/* The line that is held, without its newline. */
static bool take_line(const struct notify_sink *sink)
{
	struct notify_parser *parser = sink->parser;
	const char *line = (const char *)parser->held;

	/* There is room: a line is shorter than what may be held. */
	parser->held[parser->held_bytes] = '\0';
	if (strlen(line) != parser->held_bytes)
		return false;
	if (parser->form == NOTIFY_FORM_UNKNOWN && text_recognises(line))
		parser->form = parser->reading = NOTIFY_FORM_TEXT;
	return parser->form == NOTIFY_FORM_TEXT ? text_line(sink, line) : take_end(line);
}

/* Up to and with the next newline. Returns how many bytes; 0: broken. */
static size_t take_line_bytes(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = sink->parser;

	for (size_t i = 0; i < length_bytes; i++) {
		/* A line without a character is none, in any form: a flood of them is stepped over, and a form may begin behind it. */
		if (bytes[i] == '\n' && parser->held_bytes == 0) {
			while (i + 1 < length_bytes && bytes[i + 1] == '\n')
				i++;
			return i + 1;
		}
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
			taken = take_record_bytes(&sink, at, length_bytes);
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
