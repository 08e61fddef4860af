/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_refusal: why a relay (nbd_relay.h) has no connection, as it says it to who reads: over the same socket, in place of all else.
 */
#pragma once

#include <stdbool.h>

#define NBD_DETAILS_BYTES 256

/* Why there is no connection: what who reads is told before all else (and its end, once there is one). */
enum nbd_refusal {
	NBD_REFUSAL_FILES = 'a', /* nothing begins like the greeting of a server */
	NBD_REFUSAL_NO_TLS,
	NBD_REFUSAL_NOT_TRUSTED,
	NBD_REFUSAL_FAILED,
	NBD_REFUSAL_NOT_STARTED,
	NBD_REFUSALS
};

/* Tell who reads, in place of a relay. */
void nbd_refusal_send(int client_fd, enum nbd_refusal why, const char *details);

/*
 * For who reads: wait until the relay has made its connection. False: *problem (constant text) and `details` say why not. Blocks until
 * the relay says so, or ends; shutdown(2) through another descriptor ends that.
 */
bool nbd_refusal_await(int client_fd, const char **problem, char details[NBD_DETAILS_BYTES]);
