/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/prep/change.h"
#include "tools/prep/config.h"

/* ---- SRC[:DEST] ----------------------------------------------------------- */

struct copy {
	char *source;		 /* owned */
	const char *destination; /* "": in the root, under its own name */
};

static void copy_free(struct copy *copy)
{
	free(copy->source);
}

/* A file that is called so goes before a colon. */
static int copy_read(const char *text, struct copy *copy)
{
	char *colon;

	*copy = (struct copy){ .source = strdup(text), .destination = "" };
	if (!copy->source)
		return prep_fail("", strerror(ENOMEM));
	if (access(copy->source, F_OK) != 0 && (colon = strrchr(copy->source, ':'))) {
		*colon = '\0';
		copy->destination = text + (colon + 1 - copy->source);
	}
	return access(copy->source, R_OK) == 0 ? PREP_OK : prep_fail(copy->source, strerror(errno));
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The name of it, whatever slashes are behind. */
static const char *own_name(char *source)
{
	size_t length = strlen(source);
	const char *slash;

	while (length > 1 && source[length - 1] == '/')
		source[--length] = '\0';
	slash = strrchr(source, '/');
	return slash && slash[1] ? slash + 1 : source;
}

/* ---- before anything is done ---------------------------------------------- */

static int check_file(const char *path)
{
	return !path || access(path, R_OK) == 0 ? PREP_OK : prep_fail(path, strerror(errno));
}

/* A word that no command line or config.txt takes fails on an empty one, too. */
static int check_word(const struct prep_word *word)
{
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	int error = 0;

	if (word->kind == PREP_SET || word->kind == PREP_UNSET) {
		error = cmdline_read(NULL, 0, &text);
		if (error == 0)
			error = word->kind == PREP_SET ? cmdline_set_word(&text, word->text)
						       : cmdline_unset_word(&text, word->text);
	} else if (word->kind == PREP_CONFIG) {
		text = calloc(1, 1);
		error = text ? config_set_line(&text, &length, word->text) : -ENOMEM;
	} else if (word->kind == PREP_COPY) {
		__attribute__((cleanup(copy_free))) struct copy copy;

		return copy_read(word->text, &copy);
	}
	if (error == 0)
		return PREP_OK;
	return prep_fail(word->text,
			 error == -EINVAL
				 ? (word->kind == PREP_CONFIG
					    ? "is no line of config.txt: KEY=VALUE, or 'KEY=VALUE [SECTION]'"
					    : "is no word of a command line: KEY=VALUE, or KEY")
			 : error == -E2BIG ? "is too long"
					   : strerror(-error));
}

int prep_boot_check(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	int result = check_file(options->user_data);

	if (result == PREP_OK)
		result = check_file(options->meta_data);
	if (result == PREP_OK)
		result = check_file(options->network_config);
	for (size_t i = 0; i < options->word_count && result == PREP_OK; i++)
		result = check_word(&options->words[i]);
	return result;
}

/* ---- files ---------------------------------------------------------------- */

int prep_boot_failed(struct change *change)
{
	return prep_fail("", change_problem(change));
}

/* The directory in which `path` will be. */
static int make_parent(struct change *change, const char *path)
{
	CLEANUP_FREE char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!parent)
		return -ENOMEM;
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	return change_mkdir(change, parent, true);
}

static int put_file(struct change *change, const char *source, const char *path)
{
	int error = make_parent(change, path);

	if (error == 0)
		error = change_put(change, source, path);
	return error == 0 ? PREP_OK : prep_boot_failed(change);
}

static int put_entry(struct change *change, const FTSENT *entry, const char *path)
{
	switch (entry->fts_info) {
	case FTS_D:
		/* The root is there. */
		if (*path && change_mkdir(change, path, true) != 0)
			return prep_boot_failed(change);
		return PREP_OK;
	case FTS_DP:
		return PREP_OK;
	case FTS_F:
		return put_file(change, entry->fts_path, path);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return prep_fail(entry->fts_path, strerror(entry->fts_errno));
	case FTS_DC:
		return prep_fail(entry->fts_path, strerror(ELOOP));
	default:
		return prep_fail(entry->fts_path, "is neither a file nor a directory: FAT has nothing else");
	}
}

