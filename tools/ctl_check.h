/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_check: what was found out about one image. For `check` and `boards`.
 */
#pragma once

#include <stdio.h>

#include "fat/health.h"
#include "part/part.h"
#include "pi/pi.h"
#include "tools/ctl_files.h"
#include "tools/ctl_identity.h"
#include "tools/ctl_image.h"
#include "tools/ctl_own.h"

enum finding_level {
	FINDING_NOTE,	 /* worth knowing */
	FINDING_PROBLEM, /* a Pi stumbles over it, or data is damaged */
};

struct finding {
	enum finding_level level;
	const char *about; /* constant: "table", "fat", "files", "config.txt", "cmdline.txt", "image" */
	char *text;
};

struct check {
	struct image_place place;
	bool brief; /* the FAT's chains and flags are not looked at: a few reads instead of all of the FAT */
	struct own own; /* files that stand before the image's */
	uint64_t size_bytes;
	bool changed; /* somebody wrote to it meanwhile */

	struct part_table *table; /* or NULL */
	const struct part_entry *boot; /* of the table; or NULL */
	bool boot_chosen_by_name; /* IMAGE:N */
	struct part_choice choice; /* what it would be without :N, as far as that is known */

	bool has_volume;
	struct fat_volume volume;
	char label[FAT_LABEL_BYTES]; /* of the root directory; "" if none */
	bool has_health;
	struct fat_health health;
	size_t flaws_shown;

	unsigned asked; /* bits of pi_model: those that matter; 0: whatever the image is meant for */
	bool has_files;
	struct pi_config config;
	struct pi_boot boots[PI_MODELS];
	bool has_cmdline;
	struct pi_cmdline cmdline;
	char cmdline_path[PI_WORD_BYTES];
	char *cmdline_wanted; /* the line that would lead here; NULL: it does, or we do not know */

	struct finding *findings;
	size_t finding_count, problem_count;
	bool no_memory;
};

__attribute__((format(printf, 4, 5)))
void check_say(struct check *check, enum finding_level level, const char *about, const char *format, ...);

/*
 * Look at the image of check->place: whatever else is in `check` is zero, but for what is asked for. OK: no problems; FAILED: some;
 * USAGE: it could not be looked at, and that was said. check_end frees all of it, the place as well.
 */
int check_run(struct check *check);
void check_end(struct check *check);

/* ctl_check_boot.c: what a Pi needs, and what config.txt and cmdline.txt point to. -ENOMEM */
int check_boot_files(struct check *check, struct source *image, struct volume_files *files);

/* Why this partition; a constant text. */
const char *check_boot_reason(const struct check *check);
const char *check_scheme(const struct check *check); /* "mbr", "gpt", "none" */

void check_write_text(FILE *out, const struct check *check, bool colours);
void check_write_json(FILE *out, const struct check *check);
