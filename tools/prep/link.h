/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link: the link of a board among the images, `89025d75 -> jammy.img`.
 *
 * Directories are descriptors that the caller owns. Functions return 0 or -errno; any thread.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

enum link_kind {
	LINK_SERIAL, /* 89025d75: as the firmware asks by default */
	LINK_MAC,    /* dc-a6-32-01-36-c2: as dnsmasq's tftp-unique-root=mac and the firmware's TFTP_PREFIX=2 have it */
	LINK_NAME,   /* anything else: an address, TFTP_PREFIX_STR */
};

#define LINK_NAME_BYTES (NAME_MAX + 1)

/*
 * What the board that somebody calls `board` is called as a link. Serials: 8 or 16 hexadecimal digits, of
 * which the last 8 count, or 0x and up to 16, in either case. MACs: 12 digits, or six groups with ':' or '-', or three
 * with '.', also with pxelinux' 01- in front. Anything else is a name, and stays as it is.
 * -EINVAL: no link can be called so in the mount (empty, with a '/', a dot in front, NAME:N, an image's suffix,
 * control characters); -ENAMETOOLONG.
 */
int link_board(const char *board, char name[LINK_NAME_BYTES], enum link_kind *kind);

/*
 * The text of a link to that file of the directory of images: "jammy.img", or with a partition's number "jammy:3".
 * `image` is the file's name there. 0: the boot partition. -ENAMETOOLONG.
 */
int link_target(const char *image, unsigned partition, char target[LINK_NAME_BYTES]);

/*
 * Make it. A link that is there and leads there already is left as it is, one that leads elsewhere is moved if `move`,
 * in one step: a board that asks meanwhile finds the one or the other. `present` (PATH_MAX bytes) is
 * where it led; "" if there was none. *made: something was changed.
 * -EEXIST: it leads elsewhere, and not `move`; -ENOTUNIQ: there is something of that name that is no link.
 */
int link_make(int images_fd, const char *name, const char *target, bool move, char present[PATH_MAX], bool *made);

/* Take it away. `present` as above. -ENOENT; -ENOTUNIQ: it is no link. */
int link_remove(int images_fd, const char *name, char present[PATH_MAX]);
