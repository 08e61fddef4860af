/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd_server: the records of nbd-server's transactionlog; the form is described in notify.h. */
#pragma once

#include "cache/changes/formats/events.h"

/* Takes one record, or a part of it. Returns how many bytes; 0: broken. */
size_t notify_nbd_server_take(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes);
