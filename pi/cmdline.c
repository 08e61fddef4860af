/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmdline.txt: where the kernel is told to find its root.
 *
 * The forms of nbdroot= are those of Debian's nbd-client (its initramfs script),
 * and of dracut's nbd module.
 */
#include <stdio.h>
#include <string.h>

#include "pi/pi.h"

/* The part [from, to) of a word, as far as there is room. */
static void copy_part(char *out, const char *from, const char *to)
{
	snprintf(out, PI_WORD_BYTES, "%.*s", (int)(to > from ? to - from : 0), from);
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* HOST,NAME,DEVICE  HOST,PORT  HOST/NAME  HOST:PORT/NAME  HOST:/NAME  [IPV6]:PORT/NAME */
static void read_nbdroot(struct pi_cmdline *cmdline, const char *value)
{
	const char *first = strchr(value, ','), *last = strrchr(value, ','), *end = value + strlen(value);
	const char *after = *value == '[' && strchr(value, ']') ? strchr(value, ']') : value;
	const char *slash = strchr(after, '/');

	if (first) {
		copy_part(cmdline->host, value, first);
		if (last != first)
			copy_part(cmdline->export, first + 1, last);
		return;
	}
	if (after != value)
		copy_part(cmdline->host, value + 1, after);
	else
		copy_part(cmdline->host, value, value + strcspn(value, ":/"));
	if (slash)
		copy_part(cmdline->export, slash + 1, end);
}

/* dracut: nbd:HOST:PORT-OR-NAME[:FSTYPE[:...]] */
static void read_nbd(struct pi_cmdline *cmdline, const char *value)
{
	const char *host_end = value + strcspn(value, ":");
	const char *name = *host_end ? host_end + 1 : host_end;
	const char *name_end = name + strcspn(name, ":");

	copy_part(cmdline->host, value, host_end);
	if (strspn(name, "0123456789") != (size_t)(name_end - name))
		copy_part(cmdline->export, name, name_end);
}

static void decide(struct pi_cmdline *cmdline, enum pi_root root, const char *word)
{
	cmdline->root = root;
	snprintf(cmdline->by, sizeof(cmdline->by), "%s", word);
}

static bool is_from_network(const struct pi_cmdline *cmdline)
{
	return cmdline->root == PI_ROOT_NBD || cmdline->root == PI_ROOT_NFS || cmdline->root == PI_ROOT_ISCSI;
}

static void read_root(struct pi_cmdline *cmdline, const char *word, const char *value)
{
	static const struct {
		const char *prefix;
		enum pi_root root;
	} kinds[] = {
		{ "PARTUUID=", PI_ROOT_PARTUUID }, { "UUID=", PI_ROOT_UUID },	 { "LABEL=", PI_ROOT_LABEL },
		{ "/dev/mmcblk", PI_ROOT_CARD },   { "/dev/sd", PI_ROOT_CARD },	 { "/dev/nvme", PI_ROOT_CARD },
		{ "/dev/nfs", PI_ROOT_NFS },	   { "nfs:", PI_ROOT_NFS },	 { "nbd:", PI_ROOT_NBD },
		{ "iscsi:", PI_ROOT_ISCSI },
	};

	snprintf(cmdline->root_text, sizeof(cmdline->root_text), "%s", value);
	if (begins(value, "nbd:"))
		read_nbd(cmdline, value + 4);
	/* What comes from the network is decided by the word that says from where. */
	if (is_from_network(cmdline))
		return;
	cmdline->id[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (begins(value, kinds[i].prefix)) {
			snprintf(cmdline->id, sizeof(cmdline->id), "%s", value + strlen(kinds[i].prefix));
			decide(cmdline, kinds[i].root, word);
			return;
		}
	}
	decide(cmdline, PI_ROOT_OTHER, word);
}

static void read_word(struct pi_cmdline *cmdline, const char *word)
{
	if (begins(word, "nbdroot=")) {
		read_nbdroot(cmdline, word + 8);
		decide(cmdline, PI_ROOT_NBD, word);
	} else if (begins(word, "netroot=nbd:")) {
		read_nbd(cmdline, word + 12);
		decide(cmdline, PI_ROOT_NBD, word);
	} else if (begins(word, "netroot=iscsi:") || begins(word, "ISCSI_TARGET_NAME=") ||
		   begins(word, "iscsi_target_name=") || begins(word, "rd.iscsi.")) {
		decide(cmdline, PI_ROOT_ISCSI, word);
	} else if (begins(word, "nfsroot=")) {
		decide(cmdline, PI_ROOT_NFS, word);
	} else if (begins(word, "root=")) {
		read_root(cmdline, word, word + 5);
	}
}

void pi_cmdline_read(struct pi_cmdline *cmdline, const char *text, size_t length)
{
	const char *end = memchr(text, '\n', length);
	size_t used = end ? (size_t)(end - text) : length;
	char word[PI_WORD_BYTES];

	*cmdline = (struct pi_cmdline){ 0 };
	for (size_t i = used; i < length; i++)
		if (text[i] != '\n' && text[i] != '\r' && text[i] != ' ' && text[i] != '\0')
			cmdline->more_lines = true;
	for (size_t at = 0, count = 0; at <= used; at++) {
		bool inside = at < used && text[at] != ' ' && text[at] != '\t' && text[at] != '\r' && text[at] != '\0';

		if (inside && count + 1 < sizeof(word)) {
			word[count++] = text[at];
		} else if (!inside) {
			word[count] = '\0';
			count = 0;
			read_word(cmdline, word);
		}
	}
}
