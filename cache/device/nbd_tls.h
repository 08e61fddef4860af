/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_tls: TLS with a block server, by GnuTLS, with the parameters that libnbd gives to URIs (nbd_connect_uri(3)):
 *
 *     tls-certificates=DIR     ca-cert.pem there is trusted, and nothing else; ca-crl.pem, if there; client-cert.pem and
 *                              client-key.pem, if the server wants to know who asks
 *     tls-psk-file=FILE, USER@ the line USER:KEY, KEY in hexadecimal digits (psktool(1)); no certificates
 *     tls-verify-peer=BOOL     is the server's certificate looked at?
 *
 * Without files: those in ~/.pki/libnbd or ~/.config/pki/libnbd (root: /etc/pki/libnbd), and without these the system's.
 *
 * Why not libnbd itself: it reads the files when the server has begun to speak, so that whoever keeps the privilege to read
 * them keeps it while hostile bytes come in. And over a socket that is connected already it does not compare the
 * certificate with the host's name (up to 1.20 it does not look at the certificate at all). Here all files are read by
 * nbd_tls_new, before the first byte, and nothing is opened after it.
 *
 * An object is of one thread at a time. Texts that say why are one line, of at most NBD_TLS_WHY_BYTES with the NUL; bytes of the
 * server are in none of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct nbd_tls;
struct nbd_uri;

#define NBD_TLS_WHY_BYTES 256

/* Files that are found are root's, whoever this process is. Before nbd_tls_new. */
void nbd_tls_by_root(void);

/* Read what the URI (which has to last as long) names, or leaves to be found. Opens files, and blocks as long as these do. -errno, and why. */
int nbd_tls_new(const struct nbd_uri *uri, struct nbd_tls **out, char why[NBD_TLS_WHY_BYTES]);
void nbd_tls_free(struct nbd_tls *tls); /* NULL is fine */

/*
 * One step of the handshake over that connected, non-blocking socket (borrowed): 0 when it is done, and the server is who it should be;
 * -EAGAIN: poll, for what nbd_tls_wants_to_write says; -EKEYREJECTED: its certificate is not trusted; -EPROTO; and why.
 */
int nbd_tls_handshake(struct nbd_tls *tls, int fd, char why[NBD_TLS_WHY_BYTES]);

/* What the last call that returned -EAGAIN waits for: room to write; else bytes to read. */
bool nbd_tls_wants_to_write(const struct nbd_tls *tls);

/* As recv(2) and send(2): the bytes, 0 at the end, -EAGAIN, or -EPROTO and why. After -EAGAIN nbd_tls_send wants the same bytes again. */
ssize_t nbd_tls_receive(struct nbd_tls *tls, void *buffer, size_t bytes, char why[NBD_TLS_WHY_BYTES]);
ssize_t nbd_tls_send(struct nbd_tls *tls, const void *buffer, size_t bytes, char why[NBD_TLS_WHY_BYTES]);

/* Tell the server that it is over, if that can be done at once. */
void nbd_tls_end(struct nbd_tls *tls);
