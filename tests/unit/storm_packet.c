/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TFTP's packets: what a request looks like, and that nothing of a server's is believed that is cut or
 * strange. */
#include "tools/storm/packet.h"

#include <criterion/criterion.h>
#include <string.h>

Test(storm_packet, a_request_is_as_the_firmware_s)
{
	static const char wanted[] = "\0\1"
				     "89025d75/start4.elf\0octet\0tsize\0"
				     "0\0blksize\0"
				     "1468";
	char packet[PACKET_REQUEST_BYTES];
	size_t length = packet_write_request(packet, "89025d75/start4.elf", true, 1468);

	cr_assert_eq(length, sizeof(wanted));
	cr_assert_arr_eq(packet, wanted, sizeof(wanted));
	cr_assert_eq(packet_write_request(packet, "bootcode.bin", false, 0), 2 + 13 + 6);
}

Test(storm_packet, a_path_that_does_not_fit_is_no_request)
{
	char packet[PACKET_REQUEST_BYTES], path[PACKET_REQUEST_BYTES];

	for (size_t length = 480; length < sizeof(path); length++) {
		memset(path, 'a', length);
		path[length] = '\0';
		/* 2, NUL, "octet", "tsize" and "0", each with its NUL. */
		cr_assert_eq(packet_write_request(packet, path, true, 0) != 0,
			     length + 2 + 1 + 6 + 6 + 2 <= PACKET_REQUEST_BYTES, "%zu", length);
	}
}

Test(storm_packet, an_error_is_cut_to_fit)
{
	char packet[PACKET_REQUEST_BYTES], text[2 * PACKET_REQUEST_BYTES];

	memset(text, 'e', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	cr_assert_eq(packet_write_error(packet, 0, text), PACKET_REQUEST_BYTES);
	cr_assert_eq(packet_write_error(packet, 0, "Early terminate"), 4 + 16);
}

static bool options(const char *packet, size_t length, struct packet_options *read)
{
	*read = (struct packet_options){ .blksize_bytes = 7 };
	return packet_read_options(packet, length, read);
}

Test(storm_packet, options_are_read_in_any_order_and_case)
{
	static const char both[] = "\0\6"
				   "BlkSize\0"
				   "1024\0tsize\0"
				   "5000000000";
	static const char one[] = "\0\6"
				  "tsize\0"
				  "0";
	struct packet_options read;

	cr_assert(options(both, sizeof(both), &read));
	cr_assert_eq(read.blksize_bytes, 1024);
	cr_assert_eq(read.tsize_bytes, 5000000000);
	cr_assert(options(one, sizeof(one), &read));
	cr_assert(read.has_tsize && !read.has_blksize);
	cr_assert_eq(read.blksize_bytes, 7, "what it does not say stays");
}

Test(storm_packet, an_oack_that_is_cut_anywhere_is_none)
{
	static const char whole[] = "\0\6"
				    "tsize\0"
				    "12\0blksize\0"
				    "512";
	struct packet_options read;

	for (size_t length = 3; length < sizeof(whole); length++)
		cr_assert_eq(options(whole, length, &read), length == 2 + 6 + 3, "%zu", length);
}

Test(storm_packet, strange_options_are_none)
{
	static const struct {
		const char *text;
		size_t length;
	} strange[] = {
		{ "\0\6tsize\0-1", 11 },
		{ "\0\6tsize\0", 9 },
		{ "\0\6tsize\0"
		  "1x",
		  11 },
		{ "\0\6windowsize\0"
		  "4",
		  15 },
		{ "\0\6tsize\0"
		  "99999999999999999999",
		  29 },
		{ "\0\6\0", 4 },
	};
	struct packet_options read;

	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
		cr_assert_not(options(strange[i].text, strange[i].length, &read), "%zu", i);
}

Test(storm_packet, a_packet_of_a_server_has_a_head)
{
	enum packet_opcode opcode;
	uint16_t number;

	cr_assert_not(packet_read("\0", 1, &opcode, &number));
	cr_assert_not(packet_read("\0\3\0", 3, &opcode, &number), "cut");
	cr_assert_not(packet_read("\0\4\0\1", 4, &opcode, &number), "an ACK is a client's");
	cr_assert_not(packet_read("\0\1ab", 4, &opcode, &number));
	cr_assert(packet_read("\0\3\xff\xfe", 4, &opcode, &number));
	cr_assert_eq(opcode, PACKET_DATA);
	cr_assert_eq(number, 0xfffe);
}
