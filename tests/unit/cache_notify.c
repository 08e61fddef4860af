/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/notify: what servers write, whatever pieces it comes in. The captures in
 * tests/data/notify are of nbd-server 3.24, driven by libnbd; beside each are the
 * events it tells of, found with nbd-trdump.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes/formats/notify.h"

/* ---- what a stream tells, as text: one line for each event, then the form ------ */

struct told {
	struct notify_parser parser;
	char text[16384];
	size_t length;
};

static void tell(void *context, const struct notify_event *event)
{
	static const char *const kinds[] = { "begin", "end", "flush" };
	struct told *told = context;
	char line[96];
	int length = snprintf(line, sizeof(line), "%s", kinds[event->kind]);

	if (event->kind != NOTIFY_FLUSH)
		length += snprintf(line + length, sizeof(line) - (size_t)length, " %" PRIu64, event->id);
	if (event->kind == NOTIFY_BEGIN)
		length += snprintf(line + length, sizeof(line) - (size_t)length, " %" PRIu64 " %" PRIu64,
				   event->offset_bytes, event->length_bytes);
	line[length++] = '\n';
	cr_assert_lt(told->length + (size_t)length, sizeof(told->text));
	memcpy(told->text + told->length, line, (size_t)length);
	told->length += (size_t)length;
}

static void feed(struct told *told, const void *bytes, size_t length_bytes)
{
	notify_feed(&told->parser, bytes, length_bytes, tell, told);
}

/* The text so far, with the form as its last line. Valid until the next call. */
static const char *told_by(const struct told *told)
{
	static char text[sizeof(told->text) + 64];

	snprintf(text, sizeof(text), "%s%s\n", told->text, notify_form_name(told->parser.form));
	return text;
}

static const char *told_by_bytes(const void *bytes, size_t length_bytes)
{
	struct told told = { 0 };

	feed(&told, bytes, length_bytes);
	return told_by(&told);
}

static const char *told_by_text(const char *text)
{
	return told_by_bytes(text, strlen(text));
}

#define expect_told(stream, events) cr_expect_str_eq(told_by_text(stream), events)

/* ---- records of nbd-server ------------------------------------------------------ */

struct records {
	unsigned char bytes[4096];
	size_t length;
};

static void add_be(struct records *records, uint64_t value, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0;)
		records->bytes[records->length++] = (unsigned char)(value >> (8 * i));
}

static void add_request(struct records *records, uint32_t type, uint64_t cookie, uint64_t offset,
			uint32_t length)
{
	add_be(records, 0x25609513, 4);
	add_be(records, type, 4);
	add_be(records, cookie, 8);
	add_be(records, offset, 8);
	add_be(records, length, 4);
}

static void add_reply(struct records *records, uint64_t cookie)
{
	add_be(records, 0x67446698, 4);
	add_be(records, 0, 4);
	add_be(records, cookie, 8);
}

static void add_option(struct records *records, uint32_t type, uint32_t value)
{
	add_be(records, 0x25609514, 4);
	add_be(records, type, 4);
	add_be(records, 0, 8);
	add_be(records, 0x4a93ba39a54f31b6, 8);
	add_be(records, value, 4);
}

static const char *told_by_records(const struct records *records)
{
	return told_by_bytes(records->bytes, records->length);
}

/* ---- captures, in pieces ---------------------------------------------------------- */

static const char *const captures[] = { "nbd-server.log", "nbd-server-datalog.log" };

#define CAPTURES (sizeof(captures) / sizeof(captures[0]))

static size_t read_data(const char *name, const char *suffix, char *bytes, size_t capacity)
{
	char path[512];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), NOTIFY_DATA "/%s%s", name, suffix);
	file = fopen(path, "rb");
	cr_assert(file, "%s", path);
	length = fread(bytes, 1, capacity - 1, file);
	cr_assert_lt(length, capacity - 1);
	bytes[length] = '\0';
	fclose(file);
	return length;
}

static char capture[16384], expected[16384];
static size_t capture_bytes;

static void read_capture(size_t i)
{
	capture_bytes = read_data(captures[i], "", capture, sizeof(capture));
	read_data(captures[i], ".events", expected, sizeof(expected));
}

Test(cache_notify, p_captures_tell_of_every_write)
{
	for (size_t i = 0; i < CAPTURES; i++) {
		read_capture(i);
		cr_expect_str_eq(told_by_bytes(capture, capture_bytes), expected, "%s", captures[i]);
	}
}

Test(cache_notify, p_captures_tell_the_same_cut_anywhere)
{
	for (size_t i = 0; i < CAPTURES; i++) {
		read_capture(i);
		for (size_t cut = 0; cut <= capture_bytes; cut++) {
			struct told told = { 0 };

			feed(&told, capture, cut);
			feed(&told, capture + cut, capture_bytes - cut);
			cr_assert_str_eq(told_by(&told), expected, "%s at %zu", captures[i], cut);
		}
	}
}

