/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_handshake.h"

#include <stdio.h>
#include <unistd.h>

#ifdef HAVE_LIBNBD

#include <libnbd.h>

#include "cache/device/device.h"
#include "cache/device/nbd_refusal.h"
#include "cache/device/nbd_uri.h"

static const char refused[] = "its block server has no such export, or refuses it";
static const char large_blocks[] = "its block server reads in blocks of more than 4096 bytes, or less than 128 KiB at a time";

/*
 * Simple replies: their length is that of the request. In structured ones a server says itself of what it sends data,
 * and libnbd (1.14) takes it for a whole answer when some is missing.
 */
static bool ask_for_simple_replies(struct nbd_handle *handle)
{
#ifdef LIBNBD_HAVE_NBD_SET_REQUEST_EXTENDED_HEADERS
	if (nbd_set_request_extended_headers(handle, false) != 0)
		return false;
#endif
	return nbd_set_request_structured_replies(handle, false) == 0;
}

static bool configure(struct nbd_handle *handle, const struct nbd_uri *uri)
{
	/* TLS is between a relay and the server, if the URI wants it. */
	return ask_for_simple_replies(handle) && nbd_set_export_name(handle, uri->export) == 0 &&
	       nbd_set_tls(handle, LIBNBD_TLS_DISABLE) == 0;
}

/* Sizes and limits are what a server says: nothing is taken as it is. */
static const char *check_export(struct nbd_handle *handle, uint64_t *size_bytes)
{
	int64_t size = nbd_get_size(handle), least = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM),
		most = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return refused;
	*size_bytes = (uint64_t)size;
	if (least > (int64_t)CACHE_BLOCK_BYTES || (most > 0 && most < (int64_t)NBD_REQUEST_BYTES_MAX))
		return large_blocks;
	return NULL;
}

struct nbd_handle *nbd_handshake(int fd, const struct nbd_uri *uri, uint64_t *size_bytes, const char **problem,
				 char details[NBD_DETAILS_BYTES])
{
	struct nbd_handle *handle;
	bool configured;
	const char *error;

	if (uri->tls && !nbd_refusal_await(fd, problem, details)) {
		close(fd);
		return NULL;
	}
	handle = nbd_create();
	configured = handle && configure(handle, uri);
	*problem = refused;
	if (!configured)
		close(fd);
	/* Which takes the socket over, and closes it when it fails. */
	if (configured && nbd_connect_socket(handle, fd) == 0) {
		*problem = check_export(handle, size_bytes);
		if (!*problem)
			return handle;
	} else {
		error = nbd_get_error();
		snprintf(details, NBD_DETAILS_BYTES, "%s", error ? error : "");
	}
	nbd_close(handle);
	return NULL;
}

#else

struct nbd_handle *nbd_handshake(int fd, const struct nbd_uri *uri, uint64_t *size_bytes, const char **problem,
				 char details[NBD_DETAILS_BYTES])
{
	(void)uri;
	(void)size_bytes;
	(void)details;
	close(fd);
	*problem = "imagefs was built without libnbd";
	return NULL;
}

#endif
