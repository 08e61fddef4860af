/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/prep/cmdline.c: one line, changed word by word; nothing else of it is lost, and twice is once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/prep/cmdline.h"

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))

static char *line_of(const char *text)
{
	char *line;

	cr_assert_eq(cmdline_read(text, strlen(text), &line), 0, "%s", text);
	return line;
}

Test(prep_cmdline, first_line_is_what_counts)
{
	static const struct {
		const char *text;
		size_t length;
		const char *line;
	} cases[] = {
		{ "", 0, "" },
		{ NULL, 0, "" },
		{ "\n", 1, "" },
		{ "quiet", 5, "quiet" },
		{ "quiet\n", 6, "quiet" },
		{ "quiet\r\n", 7, "quiet" },
		{ "quiet\nroot=/dev/sda1\n", 21, "quiet" },
		{ "\nquiet", 6, "" },
		{ "  a\t b  \v c ", 12, "a b c" },
		{ "a\0b\n", 4, "a" },
		{ "a=\xff\xfe\x01 b", 8, "a=\xff\xfe\x01 b" },
		{ "dyndbg=\"file a.c  +p\" b", 23, "dyndbg=\"file a.c  +p\" b" },
		{ "\"x=a  b\" c", 10, "\"x=a  b\" c" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *line;

		cr_assert_eq(cmdline_read(cases[i].text, cases[i].length, &line), 0, "case %zu", i);
		cr_assert_str_eq(line, cases[i].line, "case %zu", i);
		free(line);
	}
}

Test(prep_cmdline, what_is_no_line_is_refused)
{
	static const char unclosed[] = "a b=\"c d", later[] = "a\nb=\"c";
	char *line, *long_text = malloc(2 * CMDLINE_BYTES);

	cr_assert_eq(cmdline_read(unclosed, strlen(unclosed), &line), -EBADMSG);
	cr_assert_null(line);
	cr_assert_eq(cmdline_read(later, strlen(later), &line), 0);
	free(line);
	memset(long_text, 'a', (size_t)2 * CMDLINE_BYTES);
	cr_assert_eq(cmdline_read(long_text, CMDLINE_BYTES, &line), -E2BIG);
	cr_assert_eq(cmdline_read(long_text, CMDLINE_BYTES - 1, &line), 0);
	cr_assert_eq(cmdline_set(&line, "b", NULL), -E2BIG);
	cr_assert_eq(strlen(line), CMDLINE_BYTES - 1, "left as it was");
	free(line);
	free(long_text);
}

Test(prep_cmdline, set_and_unset)
{
	static const struct {
		const char *before, *set, *unset, *after; /* one of the two */
	} cases[] = {
		{ "", "a=1", NULL, "a=1" },
		{ "quiet", "a=1", NULL, "quiet a=1" },
		{ "a=0 quiet", "a=1", NULL, "a=1 quiet" },
		{ "a=0 quiet a=2", "a=1", NULL, "a=1 quiet" },
		{ "a quiet", "a=1", NULL, "a=1 quiet" },
		{ "a=1 quiet", "a", NULL, "a quiet" },
		{ "ab=1 a.b=1", "a=1", NULL, "ab=1 a.b=1 a=1" },
		{ "quiet", "quiet", NULL, "quiet" },
		{ "a=", "a=", NULL, "a=" },
		{ "fsck.repair=yes", "fsck.repair=no", NULL, "fsck.repair=no" },
		{ "x=1=2", "x=1=3", NULL, "x=1=3" },
		/* In the kernel's names '-' is '_'; in values it is not. */
		{ "usb-storage.quirks=a-b", "usb_storage.quirks=a_b", NULL, "usb_storage.quirks=a_b" },
		{ "usb-storage.quirks=a-b", "usb_storage.quirks=a-b", NULL, "usb-storage.quirks=a-b" },
		/* Quotes, as the kernel has them. */
		{ "a", "dyndbg=file a.c +p", NULL, "a dyndbg=\"file a.c +p\"" },
		{ "dyndbg=\"x y\" a", "dyndbg=file a.c +p", NULL, "dyndbg=\"file a.c +p\" a" },
		{ "\"dyndbg=x y\" a", "dyndbg=x y", NULL, "\"dyndbg=x y\" a" },
		{ "a", "b=\"c d\"", NULL, "a b=\"c d\"" },
		{ "b=\"x a=0 y\"", "a=1", NULL, "b=\"x a=0 y\" a=1" },
		/* What is behind -- is init's. */
		{ "a=0 -- a=5 single", "a=1", NULL, "a=1 -- a=5 single" },
		{ "quiet -- a=5", "a=1", NULL, "quiet a=1 -- a=5" },
		{ "quiet -- a=5", NULL, "a", "quiet -- a=5" },
		/* Several count. */
		{ "console=serial0,115200 console=tty1", "console=ttyS0", NULL, "console=serial0,115200 console=tty1 console=ttyS0" },
		{ "console=serial0,115200 console=tty1", "console=tty1", NULL, "console=serial0,115200 console=tty1" },
		{ "console=serial0,115200 a console=tty1", NULL, "console", "a" },
		{ "console=serial0,115200 a console=tty1", NULL, "console=tty1", "console=serial0,115200 a" },
		{ "cgroup_enable=cpuset", "cgroup_enable=memory", NULL, "cgroup_enable=cpuset cgroup_enable=memory" },
		{ "a quiet b", NULL, "quiet", "a b" },
		{ "a b", NULL, "quiet", "a b" },
		{ "", NULL, "quiet", "" },
		{ "a=1 a=2 a", NULL, "a", "" },
		{ "a=\"x y\" b", NULL, "a=x y", "b" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *line = line_of(cases[i].before);

		for (int twice = 0; twice < 2; twice++) {
			int error = cases[i].set ? cmdline_set_word(&line, cases[i].set) : cmdline_unset_word(&line, cases[i].unset);

			cr_assert_eq(error, 0, "case %zu", i);
			cr_assert_str_eq(line, cases[i].after, "case %zu: %s, time %d", i, line, twice);
		}
		free(line);
	}
}

Test(prep_cmdline, what_no_line_can_hold_is_refused)
{
	static const char *const words[] = { "", "=1", "a b=1", "a\"=1", "--", "a=1\nb", "a=\t", "a=\x7f", "a=\"b", "a=b\"c", "a=\"b\"c\"",
					     "a=\"", "a\n" };
	char *line = line_of("quiet");

	for (size_t i = 0; i < COUNT(words); i++) {
		cr_assert_eq(cmdline_set_word(&line, words[i]), -EINVAL, "case %zu", i);
		cr_assert_eq(cmdline_unset_word(&line, words[i]), -EINVAL, "case %zu", i);
	}
	cr_assert_str_eq(line, "quiet");
	free(line);
}

/* As `nobodd-prep --nbd-host HOST --nbd-name NAME --root-partition N` writes it, of stock images' lines. */
Test(prep_cmdline, nbd_is_the_rule_of_nobodd_prep)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{ "", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2" },
		{ "console=serial0,115200 dwc_otg.lpm_enable=0 console=tty1 root=LABEL=writable rootfstype=ext4 rootwait fixrtc quiet splash",
		  "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 console=serial0,115200 dwc_otg.lpm_enable=0 console=tty1 "
		  "rootfstype=ext4 rootwait fixrtc quiet splash" },
		{ "console=tty1 root=PARTUUID=89025d75-02 rootfstype=ext4 fsck.repair=yes rootwait\nsecond line\n",
		  "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 console=tty1 rootfstype=ext4 fsck.repair=yes rootwait" },
		{ "root=/dev/mmcblk0p2 root=LABEL=x", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2" },
		/* What it does not do: twice is once, and from another server or kind. */
		{ "ip=dhcp nbdroot=old/other root=/dev/nbd0p3 quiet", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 quiet" },
		{ "root=/dev/nfs nfsroot=10.0.0.1:/srv ip=dhcp rw", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 rw" },
		{ "iscsi_initiator=i iscsi_target_name=t iscsi_target_ip=1.2.3.4 iscsi_username=u root=LABEL=x",
		  "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2" },
		{ "netroot=nbd:a:b rd.iscsi.initiator=i root=UUID=1", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2" },
		/* An address that somebody chose stays the only one. */
		{ "a ip=10.0.0.7::10.0.0.1:255.255.255.0:pi:eth0:off root=x",
		  "nbdroot=server/jammy root=/dev/nbd0p2 a ip=10.0.0.7::10.0.0.1:255.255.255.0:pi:eth0:off" },
		{ "a ip=dhcp ip=::::pi:eth0:dhcp", "nbdroot=server/jammy root=/dev/nbd0p2 a ip=::::pi:eth0:dhcp" },
		{ "root=/dev/sda2 -- root=init's ip=no", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 -- root=init's ip=no" },
		{ "rootfstype=ext4 rootflags=ro nbdroots=1", "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 rootfstype=ext4 rootflags=ro nbdroots=1" },
	};
	const struct cmdline_root root = { .kind = CMDLINE_ROOT_NBD, .server = "server", .name = "jammy", .partition = 2 };

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *line = line_of(cases[i].before);

		for (int twice = 0; twice < 2; twice++) {
			cr_assert_eq(cmdline_set_root(&line, &root), 0, "case %zu", i);
			cr_assert_str_eq(line, cases[i].after, "case %zu: %s, time %d", i, line, twice);
		}
		free(line);
	}
}

Test(prep_cmdline, kinds_of_root)
{
	static const char before[] = "quiet root=LABEL=writable rootwait";
	static const struct {
		struct cmdline_root root;
		const char *after;
	} cases[] = {
		{ { CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "fd00::1", "jammy", 2, NULL, NULL },
		  "ip=dhcp nbdroot=[fd00::1]:10809/jammy root=/dev/nbd0p2 quiet rootwait" },
		{ { CMDLINE_ROOT_NBD, CMDLINE_DRACUT, "10.0.0.1", "jammy", 5, NULL, NULL },
		  "ip=dhcp netroot=nbd:10.0.0.1:jammy root=/dev/nbd0p5 quiet rootwait" },
		{ { CMDLINE_ROOT_NBD, CMDLINE_DRACUT, "[fd00::1]", "jammy", 2, NULL, NULL },
		  "ip=dhcp netroot=nbd:[fd00::1]:jammy root=/dev/nbd0p2 quiet rootwait" },
		{ { CMDLINE_ROOT_ISCSI, CMDLINE_INITRAMFS_TOOLS, "10.0.0.1", "iqn.x:jammy", 0, "iqn.x:89025d75", NULL },
		  "ip=dhcp iscsi_initiator=iqn.x:89025d75 iscsi_target_name=iqn.x:jammy iscsi_target_ip=10.0.0.1 quiet "
		  "root=LABEL=writable rootwait" },
		{ { CMDLINE_ROOT_ISCSI, CMDLINE_INITRAMFS_TOOLS, "10.0.0.1", "iqn.x:jammy", 0, NULL, "UUID=1-2" },
		  "ip=dhcp iscsi_target_name=iqn.x:jammy iscsi_target_ip=10.0.0.1 root=UUID=1-2 quiet rootwait" },
		{ { CMDLINE_ROOT_ISCSI, CMDLINE_DRACUT, "10.0.0.1", "iqn.x:jammy", 0, "iqn.x:89025d75", NULL },
		  "ip=dhcp rd.iscsi.initiator=iqn.x:89025d75 netroot=iscsi:10.0.0.1::::iqn.x:jammy quiet root=LABEL=writable rootwait" },
		{ { CMDLINE_ROOT_NFS, CMDLINE_INITRAMFS_TOOLS, "10.0.0.1", "/srv/pi7,vers=4", 0, NULL, NULL },
		  "ip=dhcp root=/dev/nfs nfsroot=10.0.0.1:/srv/pi7,vers=4 quiet rootwait" },
		{ { CMDLINE_ROOT_NFS, CMDLINE_DRACUT, "10.0.0.1", "/srv/pi7,vers=4,rw", 0, NULL, NULL },
		  "ip=dhcp root=nfs4:10.0.0.1:/srv/pi7:vers=4,rw quiet rootwait" },
		{ { CMDLINE_ROOT_NFS, CMDLINE_DRACUT, "10.0.0.1", "/srv/pi7", 0, NULL, NULL },
		  "ip=dhcp root=nfs:10.0.0.1:/srv/pi7 quiet rootwait" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *line = line_of(before);

		for (int twice = 0; twice < 2; twice++) {
			cr_assert_eq(cmdline_set_root(&line, &cases[i].root), 0, "case %zu", i);
			cr_assert_str_eq(line, cases[i].after, "case %zu: %s", i, line);
		}
		free(line);
	}
}

Test(prep_cmdline, an_initiator_that_is_not_given_stays)
{
	char *line = line_of("iscsi_initiator=mine iscsi_username=u root=UUID=1");
	const struct cmdline_root root = { .kind = CMDLINE_ROOT_ISCSI, .server = "s", .name = "t" };

	cr_assert_eq(cmdline_set_root(&line, &root), 0);
	cr_assert_str_eq(line, "ip=dhcp iscsi_target_name=t iscsi_target_ip=s iscsi_initiator=mine iscsi_username=u root=UUID=1");
	free(line);
}

Test(prep_cmdline, roots_that_cannot_be)
{
	static const struct cmdline_root cases[] = {
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "", "jammy", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a b", "jammy", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a/b", "jammy", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a", "", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a", "x,y", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a", "x\ny", 2, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_INITRAMFS_TOOLS, "a", "jammy", 0, NULL, NULL },
		{ CMDLINE_ROOT_NBD, CMDLINE_DRACUT, "a", "x:y", 2, NULL, NULL },
		{ CMDLINE_ROOT_NFS, CMDLINE_DRACUT, "a", "srv", 0, NULL, NULL },
		{ CMDLINE_ROOT_ISCSI, CMDLINE_DRACUT, "a", "t", 0, "i j", NULL },
		{ CMDLINE_ROOT_ISCSI, CMDLINE_DRACUT, "a", "t", 0, NULL, "a b" },
	};
	const struct cmdline_root iscsi = { .kind = CMDLINE_ROOT_ISCSI, .server = "s", .name = "t" };
	char *line = line_of("root=LABEL=x root=/dev/mmcblk0p2");

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_assert_eq(cmdline_set_root(&line, &cases[i]), -EINVAL, "case %zu", i);
	/* The last root= wins, and a card's is nothing over iSCSI. */
	cr_assert_eq(cmdline_set_root(&line, &iscsi), -ENODATA);
	cr_assert_str_eq(line, "root=LABEL=x root=/dev/mmcblk0p2");
	free(line);
}
