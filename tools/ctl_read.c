/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ls and cat: what is in an image, without a mount (ctl_look.h).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/ctl.h"
#include "tools/ctl_look.h"

/* ---- ls ------------------------------------------------------------------- */

static void print_name(const char *name)
{
	if (isatty(STDOUT_FILENO))
		text_write_plain(stdout, name);
	else
		fputs(name, stdout);
	putchar('\n');
}

/* Times are the board's own: FAT knows no time zone. */
static void print_long(const char *name, const struct cache_node *node)
{
	char when[32] = "-";
	struct tm parts;

	if (!node->attributes.is_root && gmtime_r(&node->attributes.times.modified.tv_sec, &parts))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
	printf("%c %10llu  %-19s  ", node->kind == CACHE_NODE_DIR ? 'd' : '-',
	       node->kind == CACHE_NODE_DIR ? 0ULL : (unsigned long long)node->attributes.size_bytes, when);
	print_name(name);
}

static int print_entry(struct cache_dir *dir, const char *name, bool details)
{
	struct cache_node node;
	int error = 0;

	if (!details) {
		print_name(name);
		return OK;
	}
	PATIENTLY(error, cache_dir_lookup(dir, &op, name, &node));
	if (error != 0)
		return ctl_fail(name, strerror(-error)); /* one that is broken hides no other */
	print_long(name, &node);
	look_put(&node);
	return OK;
}

static int list(struct look *look, const char *path, bool details)
{
	struct cache_listing listing;
	struct cache_node node;
	int result = OK, error = look_find(look, path, &node);

	if (error != 0)
		return ctl_fail(path, look_reason(look, error));
	if (node.kind == CACHE_NODE_FILE) {
		if (details)
			print_long(path, &node);
		else
			print_name(path);
		look_put(&node);
		return OK;
	}
	PATIENTLY(error, cache_dir_list(node.dir ? node.dir : look->root, &op, &listing));
	for (size_t i = 0; error == 0 && i < listing.count; i++)
		if (print_entry(node.dir ? node.dir : look->root, listing.entries[i].name, details) != OK)
			result = FAILED;
	if (error == 0)
		cache_listing_free(&listing);
	look_put(&node);
	return error == 0 ? result : ctl_fail(path, look_reason(look, error));
}

int command_ls(const char *control, int count, char **arguments)
{
	struct look look;
	bool details;
	int result;

	ctl_option_first("-l", count, arguments);
	details = count > 0 && strcmp(arguments[0], "-l") == 0;
	count -= details;
	arguments += details;
	for (int i = 0; i < count; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count < 1 || count > 2)
		return ctl_misused(count < 1 ? "ls" : arguments[2], count < 1 ? "which image?" : "one argument too many");
	result = look_open(&look, control, arguments[0]);
	if (result == OK)
		result = list(&look, count > 1 ? arguments[1] : "/", details);
	look_close(&look);
	return result;
}

/* ---- cat ------------------------------------------------------------------ */

int command_cat(const char *control, int count, char **arguments)
{
	struct look look;
	int result;

	for (int i = 0; i < count; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count != 2)
		return ctl_misused(count > 2 ? arguments[2] : "cat",
				   count > 2 ? "one argument too many" : "which image, and which file of it?");
	result = look_open(&look, control, arguments[0]);
	if (result == OK)
		result = look_copy(&look, arguments[1], stdout);
	look_close(&look);
	return result;
}
