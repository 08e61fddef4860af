/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_pass: bytes on their way between who reads, in clear, and a block server, by TLS; both wait for options. What who reads
 * says is looked at (nbd_message.h); what the server says is not.
 *
 * Each direction has one piece of memory, and waits for whoever takes from it: nothing is kept without bound.
 */
#pragma once

#include "cache/device/nbd_tls.h"

/*
 * Until one of both ends, or who reads says what he may not. `flags` are those that the server was told: who reads has to say the same.
 * -ENOMEM, or 0. Blocks.
 */
int nbd_pass(struct nbd_tls *tls, int server_fd, int client_fd, const char *export, unsigned char flags);
