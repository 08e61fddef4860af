/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_relay: TLS with a block server, on behalf of who reads from it over a socket without TLS.
 *
 *     who reads (libnbd)  <-- socketpair, NBD in clear -->  relay  <-- TCP or unix socket, NBD in TLS -->  block server
 *
 * The one who reads in a mount is the confined daemon, which may open no file: it never gets a key, and no byte of TLS. A relay is a process of
 * its own there, for one connection (fuse/process/relays.h), and a thread in a tool.
 *
 * It greets the server, has it begin with TLS (NBD_OPT_STARTTLS), and sees by one more option and its answer that the server
 * wants to go on: with TLS 1.3 it refuses who asks only then. From there on bytes go as they come. What who reads says is
 * looked at: options about the export of the URI, and the one beside it that tells of writes; and READ, of
 * NBD_REQUEST_BYTES_MAX at most; all else ends the connection. What the server says is not: libnbd has to bear any
 * answer, with TLS or without.
 *
 * It ends when one of both sides ends. Whoever reads has the limits of time: it ends by them.
 */
#pragma once

#include <stdbool.h>

struct nbd_uri;

/*
 * Be one, until the end: `server_fd` is connected, both are non-blocking and close-on-exec, and closed here. `confine` (or NULL) is called
 * when all files are read, and before the first byte of the server is: no file is opened after that, only both sockets are
 * used; false: it could not be. Blocks.
 */
void nbd_relay_run(int server_fd, int client_fd, const struct nbd_uri *uri, bool (*confine)(void));

/* Before any: who started imagefs is root, whoever relays are. Then files that no URI names are root's (nbd_tls.h). */
void nbd_relay_by_root(void);

/* Was imagefs built with GnuTLS? Without it there are no relays. */
bool nbd_relay_available(void);

/* One of one's own, in a thread. The socket to read over, for the caller to close, or -errno. `server_fd` is taken over in any case; `text` is a URI. */
int nbd_relay_start(int server_fd, const char *text);
