/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imagefs-prep: from an image as it was downloaded to one that a board boots from.
 *
 * The options are read into a struct, everything that can be known to fail is looked at, and then the steps
 * are done in one order, each said in a line before it is done; --dry-run says the same lines. What is made
 * has a temporary name until all of it is done (tools/prep/instance.h); an image in place is changed as a
 * whole (tools/prep/change.h).
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "tools/prep/cmdline.h"
#include "tools/prep/export.h"
#include "tools/prep/instance.h"
#include "tools/prep/layout.h"
#include "tools/prep/sum.h"
#include "tools/prep/unpack.h"

enum { PREP_OK = 0, PREP_FAILED = 1, PREP_USAGE = 2 };

#define PREP_IMAGES "/srv/images"

/* Behind the last slash. */
static inline const char *prep_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- options (prep_options.c) --------------------------------------------- */

enum prep_word_kind {
	PREP_COPY,   /* SRC[:DEST] */
	PREP_REMOVE, /* PATH */
	PREP_SET,    /* key=value on the command line */
	PREP_UNSET,
	PREP_CONFIG, /* key=value [section] */
	PREP_BOARD,
};

/* Options that may be given several times, in their order. */
struct prep_word {
	enum prep_word_kind kind;
	const char *text; /* of argv, or in `owned` */
	char *owned;
};

struct prep_options {
	const char *template, *instance; /* instance NULL: in place, or beside the archive */
	bool clone, dry_run, quiet, force, move, install, grow_root, ssh, dnsmasq, dns, has_root, has_export;
	const char *sum;			 /* as given: a sum or a file */
	uint64_t size_bytes;			 /* 0: as it is */
	unsigned boot_partition, root_partition; /* 0: by content */
	const char *cmdline;			 /* the file; NULL: cmdline.txt */
	enum cmdline_root_kind root;
	enum cmdline_initramfs initramfs;
	enum export_server export;
	const char *server, *name, *initiator, *iqn, *network;
	const char *user_data, *meta_data, *network_config;
	const char *images, *mountpoint;
	struct prep_word *words; /* owned */
	size_t word_count;
};

/* PREP_OK; else it was said what is wrong. *done: help or version was printed. */
int prep_options_read(struct prep_options *options, int argc, char **argv, bool *done);
void prep_options_free(struct prep_options *options);
bool prep_options_have(const struct prep_options *options, enum prep_word_kind kind);

/* ---- saying --------------------------------------------------------------- */

/* A step, in one line on standard output, before it is done. */
void prep_say(const struct prep_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What was found while it was done: standard error. */
void prep_note(const struct prep_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* One line on standard error; PREP_FAILED. `what` NULL or "": nothing stands before it. */
int prep_fail(const char *what, const char *why);

/* ---- the work ------------------------------------------------------------- */

struct prep {
	const struct prep_options *options;
	char *template;	 /* owned: the path; "-" is standard input */
	int template_fd; /* owned */
	struct stat template_st;
	enum archive_kind kind; /* by its first bytes; of a pipe ARCHIVE_NONE, and unpack() looks by itself */
	char *path;    /* owned: of the image that is made or changed, absolute, links followed */
	char *shown;   /* owned: how it is called in what is said */
	bool in_place; /* it is the template itself */
	bool makes; /* a file under a temporary name, or a device, is written; else it is changed in place */
	bool root_said;		 /* which partition is the root */
	bool leased;		 /* nobody can open the template for writing until that ends */
	char sum[SUM_HEX_BYTES]; /* what options->sum says */
	struct instance instance;
	struct layout layout; /* of the image, once it is there; table NULL: not yet */
	volatile sig_atomic_t *interrupted;
};

/* Which image is meant, what it is, and what is to be made of it (prep_find.c). Nothing is changed. */
int prep_image_find(struct prep *prep);
bool prep_is_pipe(const struct prep *prep);
bool prep_is_archive(const struct prep *prep); /* or from a pipe: unpack() looks what it is */
/* Does somebody write to the template? PREP_FAILED: it was said who. *leased: nobody can, until
 * holder_lease_end. */
int prep_check_holders(struct prep *prep, bool *leased);

/* prep_image.c. The image, under its temporary name: unpacked or copied, and grown. */
int prep_image_make(struct prep *prep);
/* Its final name, and all of it on the disk. */
int prep_image_publish(struct prep *prep);
void prep_image_end(struct prep *prep);
/* What its partition table says: prep->layout; says which partition is the root, and whether that is sure. */
int prep_image_look(struct prep *prep);

/* The name of the image without its directory, .img or .raw: for the caller to free. */
char *prep_image_name(const struct prep *prep);
/* The same of the one that it is made of. */
char *prep_template_name(const struct prep *prep);

/* What is asked for can be done, as far as can be known before (prep_boot.c): files to copy, words. */
int prep_boot_check(struct prep *prep);
/* Files of the boot partition, as one change. */
int prep_boot_change(struct prep *prep);
/* Does an option change files of the boot partition? prep_boot_change then says what is no image. */
bool prep_boot_is_wanted(const struct prep_options *options);

/* Of a change of the boot partition (prep_boot.c): change_problem was said; PREP_FAILED. */
struct change;
#define PREP_CONFIG_FILE "config.txt"
int prep_boot_failed(struct change *change);
/* A file as text, for the caller to free. *text NULL: it is not there. */
int prep_boot_get(struct change *change, const char *path, char **text, size_t *length);
bool prep_boot_is_file(struct change *change, const char *path);

/* The kernel's command line (prep_cmdline.c). `change` NULL: say the lines only. */
int prep_cmdline_change(struct prep *prep, struct change *change);

/* Links and servers (prep_board.c): the same two. */
int prep_board_check(struct prep *prep);
int prep_board_link(struct prep *prep);
/* The name under which the server exports the image, for the caller to free; NULL: no memory. */
char *prep_board_export(const struct prep *prep);
/* What the board calls itself to an iSCSI server: as given, or after the first --board. For the caller to
 * free; NULL: nobody knows. */
char *prep_board_initiator(const struct prep *prep);
