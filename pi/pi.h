/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pi: what a Raspberry Pi's firmware makes of the files of a boot partition.
 *
 * Texts and names in, words out: no images, no file systems. Rules from the
 * Raspberry Pi documentation ("config.txt", "Boot folder contents", "Conditional
 * filters") and from recorded netboots. The boards that matter are those that
 * boot from the network: Pi 3, 4 and 5, each with its Compute Modules.
 *
 * The texts are hostile. Parsing is bounded by PI_CONFIG_BYTES_MAX of each file
 * and PI_CONFIG_FILES_MAX files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum pi_model {
	PI_3,
	PI_4,
	PI_5,
	PI_MODELS,
};

/* "Pi 3" and so on; and for programs "pi3". */
const char *pi_model_name(enum pi_model model);
const char *pi_model_word(enum pi_model model);

/* ---- config.txt (pi/config.c) -------------------------------------------- */

#define PI_CONFIG_BYTES_MAX ((size_t)64 << 10)
#define PI_CONFIG_FILES_MAX 32	  /* config.txt, and what it includes */
#define PI_CONFIG_SETTINGS_MAX 4096
#define PI_CONFIG_LINE_BYTES 98 /* the firmware ignores what is behind them */

/* One line `name=value` (or `name value`) that may count. */
struct pi_setting {
	char *name;	  /* lower case */
	char *value;	  /* without white space around it; may be empty */
	unsigned models;  /* bits 1 << pi_model: for those it counts */
	bool conditional; /* if a serial number, a pin, a display or the like is right, which we do not know */
	unsigned line;	  /* of its file, from 1 */
	unsigned file;	  /* an index of pi_config.files */
};

struct pi_config {
	struct pi_setting *settings; /* in the order the firmware reads them */
	size_t count;
	char *files[PI_CONFIG_FILES_MAX];
	bool absent[PI_CONFIG_FILES_MAX]; /* it is included, and not there */
	unsigned file_count;
	unsigned long_lines; /* that are cut */
	bool cut;	     /* something was left out: too long, too many */
};

/*
 * Give the text of a file of the boot partition, at most PI_CONFIG_BYTES_MAX of
 * it, for the caller to free; NULL when it is not there.
 */
typedef char *(*pi_read)(void *context, const char *name, size_t *length);

/* Read `name` and what it includes. -ENOMEM; a file that is not there is no error, see `absent`. */
int pi_config_read(struct pi_config *config, const char *name, pi_read read, void *context);
void pi_config_free(struct pi_config *config);

/* What counts for that model in the end, conditions aside: the last one, or NULL. */
const struct pi_setting *pi_config_find(const struct pi_config *config, enum pi_model model, const char *name);

/* ---- cmdline.txt (pi/cmdline.c) ------------------------------------------ */

enum pi_root {
	PI_ROOT_NONE,	  /* nothing is said of it */
	PI_ROOT_CARD,	  /* /dev/mmcblk0p2, /dev/sda2: what the board itself has */
	PI_ROOT_PARTUUID, /* PARTUUID=... */
	PI_ROOT_UUID,
	PI_ROOT_LABEL,
	PI_ROOT_NBD,	  /* nbdroot=, root=nbd:..., netroot=nbd:... */
	PI_ROOT_NFS,
	PI_ROOT_ISCSI,
	PI_ROOT_OTHER,
};

#define PI_WORD_BYTES 256

struct pi_cmdline {
	enum pi_root root;	  /* NBD, NFS and ISCSI go before what root= says */
	char root_text[PI_WORD_BYTES]; /* the value of root=, or "" */
	char by[PI_WORD_BYTES];	  /* the whole word that decided, or "" */
	char id[PI_WORD_BYTES];	  /* of PARTUUID, UUID, LABEL: the rest of it */
	char host[PI_WORD_BYTES]; /* NBD: of the server, or "" */
	char export[PI_WORD_BYTES]; /* NBD: the name of the export, or "" */
	bool more_lines;	  /* only the first line counts */
};

void pi_cmdline_read(struct pi_cmdline *cmdline, const char *text, size_t length);

/* ---- the files (pi/boot.c) ------------------------------------------------ */

/* What is there. Paths as in the boot partition, without a leading '/'. */
struct pi_files {
	bool (*exists)(void *context, const char *path);
	/* Is there a file whose path begins and ends so? `prefix` may hold a directory. */
	bool (*any)(void *context, const char *prefix, const char *suffix);
	void *context;
	/* Can all of a file that exists be read? NULL: yes, of each. */
	bool (*whole)(void *context, const char *path);
};

/* One file the firmware will ask for. */
struct pi_want {
	const char *what;	  /* "kernel": constant */
	char path[PI_WORD_BYTES]; /* or several names, with " or " */
	const struct pi_setting *by; /* the line of config.txt that names it; NULL: the firmware does */
	bool there;
	bool damaged; /* it is there, and cannot be read to its end; not known of patterns */
	bool needed; /* without it the board does not boot as is meant */
};

#define PI_WANTS_MAX 40

struct pi_boot {
	enum pi_model model;
	struct pi_want wants[PI_WANTS_MAX];
	size_t count;
	bool meant;   /* there is a file that only such boards use */
	bool ready;   /* all that is needed is there, and can be read */
	bool dangling; /* config.txt names something needed that is not there */
	char cmdline[PI_WORD_BYTES]; /* path of the kernel's command line; "": inside of boot.img */
};

void pi_boot_look(struct pi_boot *boot, enum pi_model model, const struct pi_config *config, const struct pi_files *files);
