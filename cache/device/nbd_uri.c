/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_uri.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "cache/device/hash.h"

#define DEFAULT_PORT "10809"

/* sockaddr_un has room for as much. */
#define SOCKET_BYTES_MAX 107

/* doc/proto.md: a string is no longer. */
#define EXPORT_BYTES_MAX 4096

static size_t scheme_length(const char *text)
{
	size_t length = 0;

	if (!isalpha((unsigned char)text[0]))
		return 0;
	while (isalnum((unsigned char)text[length]) || (text[length] != '\0' && strchr("+-.", text[length])))
		length++;
	return strncmp(text + length, "://", 3) == 0 ? length : 0;
}

bool nbd_uri_is_one(const char *text)
{
	return scheme_length(text) > 0;
}

uint64_t nbd_uri_number(const char *text)
{
	static _Atomic uint64_t secret;
	uint64_t seed = secret, none = 0, number;

	if (seed == 0) {
		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) || seed == 0)
			seed = 1;
		/* Whoever comes second finds the first one's. */
		if (!atomic_compare_exchange_strong(&secret, &none, seed))
			seed = none;
	}
	number = XXH3_64bits_withSeed(text, strlen(text), seed);
	return number != 0 ? number : 1;
}

/* RFC 3986 has no others; spaces and what is no ASCII are written as %XX. */
static bool has_only_uri_characters(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("-._~:/?#[]@!$&'()*+,;=%", *text))
			return false;
	return true;
}

/* %XX in place. False: two digits are missing, or it is the NUL. */
static bool decode(char *text)
{
	char *out = text, digits[3] = "";

	for (; *text; text++) {
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
			return false;
		memcpy(digits, text + 1, 2);
		*out = (char)strtoul(digits, NULL, 16);
		if (*out++ == '\0')
			return false;
		text += 2;
	}
	*out = '\0';
	return true;
}

static const char *parse_scheme(const char *text, struct nbd_uri *uri, bool *over_unix)
{
	static const struct {
		const char *name;
		bool tls, over_unix;
	} known[] = {
		{ "nbd", false, false },
		{ "nbds", true, false },
		{ "nbd+unix", false, true },
		{ "nbds+unix", true, true },
	};
	size_t length = scheme_length(text);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) != length || strncasecmp(known[i].name, text, length) != 0)
			continue;
		uri->tls = known[i].tls;
		*over_unix = known[i].over_unix;
		return NULL;
	}
	return "the scheme of its URI is none of nbd, nbds, nbd+unix, nbds+unix";
}

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 5 && text[digits] == '\0' && strtoul(text, NULL, 10) <= 65535;
}

/* [USER@][HOST][:PORT], which is written over. */
static const char *parse_authority(char *text, struct nbd_uri *uri)
{
	char *at = strrchr(text, '@'), *colon, *end;

	if (at) {
		*at = '\0';
		uri->user = text;
		text = at + 1;
		if (!decode((char *)uri->user))
			return "its URI has a % that no two digits follow";
	}
	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return "the address in its URI has no end";
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
	} else {
		colon = strrchr(text, ':');
	}
	uri->port = DEFAULT_PORT;
	if (colon) {
		*colon = '\0';
		if (colon[1] != '\0')
			uri->port = colon + 1;
	}
	uri->host = *text ? text : "localhost";
	if (!decode(text) || !is_port(uri->port))
		return "the port in its URI is no number from 0 to 65535";
	return NULL;
}

/* As libnbd spells them. False: it is none, and must not pass for one: a slip would switch off what it asks for. */
static bool parse_boolean(const char *text, bool *value)
{
	static const char *const words[2][6] = { { "0", "false", "f", "no", "n", "off" }, { "1", "true", "t", "yes", "y", "on" } };

	for (unsigned truth = 0; truth < 2; truth++) {
		for (size_t i = 0; i < 6; i++) {
			if (strcasecmp(text, words[truth][i]) == 0) {
				*value = truth;
				return true;
			}
		}
	}
	return false;
}

