/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_loop: the thread that has all connections to block servers (nbd_connection.h), and polls them. Why there is one,
 * stands in nbd_export.h.
 */
#pragma once

#include <stdbool.h>

/* Is there a libnbd? */
bool nbd_available(void);

/* Before the first export is looked at; any number of times, from any thread. -ENOMEM, -EAGAIN; -EOPNOTSUPP: there is no libnbd. */
int nbd_loop_start(void);