/* What `source` holds becomes what `path` holds; what is there besides stays. */
static int put_tree(struct prep *prep, struct change *change, char *source, const char *path)
{
	char *const sources[] = { source, NULL };
	FTS *tree = fts_open(sources, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	int result = PREP_OK;
	FTSENT *entry;

	if (!tree)
		return prep_fail(source, strerror(errno));
	path += strspn(path, "/");
	while (result == PREP_OK && (entry = fts_read(tree))) {
		CLEANUP_FREE char *to = NULL;

		const char *below = entry->fts_path + strlen(source);

		if (asprintf(&to, "%s%s", path, *path ? below : below + (*below == '/')) < 0)
			to = NULL;
		result = *prep->interrupted ? prep_fail("", "interrupted")
			 : to		    ? put_entry(change, entry, to)
					    : prep_fail("", strerror(ENOMEM));
	}
	fts_close(tree);
	return result;
}

static int do_copy(struct prep *prep, struct change *change, const char *text)
{
	__attribute__((cleanup(copy_free))) struct copy copy;
	CLEANUP_FREE char *path = NULL;
	enum change_kind kind = CHANGE_NOTHING;
	const char *name, *to;
	size_t length;
	bool inside;
	int result = copy_read(text, &copy);

	if (result != PREP_OK)
		return result;
	name = own_name(copy.source);
	to = copy.destination;
	length = strlen(to);
	prep_say(prep->options, "copy %s to %s", copy.source, *to ? to : name);
	if (!change)
		return PREP_OK;
	if (length > 0 && change_look(change, to, &kind) != 0)
		return prep_boot_failed(change);
	/* A file goes into a directory. A tree becomes it, so that a second time is as the first. */
	inside = length == 0 || (to[length - 1] == '/' && strspn(to, "/") < length) ||
		 (kind == CHANGE_DIRECTORY && !is_directory(copy.source));
	if (asprintf(&path, "%s%s%s", to, inside && length > 0 && to[length - 1] != '/' ? "/" : "",
		     inside ? name : "") < 0) {
		path = NULL;
		return prep_fail("", strerror(ENOMEM));
	}
	return is_directory(copy.source) ? put_tree(prep, change, copy.source, path)
					 : put_file(change, copy.source, path);
}

static int do_remove(struct prep *prep, struct change *change, const char *path)
{
	int error;

	prep_say(prep->options, "remove %s", path);
	error = change ? change_remove(change, path, true) : 0;
	if (error == -ENOENT) {
		prep_note(prep->options, "%s is not there", path);
		return PREP_OK;
	}
	return error == 0 ? PREP_OK : prep_boot_failed(change);
}

/* ---- text files ----------------------------------------------------------- */

int prep_boot_get(struct change *change, const char *path, char **text, size_t *length)
{
	int error = change_get(change, path, text, length);

	if (error == 0)
		return PREP_OK;
	*text = NULL;
	*length = 0;
	return error == -ENOENT ? PREP_OK : prep_boot_failed(change);
}

bool prep_boot_is_file(struct change *change, const char *path)
{
	enum change_kind kind;

	return change_look(change, path, &kind) == 0 && kind == CHANGE_FILE;
}

/* ---- config.txt ----------------------------------------------------------- */

static int do_config(struct prep *prep, struct change *change)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *old = NULL;
	size_t length = 0, old_length = 0;
	int error = 0, result;

	if (!prep_options_have(options, PREP_CONFIG))
		return PREP_OK;
	result = change ? prep_boot_get(change, PREP_CONFIG_FILE, &text, &length) : PREP_OK;
	if (result != PREP_OK)
		return result;
	if (!text)
		text = calloc(1, 1);
	old = text ? malloc(length + 1) : NULL;
	if (!old)
		return prep_fail("", strerror(ENOMEM));
	memcpy(old, text, old_length = length);
	for (size_t i = 0; i < options->word_count && error == 0; i++) {
		if (options->words[i].kind != PREP_CONFIG)
			continue;
		prep_say(options, "set in %s: %s", PREP_CONFIG_FILE, options->words[i].text);
		error = config_set_line(&text, &length, options->words[i].text);
	}
	if (error != 0)
		return prep_fail(PREP_CONFIG_FILE, strerror(-error));
	if (!change || (length == old_length && memcmp(text, old, length) == 0))
		return PREP_OK;
	return change_put_text(change, PREP_CONFIG_FILE, text, length) == 0 ? PREP_OK
									    : prep_boot_failed(change);
}

/* ---- first boot ----------------------------------------------------------- */

static int do_ssh(struct prep *prep, struct change *change)
{
	if (!prep->options->ssh)
		return PREP_OK;
	prep_say(prep->options, "make ssh: a server for it at the first boot");
	if (!change || prep_boot_is_file(change, "ssh"))
		return PREP_OK;
	return change_put_text(change, "ssh", "", 0) == 0 ? PREP_OK : prep_boot_failed(change);
}

