/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_starttls: the beginning of a connection to a block server, until TLS is there and the server has shown that it
 * goes on with it (doc/proto.md, NBD_OPT_STARTTLS). Then it waits for options.
 */
#pragma once

#include <stdint.h>

#include "cache/device/nbd_refusal.h"
#include "cache/device/nbd_tls.h"

struct nbd_starttls {
	int server_fd; /* connected, non-blocking */
	int client_fd; /* whose end ends it: nobody waits any more */
	int64_t until_ns; /* CLOCK_MONOTONIC */
	struct nbd_tls *tls;
	/* Out. */
	unsigned char flags; /* of the server's greeting, those that have been agreed to; what it said before TLS is worth no more than that */
	enum nbd_refusal problem; /* and why: */
	char why[NBD_TLS_WHY_BYTES];
};

/* 0, or -errno and why. -ETIMEDOUT: as well if the client ended it. Of the server's bytes none is taken that is not part of this. */
int nbd_starttls(struct nbd_starttls *begin);
