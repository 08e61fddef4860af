/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options: the command line, as a value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <fuse_opt.h>

struct options {
	char *source;	  /* owned */
	char *mountpoint; /* owned; absolute */
	bool foreground;
	unsigned debug; /* of enum log_debug */
	bool verbose;
	bool rw_asked;	  /* mounted ro all the same */
	int fuse_fd;	  /* MOUNTPOINT is /dev/fd/N: mount.fuse3 has mounted it, and this is the kernel's connection; else -1 */
	bool noexec;
	bool remount;	  /* of what is mounted already */
	char *given;	  /* owned: the names of options with a value that were given, a newline around each; or NULL */
	bool allow_other_given;

	uid_t uid;
	gid_t gid;
	unsigned umask, fmask, dmask; /* octal; fmask and dmask apply where given, else umask */
	bool umask_given, fmask_given, dmask_given;
	int time_offset_minutes;
	unsigned partition;   /* 0: by content */
	unsigned settle_ms;   /* how long new content must have lasted */
	enum {
		CHANGES_AUTO,	/* the best that can be had, for each image */
		CHANGES_KERNEL, /* the kernel's events, or no mount */
		CHANGES_EVENTS, /* inotify, ctime, counters; and what servers report */
		CHANGES_NONE,	/* nothing is believed */
	} changes;
	unsigned keep_mib; /* memory for kept content */
	char *nbd; /* owned: which block servers links may name (nbd_uri_is_allowed); NULL: any */

	uid_t run_as_user;     /* 0: root, or who started it */
	gid_t run_as_group;
	bool run_as_given;

	char *control;	       /* owned: where servers report to; NULL: the default place */
	bool control_off;
	bool control_group_given;
	gid_t control_group;   /* of the files in it */

	struct fuse_args fuse; /* what goes on to libfuse; owned */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help or --version was printed: exit 0 */
	OPTIONS_USAGE, /* one line went to stderr: exit 2 */
};

/* The word of changes=. */
const char *options_changes_word(const struct options *options);

enum options_result options_parse(int argc, char **argv, struct options *options);
