/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_message: what somebody who only reads says to a block server (doc/proto.md): options before the export is opened, requests after
 * it. A relay (nbd_relay.h) lets nothing else pass.
 *
 * Pure functions over bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Magic numbers, and how long headers are. */
#define NBD_GREETING "NBDMAGICIHAVEOPT" /* and two bytes of flags */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454F5054) /* IHAVEOPT, too */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x3e889045565a9)
#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)
enum {
	NBD_GREETING_BYTES = 18,
	NBD_FLAGS_BYTES = 4,
	NBD_OPTION_BYTES = 16,
	NBD_OPTION_REPLY_BYTES = 20,
	NBD_REQUEST_BYTES = 28
};

/* A string is no longer; and so many kinds of information may be asked for. */
#define NBD_STRING_BYTES_MAX 4096
#define NBD_INFORMATION_MAX 16

/* The longest that may pass. */
#define NBD_MESSAGE_BYTES_MAX (NBD_OPTION_BYTES + 4 + NBD_STRING_BYTES_MAX + 2 + 2 * NBD_INFORMATION_MAX)

/*
 * How long the message is that begins there, of which `have` bytes are known; 0: more of it is needed; -1: it may not be said. That is
 * all but options about `export` and the one beside it that tells of writes, the end, and READ of NBD_REQUEST_BYTES_MAX at most.
 */
ssize_t nbd_message_check(const char *export, const unsigned char *bytes, size_t have);
