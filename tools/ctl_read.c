/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ls and cat: one image without a mount, through the code that serves mounts, so
 * that what they show is what a TFTP server would get: fresh and whole, or an
 * error. They wait longer for an image that is being written than a server may.
 * Of a board with files of its own, these as they are just now.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cache/tree/cache.h"
#include "cache/device/watch.h"
#include "tools/ctl.h"
#include "tools/ctl_image.h"
#include "tools/ctl_own.h"

#define PATIENCE_NS (10 * INT64_C(1000000000))
/* As the daemon has it (fuse/main.c): a younger change may not be there yet. */
#define SETTLE_NS (2 * INT64_C(1000000000))

#define PIECE_BYTES ((size_t)1 << 20)

/* An image that is looked into. */
struct opened {
	struct image_place place;
	struct own own;
	struct watch *watch; /* or NULL */
	struct cache *cache;
	struct cache_image *image;
	struct cache_dir *root;
};

/* ---- waiting -------------------------------------------------------------- */

/* Is the call to be made again, in a moment? */
static bool again(int error, const struct cache_op *op, int64_t deadline_ns)
{
	int64_t pause_ns = op->retry_ns > 1000000 ? op->retry_ns : 1000000;
	struct timespec pause = { pause_ns / 1000000000, pause_ns % 1000000000 };

	if ((error != -EINPROGRESS && error != -EAGAIN) || clock_now_ns(CLOCK_MONOTONIC) + pause_ns > deadline_ns)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

/* Calls of the cache wait for an image in flux: repeat until it is settled. */
#define PATIENTLY(error, call)                                       \
	do {                                                         \
		int64_t patient_until_ns = clock_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;   \
		struct cache_op op;                                  \
		do {                                                 \
			op = (struct cache_op){ .may_block = true }; \
			error = (call);                              \
		} while (again(error, &op, patient_until_ns));       \
	} while (0)

static const char *reason(const struct opened *opened, int error)
{
	const char *problem = opened->image ? cache_image_problem(opened->image) : NULL;

	if (error == -EINPROGRESS)
		return "is being written for too long";
	return error == -EIO && problem ? problem : strerror(-error);
}

/* ---- opening -------------------------------------------------------------- */

static void close_all(struct opened *opened)
{
	if (opened->root)
		cache_dir_put(opened->root);
	if (opened->image)
		cache_image_put(opened->image);
	if (opened->cache)
		cache_free(opened->cache);
	watch_free(opened->watch);
	own_close(&opened->own);
	image_place_free(&opened->place);
}

static int open_root(struct opened *opened, const char *argument)
{
	struct cache_device *device;
	uint32_t sector_bytes;
	int error = own_open(&opened->place, argument, &opened->own);

	if (error != 0)
		return ctl_fail(opened->own.directory, strerror(-error));
	if (watch_new(&opened->watch) != 0)
		opened->watch = NULL;
	opened->cache = cache_new(&cache_settings_default);
	if (!opened->cache)
		return ctl_fail(argument, strerror(ENOMEM));
	device = image_open(&opened->place, opened->watch, SETTLE_NS, &sector_bytes);
	if (!device)
		return FAILED;
	error = cache_image_new(opened->cache, device, sector_bytes, &opened->image);
	if (error != 0)
		return ctl_fail(argument, strerror(-error));
	PATIENTLY(error, cache_image_root(opened->image, &op, opened->place.partition, &opened->root));
	if (error == -ENODATA)
		return ctl_fail(argument, "neither a partition table nor a FAT");
	if (error == -ENOENT)
		return ctl_fail(argument, "no such partition, or no FAT in it");
	return error == 0 ? OK : ctl_fail(argument, reason(opened, error));
}

/* What a path of the partition leads to; a user of it. 0 or -errno. */
static int find(struct opened *opened, const char *path, struct cache_node *node)
{
	CLEANUP_FREE char *copy = strdup(path);
	struct cache_dir *dir = opened->root;
	char *rest = copy;
	int error = copy ? 0 : -ENOMEM;

	*node = (struct cache_node){ .kind = CACHE_NODE_DIR };
	for (char *name; error == 0 && (name = strsep(&rest, "/"));) {
		if (*name == '\0' || strcmp(name, ".") == 0)
			continue;
		if (node->kind == CACHE_NODE_FILE) {
			error = -ENOTDIR;
			break;
		}
		struct cache_node below;

		PATIENTLY(error, cache_dir_lookup(dir, &op, name, &below));
		if (error != 0)
			break;
		if (node->dir)
			cache_dir_put(node->dir);
		*node = below;
		dir = node->dir;
	}
	if (error != 0 && node->dir) {
		if (node->kind == CACHE_NODE_FILE)
			cache_version_put(node->version);
		else
			cache_dir_put(node->dir);
	}
	return error;
}

static void put_node(struct cache_node *node)
{
	if (node->kind == CACHE_NODE_FILE)
		cache_version_put(node->version);
	else if (node->dir)
		cache_dir_put(node->dir);
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
	put_node(&node);
	return OK;
}

/* The own file that a path of the root means; `node`, unless NULL, is what it is in the image, where it may be the short name. */
static const char *own_of(const struct opened *opened, const char *path, const struct cache_node *node)
{
	const char *own = own_find(&opened->own, path);

	while (*path == '/' || strncmp(path, "./", 2) == 0)
		path++;
	return own || strchr(path, '/') || !node ? own : own_find(&opened->own, node->name);
}

static int list(struct opened *opened, const char *path, bool details)
{
	struct cache_listing listing;
	struct cache_node node;
	const char *own = own_of(opened, path, NULL);
	int result = OK, error;

	if (own)
		return print_own(&opened->own, own, details);
	error = find(opened, path, &node);
	if (error != 0)
		return ctl_fail(path, reason(opened, error));
	own = node.kind == CACHE_NODE_FILE ? own_of(opened, path, &node) : NULL;
	if (own) {
		put_node(&node);
		return print_own(&opened->own, own, details);
	}
	if (node.kind == CACHE_NODE_FILE) {
		if (details)
			print_long(path, &node);
		else
			print_name(path);
		put_node(&node);
		return OK;
	}
	PATIENTLY(error, cache_dir_list(node.dir ? node.dir : opened->root, &op, &listing));
	for (size_t i = 0; error == 0 && !node.dir && i < opened->own.count; i++)
		if (print_own(&opened->own, opened->own.names[i], details) != OK)
			result = FAILED;
	for (size_t i = 0; error == 0 && i < listing.count; i++)
		if ((node.dir || !own_find(&opened->own, listing.entries[i].name)) &&
		    print_entry(node.dir ? node.dir : opened->root, listing.entries[i].name, details) != OK)
			result = FAILED;
	if (error == 0)
		cache_listing_free(&listing);
	put_node(&node);
	return error == 0 ? result : ctl_fail(path, reason(opened, error));
}

int command_ls(const char *control, int count, char **arguments)
{
	struct opened opened = { 0 };
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
		return ctl_misused(count < 1 ? "ls" : arguments[2], count < 1 ? "which image?" : "one argument too many");
	result = image_find(control, arguments[0], &opened.place);
	if (result == OK)
		result = open_root(&opened, arguments[0]);
	if (result == OK)
		result = list(&opened, count > 1 ? arguments[1] : "/", details);
	close_all(&opened);
	return result;
}

/* ---- cat ------------------------------------------------------------------ */

/* 0, or -errno; *started: something was written out. */
static int copy_out(struct cache_version *version, bool *started)
{
	uint64_t offset_bytes = 0;
	int error = 0;

	for (;;) {
		struct cache_bytes bytes;
		size_t length_bytes;

		PATIENTLY(error, cache_version_read(version, &op, offset_bytes, PIECE_BYTES, &bytes));
		if (error != 0)
			return error;
		length_bytes = bytes.length_bytes;
		if (length_bytes > 0 && fwrite(bytes.data, 1, length_bytes, stdout) != length_bytes)
			error = -errno;
		cache_bytes_release(&bytes);
		if (error != 0 || length_bytes == 0)
			return error;
		*started = true;
		offset_bytes += length_bytes;
	}
}

static int cat_own(const struct own *own, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = own_file(own, name, &st);

	return fd < 0 ? ctl_fail(name, strerror(-fd)) : control_copy_to_stdout(fd, name);
}

/* A version that goes while nothing of it was shown is followed by the next: for a while. */
static int cat(struct opened *opened, const char *path)
{
	int64_t deadline_ns = clock_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	const char *own = own_of(opened, path, NULL);
	bool started = false;
	int error;

	if (own)
		return cat_own(&opened->own, own);
	do {
		struct cache_node node;

		error = find(opened, path, &node);
		if (error != 0)
			break;
		own = own_of(opened, path, &node);
		if (own) {
			put_node(&node);
			return cat_own(&opened->own, own);
		}
		if (node.kind == CACHE_NODE_DIR) {
			put_node(&node);
			error = -EISDIR;
			break;
		}
		PATIENTLY(error, cache_version_open(node.version, &op));
		if (error == 0) {
			error = copy_out(node.version, &started);
			cache_version_close(node.version);
		}
		put_node(&node);
	} while (error == -ESTALE && !started && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns);
	return error == 0 ? OK : ctl_fail(path, reason(opened, error));
}

int command_cat(const char *control, int count, char **arguments)
{
	struct opened opened = { 0 };
	int result, before = ctl_end_of_options(&count, arguments);

	for (int i = 0; i < before; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count != 2)
		return ctl_misused(count > 2 ? arguments[2] : "cat",
				   count > 2 ? "one argument too many" : "which image, and which file of it?");
	result = image_find(control, arguments[0], &opened.place);
	if (result == OK)
		result = open_root(&opened, arguments[0]);
	if (result == OK)
		result = cat(&opened, arguments[1]);
	close_all(&opened);
	return result;
}