static void feed_in_pieces(struct told *told, size_t most)
{
	for (size_t at = 0; at < capture_bytes;) {
		size_t piece = 1 + (size_t)rand() % most;

		if (piece > capture_bytes - at)
			piece = capture_bytes - at;
		feed(told, capture + at, piece);
		at += piece;
	}
}

Test(cache_notify, p_captures_tell_the_same_in_random_pieces)
{
	srand(1);
	for (size_t i = 0; i < CAPTURES; i++) {
		read_capture(i);
		for (size_t round = 0; round < 300; round++) {
			struct told told = { 0 };

			feed_in_pieces(&told, 1 + round); /* the first: byte by byte */
			cr_assert_str_eq(told_by(&told), expected, "%s in round %zu", captures[i], round);
		}
	}
}

/* ---- which form ------------------------------------------------------------------- */

Test(cache_notify, p_a_form_has_a_name_and_is_exact_until_it_breaks)
{
	for (enum notify_form form = NOTIFY_FORM_UNKNOWN; form <= NOTIFY_FORM_BROKEN; form++) {
		cr_expect_neq(notify_form_name(form)[0], '\0');
		cr_expect_eq(notify_form_is_exact(form),
			     form != NOTIFY_FORM_UNKNOWN && form != NOTIFY_FORM_BROKEN);
	}
}

Test(cache_notify, p_nothing_is_no_form)
{
	expect_told("", "nothing yet\n");
	expect_told("\n \t\n", "nothing yet\n");
	expect_told("flush", "nothing yet\n");
	expect_told("%\x60", "nothing yet\n");
}

Test(cache_notify, p_garbage_is_broken_by_its_first_line_or_record)
{
	char endless[NOTIFY_LINE_MAX];

	expect_told("hello\n", "not understood\n");
	expect_told("%PDF-1.7", "not understood\n");
	expect_told("gDf\x98 a reply\n", "not understood\n");
	expect_told("2026-11-21 12:31:12.646915 connection=1 Write id=1 offset=0x10 count=0x20 fua=0 ...\n",
		    "not understood\n"); /* nbdkit's log filter */
	expect_told("nbd_receive_request Got request: { magic = 0x25609513 }\n",
		    "not understood\n"); /* qemu-nbd's trace */
	expect_told("ledger 5\n", "not understood\n");
	expect_told("\x7f\x45LF\n", "not understood\n");
	cr_expect_str_eq(told_by_bytes("\0\n", 2), "not understood\n");
	memset(endless, 'x', sizeof(endless));
	cr_expect_str_eq(told_by_bytes(endless, sizeof(endless) - 1), "nothing yet\n");
	cr_expect_str_eq(told_by_bytes(endless, sizeof(endless)), "not understood\n");
}

Test(cache_notify, p_a_broken_stream_stays_broken)
{
	struct told told = { 0 };

	feed(&told, "write 0 1\nwhat\nwrite 5 5\n", 25);
	feed(&told, "flush\n", 6);
	cr_expect_str_eq(told_by(&told), "begin 0 0 1\nnot understood\n");
}

/* ---- nbd-server --------------------------------------------------------------------- */

Test(cache_notify, p_nbd_server_a_write_begins_with_the_last_byte_of_its_request)
{
	struct records records = { 0 };
	struct told told = { 0 };

	add_option(&records, 1, 1);
	add_request(&records, 1, 7, 4096, 512);
	feed(&told, records.bytes, records.length - 1);
	cr_expect_str_eq(told_by(&told), "nbd-server\n");
	feed(&told, records.bytes + records.length - 1, 1);
	cr_expect_str_eq(told_by(&told), "begin 7 4096 512\nnbd-server\n");
}

Test(cache_notify, p_nbd_server_data_are_not_searched_for_records)
{
	struct records records = { 0 }, data = { 0 };

	add_reply(&data, 7);
	add_request(&data, 1, 8, 0, 512);
	add_option(&records, 1, 1);
	add_request(&records, 1, 7, 4096, (uint32_t)data.length);
	memcpy(records.bytes + records.length, data.bytes, data.length);
	records.length += data.length;
	add_request(&records, 4, 9, 0, 512); /* a trim has none */
	add_reply(&records, 7);
	cr_expect_str_eq(told_by_records(&records), "begin 7 4096 44\nbegin 9 0 512\nend 7\nnbd-server\n");
}

Test(cache_notify, p_nbd_server_data_that_were_not_announced_break_the_stream)
{
	struct records records = { 0 };

	add_request(&records, 1, 7, 4096, 4);
	memcpy(records.bytes + records.length, "data", 4);
	records.length += 4;
	add_reply(&records, 7);
	cr_expect_str_eq(told_by_records(&records), "begin 7 4096 4\nnot understood\n");
}

Test(cache_notify, p_nbd_server_data_can_be_announced_to_end)
{
	struct records records = { 0 };

	add_option(&records, 1, 1);
	add_option(&records, 1, 0);
	add_request(&records, 1, 7, 4096, 4);
	add_reply(&records, 7);
	cr_expect_str_eq(told_by_records(&records), "begin 7 4096 4\nend 7\nnbd-server\n");
}

