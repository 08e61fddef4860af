/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_connect: a connected socket to a block server. What is said over it is not its matter.
 *
 * Done by who may connect: the process that opens images (cache/device/opener.h), or a tool.
 */
#pragma once

#include <stdint.h>

struct nbd_uri;

/*
 * The socket (close-on-exec, non-blocking), for the caller to close. Blocks `within_ns`, and before that as long as the
 * resolver does. -ENXIO: nobody knows the name of the host; -ETIMEDOUT; -errno of connect(2).
 */
int nbd_connect(const struct nbd_uri *uri, int64_t within_ns);
