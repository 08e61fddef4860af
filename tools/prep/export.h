/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export: what a block server, or dnsmasq, has to be told so that boards get an image.
 *
 * A plan is made of names alone: to be printed, or to be done by export_install(). It agrees with the pages of
 * contrib, which tests follow. One thread.
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
	bool is_device;	     /* a block device: LIO has another backstore for it */
	const char *board;   /* LIO: the name of the link of the board that may have it; NULL: no board yet */
	const char *iqn;     /* what iSCSI's names begin with; NULL: EXPORT_IQN */
	const char *control; /* nbd-server: the image's control file, to which it reports; nbdkit: the directory of them;
			      * NULL: the kernel tells of writes, and nothing has to be reported */
};

/*
 * What a board asks for to get it: nbd-server: "jammy", nbdkit: "jammy.img", iSCSI: "iqn.2026-01.org.example:jammy".
 * For the caller to free; NULL: no memory.
 */
char *export_name(const struct export *export);

/* The name of an iSCSI board, for cmdline_root.initiator and LIO: IQN:BOARD. For the caller to free; NULL: no memory. */
char *export_initiator(const struct export *export);

struct export_dnsmasq {
	const char *mountpoint; /* of imagefs: tftp-root */
	const char *network;	/* 192.168.1.0: the address of the network that has a DHCP server already; NULL: TFTP alone */
	bool by_mac;		/* boards are found by their MACs */
	bool dns;		/* dnsmasq is the network's resolver as well, and stays it */
};

#define EXPORT_STEPS_MAX 8
#define EXPORT_WORDS_MAX 8

struct export_step {
	char *words[EXPORT_WORDS_MAX]; /* a command; ends with a NULL */
	char *unless;		       /* where this is there, it was done before; NULL: always */
};

struct export_plan {
	char *text;	 /* the configuration; LIO: the commands as a shell takes them */
	char *file;	 /* the drop-in in which the server reads it; NULL: in none */
	struct export_step steps[EXPORT_STEPS_MAX]; /* then */
	size_t step_count;
	const char *package; /* that has the server; constant */
	const char *note;    /* what else has to be known: a sentence; constant; NULL: nothing */
};

/* -EINVAL: a path or name that the server's configuration cannot hold; -ENOMEM. The plan is to be freed after 0 only. */
int export_plan_make(const struct export *export, struct export_plan *plan);
int export_plan_dnsmasq(const struct export_dnsmasq *dnsmasq, struct export_plan *plan);
void export_plan_free(struct export_plan *plan);

/*
 * Do it: write the file, run the commands. `say` gets each step as one line before it is done ("write /etc/...", "run
 * tgt-admin ..."); with `dry` nothing is done. A file that says the same already is left, and the commands are run all the
 * same. After an error a file that was written is taken away again. *problem: a sentence for people, for the caller to
 * free; NULL: no memory for one.
 * -EEXIST: the file is there and says something else; -ENOENT: the server, or a command, is not installed; -EIO: a
 * command failed; -ENOMEM, and what the system calls say.
 */
int export_install(const struct export_plan *plan, bool dry, void (*say)(void *context, const char *line), void *context,
		   char **problem);
