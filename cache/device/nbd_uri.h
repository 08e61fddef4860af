/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_uri: `nbd://store/pi7`, the name of an image behind a block server.
 *
 * The form is that of the NBD project (doc/uri.md), read by the rules of libnbd's nbd_connect_uri(3):
 *
 *     nbd[s]://HOST[:PORT]/EXPORT                  over TCP; without HOST localhost, without PORT 10809
 *     nbd[s]+unix:///EXPORT?socket=PATH            over a unix socket
 *
 * with %XX for any byte, and for the forms with s (TLS) USER@ and ?tls-certificates=DIR, tls-psk-file=FILE,
 * tls-verify-peer=BOOL. Other parameters are ignored. libnbd cannot only parse: it connects in the same call,
 * which here another process does (cache/device/opener.h).
 *
 * Text only: nothing is opened or connected to here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nbd_uri {
	bool tls;
	bool tls_verify_peer;
	/* All owned by `room`; NULL: not given. */
	const char *socket;	/* an absolute path; NULL: over TCP, and then */
	const char *host;	/* without brackets */
	const char *port;	/* digits */
	const char *export;	/* "" is a name as well */
	const char *user;
	const char *tls_certificates;
	const char *tls_psk_file;
	char *room;
};

/* Does the text name something by a scheme (`SCHEME://...`), whether it is understood or not? */
bool nbd_uri_is_one(const char *text);

/*
 * A number for it, not 0: equal texts have the same, others have not. (A hash with a secret of this process: who names
 * images could not find two that fall together, if he cared to.)
 */
uint64_t nbd_uri_number(const char *text);

/* NULL: *uri is for nbd_uri_free. Else a constant text says why not, and there is nothing to free. */
const char *nbd_uri_parse(const char *text, struct nbd_uri *uri);
void nbd_uri_free(struct nbd_uri *uri);

/*
 * May it be connected to? `allowed` is what the option nbd= says: "any", "none", or names with colons between them, of
 * which "unix" stands for all unix sockets, and the others are hosts as URIs write them (IPv6 addresses in brackets).
 */
bool nbd_uri_is_allowed(const struct nbd_uri *uri, const char *allowed);

/* Is it such a text? */
bool nbd_uri_check_allowed(const char *allowed);
