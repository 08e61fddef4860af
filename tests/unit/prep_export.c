/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/prep/export.c: what servers are told. That they understand it: tests/e2e/prep_export.sh. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/prep/export.h"

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))

static struct export_plan plan_of(struct export export)
{
	struct export_plan plan;

	cr_assert_eq(export_plan_make(&export, &plan), 0);
	return plan;
}

Test(prep_export, names)
{
	static const struct {
		struct export export;
		const char *name;
	} cases[] = {
		{ { .server = EXPORT_NBD_SERVER, .path = "/srv/images/jammy.img" }, "jammy" },
		{ { .server = EXPORT_NBD_SERVER, .path = "/srv/images/plain" }, "plain" },
		{ { .server = EXPORT_NBDKIT, .path = "/srv/images/jammy.img" }, "jammy.img" },
		{ { .server = EXPORT_TGT, .path = "/srv/images/jammy.raw" }, "iqn.2026-01.org.example:jammy" },
		{ { .server = EXPORT_LIO, .path = "/srv/images/jammy.img", .iqn = "iqn.2020-01.a.b" }, "iqn.2020-01.a.b:jammy" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *name = export_name(&cases[i].export);

		cr_assert_str_eq(name, cases[i].name);
		free(name);
	}
}

Test(prep_export, words)
{
	enum export_server server;

	for (int i = 0; i < EXPORT_SERVERS; i++) {
		cr_assert_eq(export_of_word(export_word((enum export_server)i), &server), 0);
		cr_assert_eq((int)server, i);
	}
	cr_assert_eq(export_of_word("samba", &server), -EINVAL);
}

Test(prep_export, nbd_server)
{
	struct export_plan plan = plan_of((struct export){ .server = EXPORT_NBD_SERVER, .path = "/srv/images/jammy.img" });

	cr_assert_str_eq(plan.text, "[jammy]\nexportname = /srv/images/jammy.img\nflush = true\nfua = true\ntrim = true\n");
	cr_assert_str_eq(plan.file, "/etc/nbd-server/conf.d/imagefs-jammy.conf");
	export_plan_free(&plan);
	plan = plan_of((struct export){ .server = EXPORT_NBD_SERVER, .path = "/srv/jammy.img", .control = "/run/imagefs/boot/jammy" });
	cr_assert_not_null(strstr(plan.text, "\ntransactionlog = /run/imagefs/boot/jammy\n"));
	export_plan_free(&plan);
}

Test(prep_export, lio_is_a_list_of_commands)
{
	struct export_plan plan = plan_of((struct export){ .server = EXPORT_LIO, .path = "/srv/images/jammy.img", .board = "89025d75" });

	cr_assert_str_eq(plan.text,
			 "targetcli /backstores/fileio create name=jammy file_or_dev=/srv/images/jammy.img\n"
			 "targetcli /iscsi create iqn.2026-01.org.example:jammy\n"
			 "targetcli /iscsi/iqn.2026-01.org.example:jammy/tpg1/luns create /backstores/fileio/jammy\n"
			 "targetcli /iscsi/iqn.2026-01.org.example:jammy/tpg1/acls create iqn.2026-01.org.example:89025d75\n"
			 "targetcli saveconfig\n");
	cr_assert_null(plan.file);
	export_plan_free(&plan);
	plan = plan_of((struct export){ .server = EXPORT_LIO, .path = "/dev/vg0/pi2", .is_device = true });
	cr_assert_not_null(strstr(plan.text, "targetcli /backstores/block create name=pi2 dev=/dev/vg0/pi2\n"));
	cr_assert_null(strstr(plan.text, "acls"));
	cr_assert_not_null(plan.note);
	export_plan_free(&plan);
}

Test(prep_export, dnsmasq)
{
	struct export_plan plan;

	cr_assert_eq(export_plan_dnsmasq(&(struct export_dnsmasq){ .mountpoint = "/srv/boot", .network = "192.168.1.0" }, &plan), 0);
	cr_assert_str_eq(plan.text, "enable-tftp\ntftp-root=/srv/boot\ntftp-no-fail\ntftp-max=200\ndhcp-range=192.168.1.0,proxy\n"
				    "pxe-service=0,\"Raspberry Pi Boot   \"\nlog-dhcp\nport=0\n");
	export_plan_free(&plan);
	cr_assert_eq(export_plan_dnsmasq(&(struct export_dnsmasq){ .mountpoint = "/srv/boot", .by_mac = true, .dns = true }, &plan), 0);
	cr_assert_str_eq(plan.text, "enable-tftp\ntftp-root=/srv/boot\ntftp-no-fail\ntftp-max=200\ntftp-unique-root=mac\n");
	export_plan_free(&plan);
}

/* A name that a configuration would take for more than a name. */
Test(prep_export, hostile_names)
{
	static const char *const paths[] = { "jammy.img",	"/srv/a b.img",	  "/srv/a\nb.img", "/srv/a;b.img", "/srv/$(x).img", "/srv/a\"b",
					     "/srv/<target>", "/srv/a%b.img", "/srv/a\\b.img", "/srv/a#b.img", "/srv/a]b",	"/srv/",
					     "/srv/a'b" };
	struct export_plan plan;

	for (int server = 0; server < EXPORT_SERVERS; server++) {
		for (size_t i = 0; i < COUNT(paths); i++) {
			struct export export = { .server = (enum export_server)server, .path = paths[i] };

			cr_assert_eq(export_plan_make(&export, &plan), -EINVAL, "%s", paths[i]);
		}
		cr_assert_eq(export_plan_make(&(struct export){ (enum export_server)server, "/a.img", false, "x y", NULL, NULL }, &plan),
			     -EINVAL);
	}
	cr_assert_eq(export_plan_dnsmasq(&(struct export_dnsmasq){ .mountpoint = "/srv/b\nport=53" }, &plan), -EINVAL);
	cr_assert_eq(export_plan_dnsmasq(&(struct export_dnsmasq){ .mountpoint = "/srv", .network = "1\nx" }, &plan), -EINVAL);
}