/* NAME=VALUE&..., which is written over. */
static const char *parse_query(char *text, struct nbd_uri *uri)
{
	for (char *pair; (pair = strsep(&text, "&;"));) {
		char *value = strchr(pair, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (!decode(pair) || !decode(value))
			return "its URI has a % that no two digits follow";
		if (strcmp(pair, "socket") == 0)
			uri->socket = value;
		else if (strcmp(pair, "tls-certificates") == 0)
			uri->tls_certificates = value;
		else if (strcmp(pair, "tls-psk-file") == 0)
			uri->tls_psk_file = value;
		else if (strcmp(pair, "tls-verify-peer") == 0 && !parse_boolean(value, &uri->tls_verify_peer))
			return "tls-verify-peer in its URI is neither true nor false";
	}
	return NULL;
}

static const char *check_socket(const struct nbd_uri *uri, bool over_unix, bool has_host)
{
	if (!over_unix)
		return uri->socket ? "its URI names a socket, and its scheme is not nbd+unix" : NULL;
	if (has_host)
		return "its URI names a host beside the socket: nbd+unix:///EXPORT?socket=PATH";
	if (!uri->socket || uri->socket[0] != '/')
		return "its URI names no socket by its whole path: nbd+unix:///EXPORT?socket=PATH";
	return strlen(uri->socket) > SOCKET_BYTES_MAX ? "the path of its socket is too long" : NULL;
}

/* `text` is a copy, from behind the colon and two slashes on. */
static const char *parse_rest(char *text, struct nbd_uri *uri, bool over_unix)
{
	char *query, *path;
	const char *at;
	bool has_host;
	const char *why;

	text[strcspn(text, "#")] = '\0';
	query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	path = strchr(text, '/');
	if (path)
		*path++ = '\0';
	at = strrchr(text, '@');
	has_host = (at ? at + 1 : text)[0] != '\0';
	uri->export = path ? path : "";
	why = parse_authority(text, uri);
	if (!why && path && !decode(path))
		why = "its URI has a % that no two digits follow";
	if (!why && query)
		why = parse_query(query, uri);
	if (!why)
		why = check_socket(uri, over_unix, has_host);
	if (!why && strlen(uri->export) > EXPORT_BYTES_MAX)
		why = "the name of its export is too long";
	if (!over_unix)
		return why;
	uri->host = uri->port = NULL;
	return why;
}

const char *nbd_uri_parse(const char *text, struct nbd_uri *uri)
{
	const char *why;
	bool over_unix;

	*uri = (struct nbd_uri){ .tls_verify_peer = true };
	if (!nbd_uri_is_one(text) || !has_only_uri_characters(text))
		return "it is no URI";
	why = parse_scheme(text, uri, &over_unix);
	if (why)
		return why;
	uri->room = strdup(text + scheme_length(text) + 3);
	why = uri->room ? parse_rest(uri->room, uri, over_unix) : "there is no memory";
	if (why)
		nbd_uri_free(uri);
	return why;
}

void nbd_uri_free(struct nbd_uri *uri)
{
	free(uri->room);
	*uri = (struct nbd_uri){ 0 };
}

/* ---- what may be connected to --------------------------------------------------- */

/* The next of the names, without brackets; *length is 0 behind the last. NULL: that is no name. */
static const char *next_name(const char **at, size_t *length)
{
	const char *name = *at;

	if (*name == '[') {
		*length = strcspn(++name, "]");
		*at = name + *length;
		if (**at != ']')
			return NULL;
		(*at)++;
	} else {
		*length = strcspn(name, ":");
		*at = name + *length;
	}
	if (**at == ':')
		(*at)++;
	else if (**at != '\0')
		return NULL;
	return *length > 0 ? name : NULL;
}

bool nbd_uri_check_allowed(const char *allowed)
{
	size_t length;

	if (*allowed == '\0')
		return false;
	while (*allowed)
		if (!next_name(&allowed, &length))
			return false;
	return true;
}

bool nbd_uri_is_allowed(const struct nbd_uri *uri, const char *allowed)
{
	const char *name, *wanted = uri->socket ? "unix" : uri->host;
	size_t length;

	if (strcmp(allowed, "any") == 0)
		return true;
	if (strcmp(allowed, "none") == 0)
		return false;
	if (!uri->socket && strcasecmp(wanted, "unix") == 0)
		return false;
	while (*allowed && (name = next_name(&allowed, &length)))
		if (strlen(wanted) == length && strncasecmp(wanted, name, length) == 0)
			return true;
	return false;
}
