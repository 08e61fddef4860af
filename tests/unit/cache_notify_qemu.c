/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/notify_qemu: QEMU promises nothing about its trace, and it does not name
 * clients. So a line that does not fit what was said before must break the stream,
 * before a write that is not known of is executed. Captures: cache_notify.c.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cache/changes/formats/notify.h"

static struct notify_parser parser;
static char told[8192]; /* b: begin, e: end; with the id */

static void tell(void *context, const struct notify_event *event)
{
	size_t length = strlen(told);

	(void)context;
	snprintf(told + length, sizeof(told) - length, "%s%" PRIu64 " ",
		 event->kind == NOTIFY_BEGIN ? "b" : "e", event->id);
}

static void start(void)
{
	memset(&parser, 0, sizeof(parser));
	told[0] = '\0';
}

__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
	char text[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text) - 1, format, arguments);
	va_end(arguments);
	text[length++] = '\n';
	notify_feed(&parser, text, (size_t)length, tell, NULL);
}

enum { READ = 0, WRITE = 1, DISCONNECT = 2, FLUSH = 3, TRIM = 4, CACHE = 5, ZERO = 6, STATUS = 7, LATER = 9 };

static void range(unsigned type, unsigned length)
{
	line("nbd_receive_request Got request: { magic = 0x25609513, .flags = 0x1, .type = 0x%x, from = "
	     "4096, "
	     "len = %u }",
	     type, length);
}

static void type_of(uint64_t handle, unsigned type)
{
	line("nbd_co_receive_request_decode_type Decoding type: handle = %" PRIu64 ", type = %u (some)",
	     handle, type);
}

static void request(uint64_t handle, unsigned type)
{
	range(type, 512);
	type_of(handle, type);
}

static void payload(uint64_t handle, unsigned length)
{
	line("nbd_co_receive_request_payload_received Payload received: handle = %" PRIu64 ", len = %u",
	     handle, length);
}

static void reply(uint64_t handle, unsigned error)
{
	line("nbd_co_send_simple_reply Send simple reply: handle = %" PRIu64 ", error = %u (some), len = 0",
	     handle, error);
}

static void part(uint64_t handle)
{
	line("nbd_co_send_structured_read Send structured read data reply: handle = %" PRIu64
	     ", offset = 0, data = 0x5559eb113000, len = 512",
	     handle);
}

#define expect(events, is_whole)                                                                 \
	do {                                                                                     \
		cr_expect_str_eq(told, events);                                                  \
		cr_expect_eq(parser.form, is_whole ? NOTIFY_FORM_QEMU_NBD : NOTIFY_FORM_BROKEN); \
		start();                                                                         \
	} while (0)

TestSuite(cache_notify_qemu, .init = start);

Test(cache_notify_qemu, p_a_write_begins_with_its_payload_and_the_others_at_once)
{
	request(1, WRITE);
	expect("", true);
	request(1, WRITE);
	payload(1, 512);
	request(2, ZERO);
	request(3, TRIM);
	request(4, LATER);
	reply(2, 0);
	reply(1, 28);
	reply(4, 0);
	reply(3, 0);
	expect("b1 b2 b3 b4 e2 e1 e4 e3 ", true);
}

Test(cache_notify_qemu, p_what_does_not_write_tells_nothing)
{
	static const unsigned types[] = { READ, FLUSH, CACHE, STATUS };

	for (size_t i = 0; i < 4; i++) {
		request(i, types[i]);
		reply(i, i % 2);
	}
	request(0, DISCONNECT);
	request(0, STATUS);
	payload(0, 16); /* later versions */
	line("nbd_co_send_extents Send block status reply: handle = 0, extents = 4, context = 0");
	line("nbd_trip Reading request");
	line("qemu-nbd: Disconnect client, due to: Failed to read request: Unexpected end-of-file");
	line("anything");
	line("%s", "");
	expect("", true);
}

Test(cache_notify_qemu, p_a_time_before_each_line)
{
	line("1234@1763727072.646915:nbd_receive_request Got request: { magic = 0x25609513, .flags = 0x0, "
	     ".type = 0x4, from = 0, len = 16 }");
	line("1234@1763727072.646916:nbd_co_receive_request_decode_type Decoding type: handle = 1, type = 4 "
	     "(trim)");
	line("1234@1763727072.646917:nbd_co_send_simple_reply Send simple reply: handle = 1, error = 0 "
	     "(success)");
	expect("b1 e1 ", true);
}

Test(cache_notify_qemu, p_the_words_of_later_versions)
{
	line("nbd_receive_request Got request: { magic = 0x21e41c71, .flags = 0x0, .type = 0x1, from = 0, "
	     "len = 16 }");
	line("nbd_co_receive_request_decode_type Decoding type: cookie = 1, type = 1 (write)");
	line("nbd_co_receive_request_payload_received Payload received: cookie = 1, len = 16");
	line("nbd_co_send_chunk_done Send structured reply done: cookie = 1");
	expect("b1 e1 ", true);
	request(1, TRIM);
	line("nbd_co_send_chunk_error Send structured error reply: cookie = 1, error = 5 (EIO), msg = 'no'");
	request(1, READ);
	line("nbd_co_send_chunk_read_hole Send structured read hole reply: cookie = 1, offset = 0, len = "
	     "512");
	line("nbd_co_send_chunk_read Send structured read data reply: cookie = 1, offset = 0, data = 0x1, "
	     "len = 1");
	request(1, TRIM);
	expect("b1 e1 b1 ", true);
}

