/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_message.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/device/nbd_handshake.h"

enum { OPTION_EXPORT_NAME = 1, OPTION_ABORT = 2, OPTION_INFO = 6, OPTION_GO = 7 };
enum { READ = 0, DISCONNECT = 2 };

/* A second export, of this name behind that of the first: cache/changes/formats/writes_page.h. */
#define WRITES "@writes"

static bool is_our_export(const char *export, const unsigned char *name, size_t length)
{
	size_t first = strlen(export), second = sizeof(WRITES) - 1;

	if (length < first || memcmp(name, export, first) != 0)
		return false;
	return length == first || (length == first + second && memcmp(name + first, WRITES, second) == 0);
}

static ssize_t check_option(const char *export, const unsigned char *bytes, size_t have)
{
	uint32_t option = get_be32(bytes + 8), length = get_be32(bytes + 12), name_length;
	const unsigned char *data = bytes + NBD_OPTION_BYTES;
	bool allowed = option == OPTION_ABORT;

	if (length > NBD_MESSAGE_BYTES_MAX - NBD_OPTION_BYTES)
		return -1;
	if (have < NBD_OPTION_BYTES + length)
		return 0;
	if (option == OPTION_EXPORT_NAME)
		allowed = is_our_export(export, data, length);
	/* The name, with its length before it, and how many kinds of information follow. */
	if ((option == OPTION_GO || option == OPTION_INFO) && length >= 6) {
		name_length = get_be32(data);
		allowed = name_length <= length - 6 && is_our_export(export, data + 4, name_length);
	}
	return allowed ? (ssize_t)(NBD_OPTION_BYTES + length) : -1;
}

static ssize_t check_request(const unsigned char *bytes, size_t have)
{
	uint16_t type;

	if (have < NBD_REQUEST_BYTES)
		return 0;
	type = get_be16(bytes + 6);
	if (type == DISCONNECT)
		return NBD_REQUEST_BYTES;
	return type == READ && get_be32(bytes + 24) <= NBD_REQUEST_BYTES_MAX ? NBD_REQUEST_BYTES : -1;
}

/*
 * Options and requests tell themselves apart, and no server takes one for the other: so it need not be known which of them
 * it waits for.
 */
ssize_t nbd_message_check(const char *export, const unsigned char *bytes, size_t have)
{
	if (have < NBD_OPTION_BYTES)
		return 0;
	if (get_be64(bytes) == NBD_OPTION_MAGIC)
		return check_option(export, bytes, have);
	return get_be32(bytes) == NBD_REQUEST_MAGIC ? check_request(bytes, have) : -1;
}
