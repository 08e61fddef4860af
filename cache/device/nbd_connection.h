/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_connection: a connection to a block server, from its socket to its end, by libnbd. Of the loop only (nbd_loop.h): nothing
 * here blocks, and nobody else calls it.
 */
#pragma once

#include <stdint.h>

struct nbd_connection;

/* There is nothing to wait for but what is polled. */
#define NBD_FOREVER_NS INT64_MAX

/* Do what is due for it: when there will be more to do (CLOCK_MONOTONIC); 0: it is gone. */
int64_t nbd_connection_step(struct nbd_connection *connection, int64_t now_ns);

/* What to poll it for, and where; *fd is -1: nowhere. */
short nbd_connection_events(const struct nbd_connection *connection, int *fd);

/* What the poll has found. */
void nbd_connection_notify(struct nbd_connection *connection, short events);
