/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd_uri: as libnbd reads them, where it is there; and what may be connected to. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_LIBNBD
#include <libnbd.h>
#endif

#include "cache/device/nbd_uri.h"

static const char *export_of(const char *text, char name[4200])
{
	struct nbd_uri uri;
	const char *why = nbd_uri_parse(text, &uri);

	cr_assert_null(why, "%s: %s", text, why);
	snprintf(name, 4200, "%s", uri.export);
	nbd_uri_free(&uri);
	return name;
}

Test(nbd_uri, parts)
{
	struct nbd_uri uri;

	cr_assert_null(nbd_uri_parse("nbd://store/pi7", &uri));
	cr_expect(!uri.tls && !uri.socket);
	cr_expect_str_eq(uri.host, "store");
	cr_expect_str_eq(uri.port, "10809");
	cr_expect_str_eq(uri.export, "pi7");
	nbd_uri_free(&uri);

	cr_assert_null(nbd_uri_parse("nbds://me@[fe80::1]:99/a%2fb%20c?tls-psk-file=/k%26&tls-verify-peer=0#x", &uri));
	cr_expect(uri.tls && !uri.tls_verify_peer);
	cr_expect_str_eq(uri.host, "fe80::1");
	cr_expect_str_eq(uri.port, "99");
	cr_expect_str_eq(uri.export, "a/b c");
	cr_expect_str_eq(uri.user, "me");
	cr_expect_str_eq(uri.tls_psk_file, "/k&");
	nbd_uri_free(&uri);

	cr_assert_null(nbd_uri_parse("NBD+unix:///pi7?x=1&socket=/run/a%20b", &uri));
	cr_expect_null(uri.host);
	cr_expect_str_eq(uri.socket, "/run/a b");
	cr_expect_str_eq(uri.export, "pi7");
	nbd_uri_free(&uri);

	cr_assert_null(nbd_uri_parse("nbds+unix://me@/?socket=/s&tls-certificates=/etc", &uri));
	cr_expect_str_eq(uri.user, "me");
	cr_expect_str_eq(uri.tls_certificates, "/etc");
	nbd_uri_free(&uri);

	cr_assert_null(nbd_uri_parse("nbd://", &uri));
	cr_expect_str_eq(uri.host, "localhost");
	cr_expect_str_eq(uri.export, "");
	nbd_uri_free(&uri);
}

Test(nbd_uri, what_is_none)
{
	static const char *const malformed[] = {
		"http://store/pi7", "nbd+ssh://store/pi7", "nbd:store:1", "nbd://store/%", "nbd://store/%zz", "nbd://store/%00",
		"nbd://store:x/pi7", "nbd://store:65536/pi7", "nbd://[::1/pi7", "nbd://[::1]x/pi7", "nbd://store/a b", "nbd://store/\xc3\xa9",
		"nbd://store/a\nb", "nbd+unix:///pi7", "nbd+unix:///pi7?socket=", "nbd+unix:///pi7?socket=run", "nbd+unix://store/pi7?socket=/x", "nbd+unix://me@store/pi7?socket=/x",
		"nbd://store/pi7?socket=/x", "nbds://store/pi7?tls-verify-peer=ture", "nbds://store/pi7?tls-verify-peer=", "",
	};
	char text[PATH_MAX];
	struct nbd_uri uri;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		cr_expect_not_null(nbd_uri_parse(malformed[i], &uri), "%s", malformed[i]);
		cr_expect_null(uri.room);
	}
	snprintf(text, sizeof(text), "nbd+unix:///x?socket=/%0200d", 0);
	cr_expect_not_null(nbd_uri_parse(text, &uri));

	cr_expect(nbd_uri_is_one("x://"));
	cr_expect(!nbd_uri_is_one("jammy.img") && !nbd_uri_is_one("/a://b") && !nbd_uri_is_one("../x://y") && !nbd_uri_is_one("a:/b") &&
		  !nbd_uri_is_one("://a") && !nbd_uri_is_one("1a://b"));
}

Test(nbd_uri, numbers)
{
	/* These fall together in text_hash. */
	cr_expect_neq(nbd_uri_number("nbd://s/ab"), nbd_uri_number("nbd://s/bA"));
	cr_expect_eq(nbd_uri_number("nbd://s/ab"), nbd_uri_number("nbd://s/ab"));
}

static bool allowed(const char *text, const char *by)
{
	struct nbd_uri uri;
	bool result;

	cr_assert_null(nbd_uri_parse(text, &uri));
	result = nbd_uri_is_allowed(&uri, by);
	nbd_uri_free(&uri);
	return result;
}

Test(nbd_uri, what_may_be_connected_to)
{
	cr_expect(allowed("nbd://store/x", "any") && allowed("nbd+unix:///x?socket=/s", "any"));
	cr_expect(!allowed("nbd://store/x", "none") && !allowed("nbd+unix:///x?socket=/s", "none"));
	cr_expect(allowed("nbd+unix:///x?socket=/s", "store:unix") && !allowed("nbd+unix:///x?socket=/s", "store"));
	cr_expect(allowed("nbd://Store:1/x", "unix:store") && !allowed("nbd://store2/x", "unix:store") && !allowed("nbd://stor/x", "store"));
	cr_expect(!allowed("nbd://unix/x", "unix"));
	cr_expect(allowed("nbd://[::1]/x", "a:[::1]:b") && allowed("nbd://b/x", "a:[::1]:b") && !allowed("nbd://[::2]/x", "a:[::1]:b"));
	cr_expect(nbd_uri_check_allowed("any") && nbd_uri_check_allowed("a:[::1]:b"));
	cr_expect(!nbd_uri_check_allowed("") && !nbd_uri_check_allowed(":a") && !nbd_uri_check_allowed("a::b") &&
		  !nbd_uri_check_allowed("[::1") && !nbd_uri_check_allowed("[]") && !nbd_uri_check_allowed("[::1]a"));
}

/* It parses and connects in one call, to nobody here; what it has parsed then stays. */
Test(nbd_uri, as_libnbd_reads_them)
{
	static const char *const texts[] = {
		"nbd+unix:///pi7?socket=/nowhere/s", "nbd+unix:///?socket=/nowhere/s", "nbd+unix://?socket=/nowhere/s",
		"nbd+unix:////pi7?socket=/nowhere/s", "nbd+unix:///a/b?socket=/nowhere/s", "nbd+unix:///a%2Fb%3fc?socket=/nowhere/s",
		"nbd+unix:///a+b?socket=/nowhere/s", "nbd+unix:///%C3%A9?socket=/nowhere/s", "nbd://127.0.0.1:1/x@y", "nbd://[::1]:1/a:b",
		"nbd+unix:///a?socket=/nowhere/s&unknown=1", "nbd+unix:///a,b;c=d?socket=/nowhere/s#fragment",
	};
	char name[4200];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		export_of(texts[i], name);
#ifdef HAVE_LIBNBD
		struct nbd_handle *handle = nbd_create();
		char *theirs;

		nbd_aio_connect_uri(handle, texts[i]);
		theirs = nbd_get_export_name(handle);
		cr_expect_str_eq(name, theirs ? theirs : "none", "%s", texts[i]);
		free(theirs);
		nbd_close(handle);
#endif
	}
}
