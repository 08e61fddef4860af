/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: lines of nbdkit's log filter (nbdkit-log-filter(1); filters/log/output.c).
 *
 *   2026-11-21 12:31:12.646915 Ready thread_model=3
 *   2026-11-21 12:31:12.703869 connection=1 Connect export="" tls=0 size=0x400000 ...
 *   2026-11-21 12:31:12.707521 connection=1 Write id=3 offset=0x2000 count=0x3 fua=1 ...
 *   2026-11-21 12:31:12.708159 connection=1 ...Write id=3 return=0
 *
 * Literal dots end the line of a request that has begun, and begin the line of
 * its end. Those of errors say more than return=0; they end it as well.
 */
#include "base/checked.h"
#include "cache/changes/formats/notify_forms.h"

static bool take_time(struct notify_words *line)
{
	static const char shape[] = "0000-00-00 00:00:00.000000 ";
	size_t length = sizeof(shape) - 1;

	/* What the filter writes when it cannot know it. */
	if (notify_take_text(line, "Time unknown "))
		return true;
	if (notify_words_left(line) < length)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = notify_is_digit(line->at[i]) ? '0' : line->at[i];

		if (byte != (unsigned char)shape[i])
			return false;
	}
	line->at += length;
	return true;
}

bool notify_nbdkit_recognises(struct notify_words line)
{
	return take_time(&line);
}

/* Connect and Disconnect have no id, and the others write nothing. Every other one is a write, known or not.
 */
static bool is_harmless(struct notify_words line)
{
	static const char *const actions[] = { "Read ",	 "Flush ",   "Extents ",
					       "Cache ", "Connect ", "Disconnect " };

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		struct notify_words rest = line;

		if (notify_take_text(&rest, actions[i]))
			return true;
	}
	return false;
}

/* Write, Trim, Zero, .... */
static bool take_action(struct notify_words *line)
{
	const unsigned char *first = line->at;

	while (line->at < line->end && *line->at != ' ')
		line->at++;
	return line->at > first;
}

static bool ends_in_dots(struct notify_words line)
{
	if (notify_words_left(&line) < 4)
		return false;
	line.at = line.end - 4;
	return notify_take_text(&line, " ...");
}

/* Both count up from 1, and only their differences in flight matter: the lower halves are enough. */
static uint64_t id_of(uint64_t connection, uint64_t id)
{
	return connection << 32 | (id & UINT32_MAX);
}

static bool take_write(const struct notify_sink *sink, struct notify_words line, uint64_t connection)
{
	bool has_ended = notify_take_text(&line, "...");
	uint64_t id, offset_bytes, length_bytes;

	if (is_harmless(line))
		return true;
	if (!take_action(&line) || !notify_take_text(&line, " id=") || !notify_take_number(&line, &id) ||
	    !notify_take_text(&line, " "))
		return false;
	if (has_ended) {
		notify_end(sink, id_of(connection, id));
		return true;
	}
	/* Without its dots the line is not whole, and the count may be a part of one. */
	if (!notify_take_text(&line, "offset=") || !notify_take_number(&line, &offset_bytes) ||
	    !notify_take_text(&line, " count=") || !notify_take_number(&line, &length_bytes) ||
	    !ends_in_dots(line))
		return false;
	notify_begin(sink, id_of(connection, id), offset_bytes, length_bytes);
	return true;
}

bool notify_nbdkit_line(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_words rest = line;
	uint64_t connection;

	/* Its messages, where they go to the same file. */
	if (notify_take_text(&rest, "nbdkit: "))
		return true;
	if (!take_time(&line))
		return false;
	rest = line;
	/* Written before the server goes to the background: another process serves. */
	if (notify_take_text(&rest, "Ready"))
		return true;
	sink->parser->form = NOTIFY_FORM_NBDKIT;
	/* Fork, Preconnect, ListExports: of no connection, and no request. */
	if (!notify_take_text(&line, "connection="))
		return true;
	return notify_take_number(&line, &connection) && notify_take_text(&line, " ") &&
	       take_write(sink, line, connection);
}