Test(cache_notify_qemu, p_a_line_that_was_lost_breaks_the_stream)
{
	type_of(1, READ);
	expect("", false);
	request(1, TRIM);
	type_of(2, TRIM);
	expect("b1 ", false);
	range(TRIM, 512);
	range(TRIM, 512);
	expect("", false);
	range(TRIM, 512);
	type_of(1, WRITE);
	expect("", false);
	range(WRITE, 512);
	payload(1, 512);
	expect("", false);
	request(1, WRITE);
	reply(1, 0);
	expect("", false);
	request(1, WRITE);
	payload(1, 511);
	expect("", false);
	request(1, TRIM);
	payload(1, 512);
	expect("b1 ", false);
	reply(1, 0);
	expect("", false);
	request(1, TRIM);
	reply(1, 0);
	reply(1, 0);
	expect("b1 e1 ", false);
	request(1, TRIM);
	part(1);
	expect("b1 ", false);
}

Test(cache_notify_qemu, p_a_line_that_was_torn_breaks_the_stream)
{
	line("nbd_receive_request Got request: { magic = 0x25609513, .flags = 0x1, .type = 0x4, from = 0, "
	     "len = 51");
	expect("", false);
	line("nbd_receive_request Got request: { magic = 0x25609514, .flags = 0x1, .type = 0x4, from = 0, "
	     "len = 5 }");
	expect("", false);
	range(TRIM, 512);
	line("nbd_co_receive_request_decode_type Decoding type: handle = ");
	expect("", false);
	request(1, TRIM);
	line("nbd_co_send_simple_reply Send simple reply: handle = 1, error = ");
	expect("b1 ", false);
}

Test(cache_notify_qemu, p_a_refused_write_needs_no_payload)
{
	request(1, WRITE);
	reply(1, 22);
	request(1, WRITE);
	line("nbd_co_send_structured_error Send structured error reply: handle = 1, error = 22 (EINVAL), msg "
	     "= 'x'");
	request(1, TRIM);
	expect("b1 ", true);
}

Test(cache_notify_qemu, p_a_client_that_is_gone_leaves_nothing_in_flight)
{
	request(1, WRITE);
	request(2, WRITE);
	payload(2, 512);
	reply(2, 0);
	expect("b2 e2 ", true);
	/* So soon with the same handle: who can say that it is another? */
	request(1, WRITE);
	request(2, READ);
	request(1, WRITE);
	expect("", false);
	request(1, WRITE);
	for (unsigned i = 0; i < 65; i++) {
		request(2, READ);
		reply(2, 0);
	}
	request(1, WRITE);
	payload(1, 512);
	expect("b1 ", true);
}

Test(cache_notify_qemu, p_two_clients_break_the_stream_before_a_write_that_is_not_known)
{
	static const unsigned types[] = { READ, WRITE, FLUSH, TRIM, CACHE, ZERO, STATUS, LATER };

	/* One handle for two. */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		request(1, WRITE);
		payload(1, 512);
		request(1, types[i]);
		expect("b1 ", false);
		request(1, FLUSH);
		request(1, types[i]);
		expect("", false);
	}
	/* Another's request between one and its payload. */
	request(1, WRITE);
	request(2, WRITE);
	payload(1, 512);
	expect("", false);
}

Test(cache_notify_qemu, p_more_requests_than_one_client_may_have_break_the_stream)
{
	char all[256] = "";

	for (unsigned i = 0; i < NOTIFY_QEMU_REQUESTS; i++) {
		request(i, TRIM);
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "b%u ", i);
	}
	cr_expect_eq(parser.form, NOTIFY_FORM_QEMU_NBD);
	request(NOTIFY_QEMU_REQUESTS, TRIM);
	expect(all, false);
}

/* The last part of an answer is not told from the others: what was answered makes room, the longest past
 * first. */
Test(cache_notify_qemu, p_answered_reads_make_room)
{
	for (unsigned i = 0; i < 1000; i++) {
		request(i, READ);
		part(i);
		part(i);
	}
	part(999);
	part(1); /* long forgotten */
	request(999, TRIM);
	reply(999, 0);
	expect("b999 e999 ", true);
}

Test(cache_notify_qemu, p_a_read_that_was_answered_of_late_keeps_its_room)
{
	for (unsigned i = 0; i < NOTIFY_QEMU_REQUESTS - 1; i++) {
		request(i, READ);
		part(i);
	}
	request(100, FLUSH);
	reply(100, 0);
	part(0);
	request(101, TRIM);
	request(102, TRIM); /* in the place of 1 */
	reply(0, 0);
	expect("b101 b102 ", true);
}
