/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ls and cat: what is in an image, without a mount (ctl_look.h). Of a board with files of its own,
 * these as they are just now.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tools/ctl.h"
#include "tools/ctl_look.h"
#include "tools/ctl_own.h"

/* An image, and what stands before it. */
struct shown {
	struct look look;
	struct own own;
};

static int show(struct shown *shown, const char *control, const char *argument)
{
	int result = look_open(&shown->look, control, argument), error;

	shown->own = (struct own){ 0 };
	if (result != OK)
		return result;
	error = own_open(&shown->look.place, argument, &shown->own);
	return error == 0 ? OK : ctl_fail(shown->own.directory, strerror(-error));
}

static void show_end(struct shown *shown)
{
	own_close(&shown->own);
	look_close(&shown->look);
}

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
static void print_details(char kind, uint64_t size_bytes, const time_t *modified)
{
	char when[32] = "-";
	struct tm parts;

	if (modified && gmtime_r(modified, &parts))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
	printf("%c %10" PRIu64 "  %-19s  ", kind, size_bytes, when);
}

static void print_long(const char *name, const struct cache_node *node)
{
	bool is_dir = node->kind == CACHE_NODE_DIR;

	print_details(is_dir ? 'd' : '-', is_dir ? 0 : node->attributes.size_bytes,
		      node->attributes.is_root ? NULL : &node->attributes.times.modified.tv_sec);
	print_name(name);
}

static int print_own(const struct own *own, const char *name, bool details)
{
	struct stat st;
	CLEANUP_FD int fd = details ? own_file(own, name, &st) : -1;

	if (details && fd < 0)
		return ctl_fail(name, strerror(-fd));
	if (details)
		print_details('-', (uint64_t)st.st_size, &st.st_mtim.tv_sec);
	print_name(name);
	return OK;
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

/* The own file that a path of the root means; `node`, unless NULL, is what it is in the image, where it may
 * be the short name. */
static const char *own_of(const struct shown *shown, const char *path, const struct cache_node *node)
{
	const char *own = own_find(&shown->own, path);

	while (*path == '/' || strncmp(path, "./", 2) == 0)
		path++;
	return own || strchr(path, '/') || !node ? own : own_find(&shown->own, node->name);
}

static int list(struct shown *shown, const char *path, bool details)
{
	struct cache_listing listing;
	struct cache_node node;
	const char *own = own_of(shown, path, NULL);
	int result = OK, error;

	if (own)
		return print_own(&shown->own, own, details);
	error = look_find(&shown->look, path, &node);
	if (error != 0)
		return ctl_fail(path, look_reason(&shown->look, error));
	own = node.kind == CACHE_NODE_FILE ? own_of(shown, path, &node) : NULL;
	if (own) {
		look_put(&node);
		return print_own(&shown->own, own, details);
	}
	if (node.kind == CACHE_NODE_FILE) {
		if (details)
			print_long(path, &node);
		else
			print_name(path);
		look_put(&node);
		return OK;
	}
	PATIENTLY(error, cache_dir_list(node.dir ? node.dir : shown->look.root, &op, &listing));
	for (size_t i = 0; error == 0 && !node.dir && i < shown->own.names.count; i++)
		if (print_own(&shown->own, shown->own.names.list[i], details) != OK)
			result = FAILED;
	for (size_t i = 0; error == 0 && i < listing.count; i++)
		if ((node.dir || !own_find(&shown->own, listing.entries[i].name)) &&
		    print_entry(node.dir ? node.dir : shown->look.root, listing.entries[i].name, details) !=
			    OK)
			result = FAILED;
	if (error == 0)
		cache_listing_free(&listing);
	look_put(&node);
	return error == 0 ? result : ctl_fail(path, look_reason(&shown->look, error));
}

int command_ls(const char *control, int count, char **arguments)
{
	struct shown shown;
	bool details;
	int result, before;

	before = ctl_end_of_options(&count, arguments);
	ctl_option_first("-l", before, arguments);
	details = before > 0 && strcmp(arguments[0], "-l") == 0;
	count -= details;
	before -= details;
	arguments += details;
	for (int i = 0; i < before; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count < 1 || count > 2)
		return ctl_misused(count < 1 ? "ls" : arguments[2],
				   count < 1 ? "which image?" : "one argument too many");
	result = show(&shown, control, arguments[0]);
	if (result == OK)
		result = list(&shown, count > 1 ? arguments[1] : "/", details);
	show_end(&shown);
	return result;
}

/* ---- cat ------------------------------------------------------------------ */

static int cat_own(const struct own *own, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = own_file(own, name, &st);

	return fd < 0 ? ctl_fail(name, strerror(-fd)) : control_copy_to_stdout(fd, name);
}

static int cat(struct shown *shown, const char *path)
{
	const char *own = own_of(shown, path, NULL);
	struct cache_node node;

	if (!own && look_find(&shown->look, path, &node) == 0) {
		own = node.kind == CACHE_NODE_FILE ? own_of(shown, path, &node) : NULL;
		look_put(&node);
	}
	return own ? cat_own(&shown->own, own) : look_copy(&shown->look, path, stdout);
}

int command_cat(const char *control, int count, char **arguments)
{
	struct shown shown;
	int result, before = ctl_end_of_options(&count, arguments);

	for (int i = 0; i < before; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count != 2)
		return ctl_misused(count > 2 ? arguments[2] : "cat",
				   count > 2 ? "one argument too many"
					     : "which image, and which file of it?");
	result = show(&shown, control, arguments[0]);
	if (result == OK)
		result = cat(&shown, arguments[1]);
	show_end(&shown);
	return result;
}
