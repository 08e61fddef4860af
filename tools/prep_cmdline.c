/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prep_cmdline: which file has the kernel's command line, and what it says afterwards. */
#include "tools/prep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "pi/pi.h"
#include "tools/prep/change.h"

#define CMDLINE_DEFAULT "cmdline.txt"

/* ---- which file ----------------------------------------------------------- */

static char *read_config(void *context, const char *name, size_t *length)
{
	char *text = NULL;

	if (change_get(context, name, &text, length) != 0)
		return NULL;
	if (*length > PI_CONFIG_BYTES_MAX)
		*length = PI_CONFIG_BYTES_MAX;
	return text;
}

/* The name that config.txt gives it for that model, if there is such a file: for the caller to free, else
 * NULL. */
static char *named_by(struct change *change, const struct pi_config *config, enum pi_model model)
{
	const struct pi_setting *prefix = pi_config_find(config, model, "os_prefix");
	const struct pi_setting *name = pi_config_find(config, model, "cmdline");
	char *path = NULL;

	if (asprintf(&path, "%s%s", prefix ? prefix->value : "", name ? name->value : CMDLINE_DEFAULT) < 0)
		return NULL;
	if (prep_boot_is_file(change, path))
		return path;
	free(path);
	return NULL;
}

/* Where the command line is, as config.txt says to a Pi 4, else a 5, else a 3. For the caller to free. */
static char *find_cmdline(struct prep *prep, struct change *change)
{
	static const enum pi_model models[] = { PI_4, PI_5, PI_3 };
	struct pi_config config;
	char *path = NULL;

	if (prep->options->cmdline)
		return strdup(prep->options->cmdline);
	if (pi_config_read(&config, PREP_CONFIG_FILE, read_config, change) == 0) {
		for (size_t i = 0; i < sizeof(models) / sizeof(models[0]) && !path; i++)
			path = named_by(change, &config, models[i]);
		pi_config_free(&config);
	}
	return path ? path : strdup(CMDLINE_DEFAULT);
}

/* ---- the command line ----------------------------------------------------- */

static const char *line_problem(int error)
{
	switch (error) {
	case -E2BIG:
		return "the command line would be longer than the kernel takes";
	case -EBADMSG:
		return "has a quote that is not closed";
	case -EINVAL:
		return "the command line cannot hold that server, name or word";
	case -ENODATA:
		return "the root has no UUID to be found by: --set root=...";
	default:
		return strerror(-error);
	}
}

static int set_root(struct prep *prep, char **line)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *export = options->name ? strdup(options->name) : prep_board_export(prep);
	CLEANUP_FREE char *initiator = prep_board_initiator(prep);
	CLEANUP_FREE char *uuid = NULL;
	struct cmdline_root root = { .kind = options->root,
				     .initramfs = options->initramfs,
				     .server = options->server,
				     .name = export,
				     .partition = prep->layout.root,
				     .initiator = initiator };
	int error = export ? cmdline_set_root(line, &root) : -ENOMEM;

	/* A disk by iSCSI is not /dev/mmcblk0. */
	if (error != -ENODATA || !*prep->layout.root_uuid)
		return error;
	if (asprintf(&uuid, "UUID=%s", prep->layout.root_uuid) < 0) {
		uuid = NULL;
		return -ENOMEM;
	}
	root.root = uuid;
	return cmdline_set_root(line, &root);
}

static void say_root(struct prep *prep)
{
	static const char *const kinds[] = {
		[CMDLINE_ROOT_NBD] = "NBD", [CMDLINE_ROOT_ISCSI] = "iSCSI", [CMDLINE_ROOT_NFS] = "NFS"
	};
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *export = options->name ? strdup(options->name) : prep_board_export(prep);

	prep_say(options, "set the command line: root over %s, %s of %s", kinds[options->root],
		 export ? export : "?", options->server);
}

/* The root of a clone is the clone's, or a board that is switched to it writes to the one that it was made
 * of. */
static bool follows_clone(const struct prep_options *options)
{
	return options->clone && !options->has_root;
}

static int follow_clone(struct prep *prep, char **line)
{
	CLEANUP_FREE char *from = prep_template_name(prep);
	CLEANUP_FREE char *to = prep_image_name(prep);

	return from && to ? cmdline_rename_export(line, from, to) : -ENOMEM;
}

static void say_clone(struct prep *prep)
{
	CLEANUP_FREE char *from = prep_template_name(prep);
	CLEANUP_FREE char *to = prep_image_name(prep);

	prep_say(prep->options, "set the command line: where its root is the export %s, it becomes %s",
		 from ? from : "?", to ? to : "?");
}

static int change_line(struct prep *prep, char **line)
{
	const struct prep_options *options = prep->options;
	int error = 0;

	if (options->has_root)
		error = set_root(prep, line);
	else if (follows_clone(options))
		error = follow_clone(prep, line);
	for (size_t i = 0; i < options->word_count && error == 0; i++) {
		if (options->words[i].kind == PREP_SET)
			error = cmdline_set_word(line, options->words[i].text);
		else if (options->words[i].kind == PREP_UNSET)
			error = cmdline_unset_word(line, options->words[i].text);
	}
	return error;
}

/* A file whose line is right already stays as it is, what stands below it as well. */
static int put_line(struct prep *prep, struct change *change, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *old = NULL;
	CLEANUP_FREE char *line = NULL;
	size_t length;
	int error, result = prep_boot_get(change, path, &text, &length);

	if (result != PREP_OK)
		return result;
	if (!text && follows_clone(prep->options) && !prep_options_have(prep->options, PREP_SET) &&
	    !prep_options_have(prep->options, PREP_UNSET))
		return PREP_OK;
	if (!text)
		return prep_fail(path, "is not in the boot partition: --cmdline names the file");
	error = cmdline_read(text, length, &old);
	if (error == 0)
		error = cmdline_read(text, length, &line);
	if (error == 0)
		error = change_line(prep, &line);
	if (error != 0)
		return prep_fail(path, line_problem(error));
	if (strcmp(old, line) == 0)
		return PREP_OK;
	return change_put_text(change, path, line, strlen(line)) == 0 ? PREP_OK : prep_boot_failed(change);
}

int prep_cmdline_change(struct prep *prep, struct change *change)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *path = NULL;

	if (!options->has_root && !options->clone && !prep_options_have(options, PREP_SET) &&
	    !prep_options_have(options, PREP_UNSET))
		return PREP_OK;
	if (options->has_root)
		say_root(prep);
	else if (options->clone)
		say_clone(prep);
	for (size_t i = 0; i < options->word_count; i++)
		if (options->words[i].kind == PREP_SET || options->words[i].kind == PREP_UNSET)
			prep_say(options, "%s the command line: %s",
				 options->words[i].kind == PREP_SET ? "set" : "take out of",
				 options->words[i].text);
	if (!change)
		return PREP_OK;
	path = find_cmdline(prep, change);
	return path ? put_line(prep, change, path) : prep_fail("", strerror(ENOMEM));
}
