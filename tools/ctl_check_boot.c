/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of the boards, and whether what config.txt and cmdline.txt point to
 * is there and is this image's.
 *
 * What one board lacks is no problem of an image that is made for another. So a
 * file that the firmware looks for by itself is missed only of the boards that
 * were asked for, or when no board has all it needs; a file that config.txt names
 * is missed in any case.
 */
#include "tools/ctl_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/prep/cmdline.h"

/* ---- boards --------------------------------------------------------------- */

static bool matters(const struct check *check, const struct pi_boot *boot)
{
	return check->asked ? check->asked >> boot->model & 1 : boot->meant;
}

/* "Pi 3, Pi 4" of those who miss the same file by the same line; NULL if it was said for an earlier one. */
static const char *who_misses(const struct check *check, const struct pi_boot *boot, const struct pi_want *wanted,
			      char names[64])
{
	names[0] = '\0';
	for (unsigned model = 0; model < PI_MODELS; model++) {
		const struct pi_boot *other = &check->boots[model];
		bool same = false;

		for (size_t i = 0; i < other->count && matters(check, other); i++)
			same = same || (!other->wants[i].there && other->wants[i].by == wanted->by &&
					strcmp(other->wants[i].path, wanted->path) == 0);
		if (!same)
			continue;
		if (model < boot->model)
			return NULL;
		strcat(names, names[0] ? ", " : "");
		strcat(names, pi_model_name((enum pi_model)model));
	}
	return names;
}

static void say_absent(struct check *check, const struct pi_boot *boot, const struct pi_want *wanted, bool missed)
{
	char names[64];
	const char *who = who_misses(check, boot, wanted, names);

	if (!who)
		return;
	if (wanted->by)
		check_say(check, wanted->needed ? FINDING_PROBLEM : FINDING_NOTE, "config.txt",
			  "%s: %s, which line %u of %s names (%s%s%s), is not there (%s)", wanted->path, wanted->what,
			  wanted->by->line, check->config.files[wanted->by->file], wanted->by->name,
			  *wanted->by->value ? "=" : "", wanted->by->value, who);
	else
		check_say(check, wanted->needed && missed ? FINDING_PROBLEM : FINDING_NOTE, "files", "%s: %s is not there (%s)",
			  wanted->path, wanted->what, who);
}

/* What is damaged was named with the FAT's flaws, a problem; here for whom it matters. */
static void say_damaged(struct check *check, const struct pi_boot *boot, const struct pi_want *wanted)
{
	check_say(check, wanted->needed ? FINDING_PROBLEM : FINDING_NOTE, "files", "%s: %s cannot be read to its end (%s)",
		  wanted->path, wanted->what, pi_model_name(boot->model));
}

static void say_boards(struct check *check)
{
	bool any_ready = false, any_meant = false;

	for (unsigned model = 0; model < PI_MODELS; model++) {
		any_ready = any_ready || (check->boots[model].meant && check->boots[model].ready);
		any_meant = any_meant || check->boots[model].meant;
	}
	if (!any_meant && !check->asked)
		check_say(check, FINDING_PROBLEM, "files", "no files are here that a Pi 3, 4 or 5 boots by");
	for (unsigned model = 0; model < PI_MODELS; model++) {
		const struct pi_boot *boot = &check->boots[model];
		size_t problems = check->problem_count;

		for (size_t i = 0; i < boot->count && matters(check, boot); i++)
			if (!boot->wants[i].there)
				say_absent(check, boot, &boot->wants[i], check->asked || !any_ready);
			else if (boot->wants[i].damaged)
				say_damaged(check, boot, &boot->wants[i]);
		/* More files than are remembered: what is absent is among those left out. */
		if (matters(check, boot) && !boot->ready && boot->count == PI_WANTS_MAX && check->problem_count == problems)
			check_say(check, FINDING_PROBLEM, "files", "more than %d files are named, and not all are there (%s)",
				  PI_WANTS_MAX, pi_model_name(boot->model));
	}
}

/* ---- config.txt ------------------------------------------------------------ */

/* Lines whose filter may hold, but for whom we do not know. */
static void say_conditional(struct check *check, struct volume_files *files)
{
	for (size_t i = 0; i < check->config.count; i++) {
		const struct pi_setting *setting = &check->config.settings[i];

		if (!setting->conditional || setting->models == 0 || !*setting->value ||
		    (strcmp(setting->name, "kernel") != 0 && strcmp(setting->name, "device_tree") != 0))
			continue;
		if (!volume_files_exists(files, setting->value))
			check_say(check, FINDING_NOTE, "config.txt", "%s: line %u of %s names it (%s) for some boards, and it is not there",
				  setting->value, setting->line, check->config.files[setting->file], setting->name);
	}
}

