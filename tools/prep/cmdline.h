/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmdline: the kernel's command line, word by word, for those who write cmdline.txt.
 *
 * A line is a string from malloc that the caller owns; functions that change it take `char **line`, put a new
 * one in its place when they succeed, and leave it alone when they fail. Doing the same again changes nothing,
 * and no word goes that was not meant: the order and the spelling of the others stay.
 *
 * Words are separated by white space; inside of quotes it separates nothing (the kernel's next_arg()). What is
 * behind a word `--` is for init: nobody here changes it. In the kernel's names `-` and `_` are the same.
 *
 * Pure functions over text; any thread. What they return: 0, -ENOMEM, -EINVAL (a key, value or name that no command
 * line can hold), -E2BIG (longer than the kernel takes), and what is said at each.
 */
#pragma once

#include <stddef.h>

/* With its NUL: what arm64 takes (COMMAND_LINE_SIZE). The firmware adds words of its own, so be well below it. */
#define CMDLINE_BYTES 2048

/*
 * The line that counts of the text of a cmdline.txt: the first, up to a line end or a NUL, with one blank between
 * its words and none around them. `text` may be NULL (no file): an empty line. -EBADMSG: a quote is not closed; -E2BIG.
 */
int cmdline_read(const char *text, size_t length, char **line);

/*
 * `key=value`, or with NULL `key` alone. Stands the key there already, its first word gets the value and the others
 * go; unless it is one that may be given several times (console, cgroup_enable, video, ...): then the word is
 * added if it is not there. New words go to the end. A value with white space is put into quotes.
 */
int cmdline_set(char **line, const char *key, const char *value);

/* All words of that key go; with a value only the words `key=value`. That there are none is no error. */
int cmdline_unset(char **line, const char *key, const char *value);

/* As the options have it: "key=value" or "key" taken apart at the first '='. */
int cmdline_set_word(char **line, const char *word);
int cmdline_unset_word(char **line, const char *word);

enum cmdline_root_kind {
	CMDLINE_ROOT_NBD,
	CMDLINE_ROOT_ISCSI,
	CMDLINE_ROOT_NFS,
};

/* Whose words: Debian's and Ubuntu's initramfs-tools, with nbd-client or open-iscsi in it, or dracut. */
enum cmdline_initramfs {
	CMDLINE_INITRAMFS_TOOLS,
	CMDLINE_DRACUT,
};

struct cmdline_root {
	enum cmdline_root_kind kind;
	enum cmdline_initramfs initramfs;
	const char *server;    /* a name or an address; an IPv6 address without brackets */
	const char *name;      /* NBD: of the export; iSCSI: of the target (iqn.*); NFS: the directory, perhaps with ,OPTIONS */
	unsigned partition;    /* NBD: the root's number */
	const char *initiator; /* iSCSI: the board's name; NULL: that of its initramfs */
	const char *root;      /* iSCSI: what root= says, "LABEL=writable"; NULL: what it says already */
};

/*
 * The root comes from there. NBD with initramfs-tools is the rule of nobodd-prep: `ip=dhcp nbdroot=SERVER/NAME
 * root=/dev/nbd0pN` in front. What said where the root is goes: root= and the words of each kind (nbdroot=, netroot=,
 * nfsroot=, iscsi_target_name=, iscsi_target_ip=, an initiator's name that is replaced, and users and ports of iSCSI
 * when the root comes another way). An ip= that is there and is not dhcp stays, and no other is put beside it: it
 * would win, or confuse.
 * -ENODATA: iSCSI, and no root= that would be true there (PARTUUID=, UUID=, LABEL=).
 */
int cmdline_set_root(char **line, const struct cmdline_root *root);