Test(cache_notify, p_nbd_server_an_option_that_is_not_known_breaks_the_stream)
{
	struct records records = { 0 }, other = { 0 };

	add_option(&records, 2, 1);
	cr_expect_str_eq(told_by_records(&records), "not understood\n");
	add_option(&other, 1, 1);
	other.bytes[16]++; /* its constant */
	cr_expect_str_eq(told_by_records(&other), "not understood\n");
}

Test(cache_notify, p_nbd_server_a_magic_that_is_not_known_breaks_the_stream)
{
	struct records records = { 0 };

	add_option(&records, 1, 0);
	add_be(&records, 0x25609515, 4);
	cr_expect_str_eq(told_by_records(&records), "not understood\n");
}

Test(cache_notify, p_nbd_server_a_stream_of_another_form_stays_one)
{
	struct records records = { 0 };

	memcpy(records.bytes, "flush\n", 6);
	records.length = 6;
	add_request(&records, 1, 7, 0, 512);
	add_be(&records, '\n', 1);
	cr_expect_str_eq(told_by_records(&records), "flush\nnot understood\n");
}

Test(cache_notify, p_nbd_server_what_is_not_known_to_be_harmless_is_a_write)
{
	struct records records = { 0 };

	for (uint32_t type = 0; type < 10; type++)
		add_request(&records, 0xfff0000 | type, type, 512, 1);
	cr_expect_str_eq(told_by_records(&records),
			 "begin 1 512 1\nbegin 4 512 1\nbegin 6 512 1\nbegin 8 512 1\n"
			 "begin 9 512 1\nnbd-server\n");
}

Test(cache_notify, p_nbd_server_ranges_are_cut_and_empty_ones_left_out)
{
	struct records records = { 0 };

	add_request(&records, 1, 1, UINT64_MAX - 10, 512);
	add_request(&records, 1, 2, UINT64_MAX, 512);
	add_request(&records, 1, 3, 0, 0);
	add_reply(&records, 3);
	cr_expect_str_eq(told_by_records(&records), "begin 1 18446744073709551605 10\nend 3\nnbd-server\n");
}

Test(cache_notify, p_nbd_server_a_structured_reply_ends_with_its_last_part)
{
	struct records records = { 0 };

	add_request(&records, 1, 7, 0, 1);
	for (unsigned done = 0; done < 2; done++) {
		add_be(&records, 0x668e33ef, 4);
		add_be(&records, done << 16 | 1, 4);
		add_be(&records, 7, 8);
		add_be(&records, 512, 4); /* of a payload that is not logged */
	}
	cr_expect_str_eq(told_by_records(&records), "begin 7 0 1\nend 7\nnbd-server\n");
}

/* ---- text -------------------------------------------------------------------------------- */

Test(cache_notify, p_text_writes_ends_and_flushes)
{
	expect_told("write 0 512\ndone\n", "begin 0 0 512\nend 0\ntext\n");
	expect_told("  write\t0x10  0XFf 18446744073709551615\n", "not understood\n");
	expect_told("  write\t0x10  0xFf 18446744073709551615 \ndone 0xffffffffffffffff\n",
		    "begin 18446744073709551615 16 255\nend 18446744073709551615\ntext\n");
	expect_told("\n\nflush\n\n \nflush \n", "flush\nflush\ntext\n");
	expect_told("write 5 0\nwrite 5 0xffffffffffffffff 2\n", "begin 2 5 18446744073709551610\ntext\n");
}

Test(cache_notify, p_text_any_other_line_breaks_the_stream)
{
	static const char *const lines[] = {
		"write",
		"write 0",
		"write 0 ",
		"write 0 1 2 3",
		"write0 1",
		"write 0 -1",
		"write 0 1x",
		"write 0 1 x",
		"write 0x 1",
		"write 0x0x5 1",
		"write 0x-5 1",
		"write +5 1",
		"writes 0 1",
		"done 1 2",
		"done x",
		"done1",
		"flush 1",
		"flushed",
		"flush\r",
		"FLUSH",
		"# flush",
		"write 0 18446744073709551616",
		"write 0x10000000000000000 1",
		"write 1,2",
		"ledger 5",
		"write 0 1\v",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char stream[64];

		snprintf(stream, sizeof(stream), "flush\n%s\n", lines[i]);
		cr_expect_str_eq(told_by_text(stream), "flush\nnot understood\n", "%s", lines[i]);
	}
	cr_expect_str_eq(told_by_bytes("flush\nwrite 0 1\0\n", 17), "flush\nnot understood\n");
}

Test(cache_notify, p_text_a_line_longer_than_any_breaks_the_stream)
{
	char stream[6 + NOTIFY_LINE_MAX] = "flush\n";

	memset(stream + 6, ' ', NOTIFY_LINE_MAX);
	stream[6 + NOTIFY_LINE_MAX - 1] = '\n';
	cr_expect_str_eq(told_by_bytes(stream, sizeof(stream)), "flush\ntext\n");
	stream[6 + NOTIFY_LINE_MAX - 1] = ' ';
	cr_expect_str_eq(told_by_bytes(stream, sizeof(stream)), "flush\nnot understood\n");
}