static int do_cloud_file(struct prep *prep, struct change *change, const char *source, const char *name)
{
	if (!source)
		return PREP_OK;
	prep_say(prep->options, "copy %s to %s, for cloud-init", source, name);
	return !change || change_put(change, source, name) == 0 ? PREP_OK : prep_boot_failed(change);
}

/* cloud-init reads none of them if there is no meta-data. */
static int do_cloud(struct prep *prep, struct change *change)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *name = prep_image_name(prep);
	CLEANUP_FREE char *text = NULL;
	int result = do_cloud_file(prep, change, options->user_data, "user-data");

	if (result == PREP_OK)
		result = do_cloud_file(prep, change, options->meta_data, "meta-data");
	if (result == PREP_OK)
		result = do_cloud_file(prep, change, options->network_config, "network-config");
	if (result != PREP_OK || !change || !(options->user_data || options->network_config) ||
	    prep_boot_is_file(change, "meta-data"))
		return result;
	if (!name || asprintf(&text, "instance-id: %s\n", name) < 0) {
		text = NULL;
		return prep_fail("", strerror(ENOMEM));
	}
	prep_note(options, "there is no meta-data, which cloud-init needs: made, with instance-id: %s", name);
	return change_put_text(change, "meta-data", text, strlen(text)) == 0 ? PREP_OK
									     : prep_boot_failed(change);
}

/* ---- all of it ------------------------------------------------------------ */

/* `change` NULL: each says its line only. */
static int do_all(struct prep *prep, struct change *change)
{
	const struct prep_options *options = prep->options;
	int result = PREP_OK;

	for (size_t i = 0; i < options->word_count && result == PREP_OK; i++) {
		const struct prep_word *word = &options->words[i];

		if (word->kind == PREP_COPY)
			result = do_copy(prep, change, word->text);
		else if (word->kind == PREP_REMOVE)
			result = do_remove(prep, change, word->text);
		if (*prep->interrupted)
			return prep_fail("", "interrupted");
	}
	if (result == PREP_OK)
		result = prep_cmdline_change(prep, change);
	if (result == PREP_OK)
		result = do_config(prep, change);
	if (result == PREP_OK)
		result = do_ssh(prep, change);
	return result == PREP_OK ? do_cloud(prep, change) : result;
}

bool prep_boot_is_wanted(const struct prep_options *options)
{
	return options->has_root || options->ssh || options->user_data || options->meta_data ||
	       options->network_config || prep_options_have(options, PREP_COPY) ||
	       prep_options_have(options, PREP_REMOVE) || prep_options_have(options, PREP_SET) ||
	       prep_options_have(options, PREP_UNSET) || prep_options_have(options, PREP_CONFIG);
}

/* A device has its name already, so that its change is as one in place, but that it is ours (instance.c). */
static unsigned flags_of(const struct prep *prep)
{
	if (prep->makes)
		return prep->instance.is_device ? CHANGE_FORCE : CHANGE_NEW;
	return prep->options->force ? CHANGE_FORCE : 0;
}

/* What is cloned is copied as it is, whatever that is: where there is nothing that could be changed, it is
 * said. */
static int not_followed(struct prep *prep, const char *why)
{
	prep_note(prep->options, "whether its root is that of the one it is a copy of was not looked at: %s",
		  why);
	return PREP_OK;
}

int prep_boot_change(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	struct change *change = NULL;
	unsigned flags = flags_of(prep);
	bool clone_only = options->clone && !prep_boot_is_wanted(options);
	int result;

	if (!prep_boot_is_wanted(options) && !options->clone)
		return PREP_OK;
	if (options->dry_run)
		return do_all(prep, NULL);
	result = clone_only ? PREP_OK : prep_image_look(prep);
	if (result != PREP_OK)
		return result;
	if (change_begin(&change, prep->makes ? prep->instance.work : prep->path, options->boot_partition,
			 flags) != 0) {
		const char *why = change ? change_problem(change) : strerror(ENOMEM);

		result = clone_only ? not_followed(prep, why) : prep_fail("", why);
	} else {
		if (change_notice(change))
			prep_note(options, "%s", change_notice(change));
		result = do_all(prep, change);
		if (result == PREP_OK && change_commit(change) != 0)
			result = prep_boot_failed(change);
	}
	change_end(change);
	return result;
}
