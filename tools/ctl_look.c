/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cache/device/watch.h"
#include "tools/ctl.h"

/* As the daemon has it (fuse/main.c): a younger change may not be there yet. */
#define SETTLE_NS (2 * INT64_C(1000000000))

#define PIECE_BYTES ((size_t)1 << 20)

/* ---- waiting -------------------------------------------------------------- */

/* Is the call to be made again, in a moment? */
bool look_again(int error, const struct cache_op *op, int64_t deadline_ns)
{
	int64_t pause_ns = op->retry_ns > 1000000 ? op->retry_ns : 1000000;
	struct timespec pause = { pause_ns / 1000000000, pause_ns % 1000000000 };

	if ((error != -EINPROGRESS && error != -EAGAIN) ||
	    clock_now_ns(CLOCK_MONOTONIC) + pause_ns > deadline_ns)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

const char *look_reason(const struct look *look, int error)
{
	const char *problem = look->image ? cache_image_problem(look->image) : NULL;

	if (error == -EINPROGRESS)
		return "is being written for too long";
	return error == -EIO && problem ? problem : strerror(-error);
}

/* ---- opening -------------------------------------------------------------- */

void look_close(struct look *look)
{
	if (look->root)
		cache_dir_put(look->root);
	if (look->image)
		cache_image_put(look->image);
	if (look->cache)
		cache_free(look->cache);
	watch_free(look->watch);
	image_place_free(&look->place);
}

static int open_root(struct look *look, const char *argument)
{
	struct cache_device *device;
	uint32_t sector_bytes;
	int error;

	if (watch_new(&look->watch) != 0)
		look->watch = NULL;
	look->cache = cache_new(&cache_settings_default);
	if (!look->cache)
		return ctl_fail(argument, strerror(ENOMEM));
	device = image_open(&look->place, look->watch, SETTLE_NS, &sector_bytes);
	if (!device)
		return FAILED;
	error = cache_image_new(look->cache, device, sector_bytes, &look->image);
	if (error != 0)
		return ctl_fail(argument, strerror(-error));
	PATIENTLY(error, cache_image_root(look->image, &op, look->place.partition, &look->root));
	if (error == -ENODATA)
		return ctl_fail(argument, "neither a partition table nor a FAT");
	if (error == -ENOENT)
		return ctl_fail(argument, "no such partition, or no FAT in it");
	return error == 0 ? OK : ctl_fail(argument, look_reason(look, error));
}

/* What a path of the partition leads to; a user of it. 0 or -errno. */
int look_find(struct look *look, const char *path, struct cache_node *node)
{
	CLEANUP_FREE char *copy = strdup(path);
	struct cache_dir *dir = look->root;
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

void look_put(struct cache_node *node)
{
	if (node->kind == CACHE_NODE_FILE)
		cache_version_put(node->version);
	else if (node->dir)
		cache_dir_put(node->dir);
}

int look_open(struct look *look, const char *control, const char *argument)
{
	int result;

	*look = (struct look){ 0 };
	result = image_find(control, argument, &look->place);
	if (result == OK)
		image_finish_change(&look->place);
	return result == OK ? open_root(look, argument) : result;
}

/* ---- copying -------------------------------------------------------------- */

/* 0, or -errno; *started: something was written out. */
static int copy_out(struct cache_version *version, FILE *out, bool *started)
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
		if (length_bytes > 0 && fwrite(bytes.data, 1, length_bytes, out) != length_bytes)
			error = -errno;
		cache_bytes_release(&bytes);
		if (error != 0 || length_bytes == 0)
			return error;
		*started = true;
		offset_bytes += length_bytes;
	}
}

/* A version that goes while nothing of it was shown is followed by the next: for a while. */
int look_copy(struct look *look, const char *path, FILE *out)
{
	int64_t deadline_ns = clock_now_ns(CLOCK_MONOTONIC) + LOOK_PATIENCE_NS;
	bool started = false;
	int error;

	do {
		struct cache_node node;

		error = look_find(look, path, &node);
		if (error != 0)
			break;
		if (node.kind == CACHE_NODE_DIR) {
			look_put(&node);
			error = -EISDIR;
			break;
		}
		PATIENTLY(error, cache_version_open(node.version, &op));
		if (error == 0) {
			error = copy_out(node.version, out, &started);
			cache_version_close(node.version);
		}
		look_put(&node);
	} while (error == -ESTALE && !started && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns);
	return error == 0 ? OK : ctl_fail(path, look_reason(look, error));
}
