/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * relays: a process for each connection to a block server by TLS (cache/device/nbd_relay.h).
 *
 * They are children of one that was forked from the process that opens images, before that had threads: `imagefs-tls`. It is the
 * daemon's user, and keeps what it takes to read the files of any URI; it waits, forks, and parses nothing. The socket that
 * is connected to the server comes from a thread of the opener, and with it the URI. A relay
 *
 *   reads the files that the URI names (a key above all), still with the privileges to;
 *   gives these up, and more than the daemon does (confine_relay): it may open no file at all, and use two sockets;
 *   and only then hears the first byte of the server.
 *
 * A relay ends with its connection; with imagefs-tls, by signal; and that ends with the opener, which ends with the daemon.
 */
#pragma once

#include <stddef.h>

/*
 * Start it, if there may be TLS, and let opener_connect use it. In the process that opens, before it has threads and gives up
 * privileges. `title` as in separate_start. Without it (no memory) images by TLS are EIO.
 */
void relays_start(char *title, size_t title_bytes);