static void say_config(struct check *check, struct volume_files *files)
{
	const struct pi_config *config = &check->config;

	if (config->absent[0])
		check_say(check, FINDING_NOTE, "config.txt", "there is none");
	for (unsigned i = 1; i < config->file_count; i++)
		if (config->absent[i])
			check_say(check, FINDING_NOTE, "config.txt", "%s: is included, and not there: the board goes on without it",
				  config->files[i]);
	if (config->long_lines > 0)
		check_say(check, FINDING_NOTE, "config.txt", "%u lines are longer than the %d characters the firmware reads",
			  config->long_lines, PI_CONFIG_LINE_BYTES);
	if (config->cut)
		check_say(check, FINDING_NOTE, "config.txt", "it is too long, or includes too much: its end was not looked at");
	say_conditional(check, files);
}

/* ---- cmdline.txt ----------------------------------------------------------- */

/* `/dev/nbd0p2`, `/dev/nbd0`: the partition that is meant must be there. */
static void say_nbd_partition(struct check *check)
{
	const char *text = check->cmdline.root_text, *digits;

	if (strncmp(text, "/dev/nbd", 8) != 0)
		return;
	digits = strchr(text + 8, 'p');
	if (digits && digits[1] && !part_table_find(check->table, (unsigned)strtoul(digits + 1, NULL, 10)))
		check_say(check, FINDING_PROBLEM, "cmdline.txt", "root=%s: this image has no partition %s", text, digits + 1);
}

/* Exports are mostly named as the image's file; a name that is another image's is a mistake. */
static void say_export(struct check *check)
{
	const char *name = check->cmdline.export, *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	struct stat st;

	say_nbd_partition(check);
	if (!*last) {
		check_say(check, FINDING_NOTE, "cmdline.txt", "%s: names no export; which image that is its server decides",
			  check->cmdline.by);
	} else if (image_named(check->place.directory, last, &st)) {
		if (!image_same(&st, &check->place.st))
			check_say(check, FINDING_PROBLEM, "cmdline.txt", "%s: names another image: %s is not %s", check->cmdline.by,
				  last, check->place.name);
	} else if (strcmp(last, check->place.name) != 0) {
		check_say(check, FINDING_NOTE, "cmdline.txt", "%s: an export named %s; is it this image, %s?", check->cmdline.by,
			  last, check->place.name);
	}
}

static void say_identity(struct check *check, struct source *image)
{
	const struct pi_cmdline *cmdline = &check->cmdline;
	unsigned number = 0;

	switch (identity_of(image, check->table, cmdline->root, cmdline->id, &number)) {
	case IDENTITY_OURS:
		check_say(check, FINDING_NOTE, "cmdline.txt",
			  "%s: is partition %u of this image, but nothing says over which network it comes (nbdroot=, ...)",
			  cmdline->by, number);
		break;
	case IDENTITY_OTHER:
		check_say(check, FINDING_PROBLEM, "cmdline.txt", "%s: names another image: this one has no such partition",
			  cmdline->by);
		break;
	case IDENTITY_UNKNOWN:
	default:
		check_say(check, FINDING_NOTE, "cmdline.txt", "%s: whether that is this image is not known", cmdline->by);
	}
}

