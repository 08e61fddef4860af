/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_handshake: what is agreed upon with a block server before anything is read, by libnbd; TLS is a relay's matter (nbd_relay.h).
 *
 * For a thread of each connection's own (nbd_export.c): libnbd goes on inside of one call for as long as the server has more
 * to say (any number of NBD_REP_INFO is allowed), so in the loop one server could keep all others from being served.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache/device/nbd_refusal.h" /* NBD_DETAILS_BYTES */

struct nbd_handle;
struct nbd_uri;

/* So much is one request at most: who serves less at a time is refused. */
#define NBD_REQUEST_BYTES_MAX ((size_t)128 << 10)

/*
 * A handle that is ready for reads, for the caller to close, over the connected socket `fd` (of a URI with TLS, that of a
 * relay), which is taken over in any case.
 * NULL: *problem says why (constant text), and `details` what the library says besides, if it says anything. Blocks until
 * the server has said all; shutdown(2) of the socket, through another descriptor, ends that.
 */
struct nbd_handle *nbd_handshake(int fd, const struct nbd_uri *uri, uint64_t *size_bytes, const char **problem,
				 char details[NBD_DETAILS_BYTES]);
