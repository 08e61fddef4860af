/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/nbd_message.c: what a relay lets pass, and what not. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "cache/changes/formats/writes_page.h"
#include "cache/device/nbd_handshake.h"
#include "cache/device/nbd_message.h"

static unsigned char message[NBD_MESSAGE_BYTES_MAX + 64];

static void put_be(unsigned char *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
}

/* How long it is. */
static size_t option(uint32_t number, const void *data, size_t length)
{
	put_be(message, NBD_OPTION_MAGIC, 8);
	put_be(message + 8, number, 4);
	put_be(message + 12, length, 4);
	memcpy(message + NBD_OPTION_BYTES, data, length);
	return NBD_OPTION_BYTES + length;
}

static size_t go(const char *name, uint16_t kinds)
{
	unsigned char data[4 + NBD_STRING_BYTES_MAX + 2 + 2 * NBD_INFORMATION_MAX] = { 0 };
	size_t length = strlen(name);

	put_be(data, length, 4);
	memcpy(data + 4, name, length);
	put_be(data + 4 + length, kinds, 2);
	return option(7, data, 4 + length + 2 + 2U * kinds);
}

static size_t request(uint16_t type, uint32_t length)
{
	memset(message, 0, NBD_REQUEST_BYTES);
	put_be(message, NBD_REQUEST_MAGIC, 4);
	put_be(message + 6, type, 2);
	put_be(message + 24, length, 4);
	return NBD_REQUEST_BYTES;
}

/* In a piece of memory that is no longer than that: a sanitizer sees who reads on. */
static ssize_t check(const char *export, size_t have)
{
	unsigned char *copy = malloc(have + (have == 0));
	ssize_t length;

	memcpy(copy, message, have);
	length = nbd_message_check(export, copy, have);
	free(copy);
	return length;
}

/* Whole it is that long; a byte less of it is waited for. */
static void passes(const char *export, size_t length)
{
	cr_assert_eq(check(export, length), (ssize_t)length);
	for (size_t have = 0; have < length; have++)
		cr_assert_eq(check(export, have), 0, "%zu of %zu", have, length);
}

Test(nbd_message, the_export_and_the_one_beside_it)
{
	passes("pi7", go("pi7", 0));
	passes("pi7", go("pi7", 3));
	passes("pi7", go("pi7" WRITES_PAGE_SUFFIX, 1));
	passes("", go("", 0));
	passes("", go("@writes", 0));
	passes("pi7", option(1, "pi7", 3));
	passes("pi7", option(1, "pi7@writes", 10));
	passes("pi7", option(2, "", 0));
}

Test(nbd_message, no_other_export)
{
	const char *others[] = { "", "pi", "pi8", "pi77", "pi7@write", "pi7@writess", "@writes", "pi7@writes@writes", "PI7" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		cr_assert_eq(check("pi7", go(others[i], 0)), -1, "%s", others[i]);
		cr_assert_eq(check("pi7", option(1, others[i], strlen(others[i]))), -1, "%s", others[i]);
	}
}

Test(nbd_message, no_other_option)
{
	for (uint32_t number = 0; number < 32; number++)
		if (number != 2)
			cr_assert_eq(check("pi7", option(number, "", 0)), -1, "%u", number);
}

Test(nbd_message, lengths_that_lie)
{
	size_t length = go("pi7", 0);

	/* Of the name. */
	put_be(message + NBD_OPTION_BYTES, 4, 4);
	cr_assert_eq(check("pi7", length), -1);
	put_be(message + NBD_OPTION_BYTES, UINT32_MAX, 4);
	cr_assert_eq(check("pi7", length), -1);
	cr_assert_eq(check("pi7", option(7, "\0\0\0\0\0", 5)), -1);
	/* A name that ends in the message behind it. */
	option(7, "\0\0\0\3pi", 6);
	message[NBD_OPTION_BYTES + 6] = '7';
	cr_assert_eq(check("pi7", NBD_OPTION_BYTES + 16), -1);
	length = go("pi7", 0);
	/* Of all: refused before it is waited for. */
	put_be(message + 12, NBD_MESSAGE_BYTES_MAX - NBD_OPTION_BYTES + 1, 4);
	cr_assert_eq(check("pi7", NBD_OPTION_BYTES), -1);
	put_be(message + 12, UINT32_MAX, 4);
	cr_assert_eq(check("pi7", NBD_OPTION_BYTES), -1);
}

Test(nbd_message, requests_that_only_read)
{
	passes("pi7", request(0, 1));
	passes("pi7", request(0, NBD_REQUEST_BYTES_MAX));
	passes("pi7", request(2, 0));
	cr_assert_eq(check("pi7", request(0, NBD_REQUEST_BYTES_MAX + 1)), -1);
	for (uint16_t type = 1; type < 32; type++)
		if (type != 2)
			cr_assert_eq(check("pi7", request(type, 512)), -1, "%u", type);
}

Test(nbd_message, what_is_neither)
{
	request(0, 512);
	message[3] ^= 1;
	cr_assert_eq(check("pi7", NBD_REQUEST_BYTES), -1);
	option(2, "", 0);
	message[7] ^= 1;
	cr_assert_eq(check("pi7", NBD_OPTION_BYTES), -1);
}
