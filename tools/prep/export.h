/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export: what a block server, or dnsmasq, has to be told so that boards get an image.
 *
 * A plan is text and names alone: to be printed, or to be done by export_install(). It agrees with the pages of
 * contrib, which tests follow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum export_server {
	EXPORT_NBD_SERVER,
	EXPORT_NBDKIT,
	EXPORT_TGT,
	EXPORT_LIO,
	EXPORT_SERVERS,
};

/* "nbd-server" and so on. -EINVAL: no such word. */
const char *export_word(enum export_server server);
int export_of_word(const char *word, enum export_server *server);

/* iSCSI's names begin so when nobody says anything else. */
#define EXPORT_IQN "iqn.2026-01.org.example"

struct export {
	enum export_server server;
	const char *path;    /* of the image, absolute */
	const char *board;   /* LIO: the name of the link of the board that may have it; NULL: no board yet */
	const char *iqn;     /* what iSCSI's names begin with; NULL: EXPORT_IQN */
	const char *control; /* the image's control file, to which nbd-server reports; the directory of them for nbdkit;
			      * NULL: the kernel tells, nothing has to be reported */
};

/*
 * What a board asks for to get it: nbd-server: "jammy", nbdkit: "jammy.img", iSCSI: "iqn.2026-01.org.example:jammy".
 * For the caller to free; NULL: no memory.
 */
char *export_name(const struct export *export);

/* The name of an iSCSI board, for cmdline_root.initiator and LIO: IQN:BOARD. For the caller to free. */
char *export_initiator(const struct export *export);

struct export_dnsmasq {
	const char *mountpoint; /* of imagefs: tftp-root */
	const char *network;	/* 192.168.1.0: the address of the network that has a DHCP server already */
	bool by_mac;		/* boards are found by their MACs */
};

#define EXPORT_COMMANDS_MAX 8
#define EXPORT_WORDS_MAX 8

struct export_plan {
	char *text; /* the configuration; LIO: the commands as a shell takes them */
	char *file; /* the drop-in in which the server reads it; NULL: in none */
	char *commands[EXPORT_COMMANDS_MAX][EXPORT_WORDS_MAX]; /* then: each ends with a NULL, and the list with an empty one */
	const char *note; /* what else has to be known: a sentence, constant; NULL: nothing */
};

/* -EINVAL: a path or name that the server's configuration cannot hold; -ENOMEM. */
int export_plan_make(const struct export *export, struct export_plan *plan);
int export_plan_dnsmasq(const struct export_dnsmasq *dnsmasq, struct export_plan *plan);
void export_plan_free(struct export_plan *plan);

/*
 * Do it: write the file (whole or not at all) and run the commands. `say` gets each step as one line before it is
 * done; with `dry` nothing else happens. A file that says the same already is left, and its commands are
 * run. *problem: a sentence for people after an error, for the caller to free; may be NULL.
 * -EEXIST: the file is there and says something else; -ENOENT: the server is not installed; -EIO: a command failed.
 */
int export_install(const struct export_plan *plan, bool dry, void (*say)(void *context, const char *line), void *context,
		   char **problem);
