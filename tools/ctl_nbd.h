/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_nbd: does an NBD server have an export?
 */
#pragma once

enum nbd_answer {
	NBD_THERE,
	NBD_MISSING,   /* it says that it has none of that name */
	NBD_SILENT,    /* nobody is there, or is too slow */
	NBD_NOT_SAID,  /* it wants TLS first, or does not know the question */
};

/* Ask; nothing is opened there. `port` is digits. Waits a second for each of its addresses, and for the resolver. Any thread. */
enum nbd_answer nbd_ask(const char *host, const char *port, const char *export);
