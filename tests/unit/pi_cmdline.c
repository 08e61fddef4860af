/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pi/cmdline.c: where the root is said to be. */
#include <criterion/criterion.h>
#include <string.h>

#include "pi/pi.h"

static struct pi_cmdline read_line(const char *text)
{
	struct pi_cmdline cmdline;

	pi_cmdline_read(&cmdline, text, strlen(text));
	return cmdline;
}

Test(pi_cmdline, kinds_of_root)
{
	static const struct {
		const char *text;
		enum pi_root root;
		const char *id;
	} cases[] = {
		{ "quiet", PI_ROOT_NONE, "" },
		{ "", PI_ROOT_NONE, "" },
		{ "console=tty1 root=PARTUUID=89025d75-02 rootwait", PI_ROOT_PARTUUID, "89025d75-02" },
		{ "root=UUID=a-b", PI_ROOT_UUID, "a-b" },
		{ "root=LABEL=writable", PI_ROOT_LABEL, "writable" },
		{ "root=/dev/mmcblk0p2", PI_ROOT_CARD, "0p2" },
		{ "root=/dev/nfs nfsroot=10.0.0.1:/srv", PI_ROOT_NFS, NULL },
		{ "root=UUID=a netroot=iscsi:10.0.0.1::::iqn", PI_ROOT_ISCSI, NULL },
		{ "ISCSI_TARGET_NAME=iqn root=UUID=a", PI_ROOT_ISCSI, NULL },
		{ "root=/dev/mapper/x", PI_ROOT_OTHER, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pi_cmdline cmdline = read_line(cases[i].text);

		cr_assert_eq(cmdline.root, cases[i].root, "%s", cases[i].text);
		cr_assert(!cases[i].id || strcmp(cmdline.id, cases[i].id) == 0, "%s", cases[i].text);
	}
}

Test(pi_cmdline, forms_of_nbdroot)
{
	static const struct {
		const char *text, *host, *export;
	} cases[] = {
		{ "ip=dhcp nbdroot=10.0.0.1/jammy root=/dev/nbd0p2", "10.0.0.1", "jammy" },
		{ "root=/dev/nbd0p2 nbdroot=server:10809/jammy", "server", "jammy" },
		{ "nbdroot=server:/srv/jammy.img", "server", "srv/jammy.img" },
		{ "nbdroot=[fd00::1]:10809/jammy", "fd00::1", "jammy" },
		{ "nbdroot=server,jammy,nbd0", "server", "jammy" },
		{ "nbdroot=server,2000", "server", "" },
		{ "nbdroot=dhcp", "dhcp", "" },
		{ "nbdroot=", "", "" },
		{ "root=nbd:server:jammy:ext4", "server", "jammy" },
		{ "netroot=nbd:server:10809", "server", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pi_cmdline cmdline = read_line(cases[i].text);

		cr_assert_eq(cmdline.root, PI_ROOT_NBD, "%s", cases[i].text);
		cr_assert_str_eq(cmdline.host, cases[i].host, "%s", cases[i].text);
		cr_assert_str_eq(cmdline.export, cases[i].export, "%s", cases[i].text);
	}
}

Test(pi_cmdline, only_the_first_line_counts)
{
	struct pi_cmdline cmdline = read_line("quiet\r\nroot=/dev/sda1\n");

	cr_assert_eq(cmdline.root, PI_ROOT_NONE);
	cr_assert(cmdline.more_lines);
	cr_assert(!read_line("quiet root=/dev/sda1\n \n").more_lines);
}

Test(pi_cmdline, long_words_are_cut)
{
	char text[4096] = "nbdroot=";
	struct pi_cmdline cmdline;

	memset(text + 8, 'x', sizeof(text) - 9);
	cmdline = read_line(text);
	cr_assert_lt(strlen(cmdline.host), PI_WORD_BYTES);
	cr_assert_eq(cmdline.root, PI_ROOT_NBD);
}