/* The partition that a root of this image would be: by the number that root= ends with, else the first that is no FAT; 0: none. */
static unsigned root_partition(const struct check *check)
{
	const struct pi_cmdline *cmdline = &check->cmdline;
	const char *text = cmdline->root_text, *digits = text + strlen(text);
	const struct part_entry *entry;

	while (digits > text && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (cmdline->root == PI_ROOT_PARTUUID && strrchr(text, '-'))
		entry = part_table_find(check->table, (unsigned)strtoul(strrchr(text, '-') + 1, NULL, 16));
	else
		entry = part_table_find(check->table, (unsigned)strtoul(digits, NULL, 10));
	if (entry && !entry->is_fat && entry->number > 0)
		return entry->number;
	for (size_t i = 0; i < check->table->count; i++)
		if (!check->table->entries[i].is_fat)
			return check->table->entries[i].number;
	return 0;
}

/* The root is elsewhere, or nowhere: what to write instead. */
static void say_line(struct check *check, const char *text, size_t length)
{
	unsigned number = root_partition(check);
	const struct cmdline_root root = {
		.kind = CMDLINE_ROOT_NBD,
		.server = *check->cmdline.host ? check->cmdline.host : "SERVER",
		.name = check->place.name,
		.partition = number,
	};
	CLEANUP_FREE char *line = NULL;

	if (number == 0 || cmdline_read(text, length, &line) != 0 || cmdline_set_root(&line, &root) != 0)
		return;
	check->cmdline_wanted = STEAL_POINTER(line);
	check_say(check, FINDING_NOTE, "cmdline.txt", "for a root that is partition %u of this image, by NBD%s, write: %s", number,
		  *check->cmdline.host ? "" : " from SERVER", check->cmdline_wanted);
}

/* True: the root is not where this image's is, or nothing says how it comes. */
static bool say_cmdline(struct check *check, struct source *image)
{
	const struct pi_cmdline *cmdline = &check->cmdline;
	size_t problems = check->problem_count;

	if (cmdline->more_lines)
		check_say(check, FINDING_NOTE, "cmdline.txt", "it has several lines: only the first counts");
	switch (cmdline->root) {
	case PI_ROOT_NBD:
		say_export(check);
		return check->problem_count > problems;
	case PI_ROOT_PARTUUID:
	case PI_ROOT_UUID:
	case PI_ROOT_LABEL:
		say_identity(check, image);
		return true;
	case PI_ROOT_CARD:
		check_say(check, FINDING_PROBLEM, "cmdline.txt", "%s: is the board's own card or disk, not this image", cmdline->by);
		return true;
	case PI_ROOT_NONE:
		check_say(check, FINDING_NOTE, "cmdline.txt", "it does not say where the root is");
		return true;
	case PI_ROOT_OTHER:
		if (strncmp(cmdline->root_text, "/dev/nbd", 8) != 0)
			return false;
		check_say(check, FINDING_NOTE, "cmdline.txt", "%s: nothing says from which server it comes (nbdroot=, ...)",
			  cmdline->by);
		say_nbd_partition(check);
		return true;
	case PI_ROOT_NFS:
	case PI_ROOT_ISCSI:
	default:
		return false;
	}
}

/* A board whose root is elsewhere does not boot from this image, whatever files are here. */
static void look_at_line(struct check *check, struct source *image, const char *path, const char *text, size_t length)
{
	size_t problems = check->problem_count;
	bool elsewhere;

	pi_cmdline_read(&check->cmdline, text, length);
	snprintf(check->cmdline_path, sizeof(check->cmdline_path), "%s", path);
	free(check->cmdline_wanted);
	check->cmdline_wanted = NULL;
	check->has_cmdline = true;
	elsewhere = say_cmdline(check, image);
	for (unsigned model = 0; model < PI_MODELS && check->problem_count > problems; model++)
		if (strcmp(check->boots[model].cmdline, path) == 0)
			check->boots[model].ready = false;
	if (elsewhere)
		say_line(check, text, length);
}

static bool is_looked_at(const struct check *check, unsigned model)
{
	for (unsigned earlier = 0; earlier < model; earlier++)
		if (matters(check, &check->boots[earlier]) &&
		    strcmp(check->boots[earlier].cmdline, check->boots[model].cmdline) == 0)
			return true;
	return false;
}

/* The boards may differ in it: each is looked at, and that of the newest that has one is shown. */
static void look_at_cmdlines(struct check *check, struct source *image, struct volume_files *files)
{
	for (unsigned model = 0; model < PI_MODELS; model++) {
		const char *path = check->boots[model].cmdline;
		size_t length = 0;
		char *text;

		if (!matters(check, &check->boots[model]) || !*path || is_looked_at(check, model))
			continue;
		text = volume_files_read(files, path, &length);
		if (text)
			look_at_line(check, image, path, text, length);
		free(text);
	}
}

int check_boot_files(struct check *check, struct source *image, struct volume_files *files)
{
	const struct pi_files pi_files = { volume_files_exists, volume_files_any, files, volume_files_whole };
	int error = pi_config_read(&check->config, "config.txt", volume_files_read, files);

	if (error != 0)
		return error;
	for (unsigned model = 0; model < PI_MODELS; model++)
		pi_boot_look(&check->boots[model], (enum pi_model)model, &check->config, &pi_files);
	check->has_files = true;
	say_config(check, files);
	say_boards(check);
	look_at_cmdlines(check, image, files);
	return 0;
}
