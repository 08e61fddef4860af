/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diff: two boot partitions by names and content, said as `diff -rq` says it. Names are the same whatever their ASCII
 * case, as for who asks for them; times do not count.
 *
 * Directories of a hostile image may contain themselves. They are followed only where both images have them, to a depth of
 * DEPTH_MAX, and ENTRIES_MAX names are looked at in all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tools/ctl.h"
#include "tools/ctl_look.h"

#define DEPTH_MAX 64
#define ENTRIES_MAX 1000000
#define PIECE_BYTES ((size_t)1 << 20)

struct side {
	struct look look;
	const char *name; /* as it was given */
};

struct diff {
	struct side sides[2];
	size_t entries;
	bool differ, failed;
};

/* ---- saying it ------------------------------------------------------------------ */

static void write_place(const struct side *side, const char *path)
{
	text_write_plain(stdout, side->name);
	putchar(':');
	text_write_plain(stdout, path);
}

static void say_only(struct diff *diff, int which, const char *path, const char *name)
{
	fputs("Only in ", stdout);
	text_write_plain(stdout, diff->sides[which].name);
	if (*path)
		putchar(':');
	text_write_plain(stdout, path);
	fputs(": ", stdout);
	text_write_plain(stdout, name);
	putchar('\n');
	diff->differ = true;
}

static void say_differ(struct diff *diff, const char *path)
{
	fputs("Files ", stdout);
	write_place(&diff->sides[0], path);
	fputs(" and ", stdout);
	write_place(&diff->sides[1], path);
	puts(" differ");
	diff->differ = true;
}

static void say_kinds(struct diff *diff, const char *path, bool first_is_directory)
{
	static const char *const kinds[] = { "regular file", "directory" };

	fputs("File ", stdout);
	write_place(&diff->sides[0], path);
	printf(" is a %s while file ", kinds[first_is_directory]);
	write_place(&diff->sides[1], path);
	printf(" is a %s\n", kinds[!first_is_directory]);
	diff->differ = true;
}

/* One that cannot be looked at hides no other. */
static void fails(struct diff *diff, int which, const char *path, int error)
{
	CLEANUP_FREE char *place = NULL;

	if (asprintf(&place, "%s:%s", diff->sides[which].name, path) < 0)
		place = NULL;
	ctl_fail(place ? place : path, look_reason(&diff->sides[which].look, error));
	diff->failed = true;
}

/* ---- files ---------------------------------------------------------------------- */

/* 1: the same, 0: not; else -errno, and *which had it. */
static int compare_bytes(struct cache_version *const versions[2], int *which)
{
	for (uint64_t offset_bytes = 0;;) {
		struct cache_bytes bytes[2];
		size_t length_bytes;
		int error = 0, same;

		for (*which = 0; *which < 2; (*which)++) {
			PATIENTLY(error, cache_version_read(versions[*which], &op, offset_bytes, PIECE_BYTES, &bytes[*which]));
			if (error != 0)
				break;
		}
		if (error != 0) {
			if (*which == 1)
				cache_bytes_release(&bytes[0]);
			return error;
		}
		length_bytes = bytes[0].length_bytes < bytes[1].length_bytes ? bytes[0].length_bytes : bytes[1].length_bytes;
		same = length_bytes > 0 ? memcmp(bytes[0].data, bytes[1].data, length_bytes) == 0 :
					  bytes[0].length_bytes == bytes[1].length_bytes;
		cache_bytes_release(&bytes[0]);
		cache_bytes_release(&bytes[1]);
		if (!same || length_bytes == 0)
			return same;
		offset_bytes += length_bytes;
	}
}

static int compare_versions(const struct cache_node nodes[2], int *which)
{
	struct cache_version *const versions[2] = { nodes[0].version, nodes[1].version };
	int result = 0;

	if (nodes[0].attributes.size_bytes != nodes[1].attributes.size_bytes)
		return 0;
	for (*which = 0; *which < 2; (*which)++) {
		PATIENTLY(result, cache_version_open(versions[*which], &op));
		if (result != 0) {
			if (*which == 1)
				cache_version_close(versions[0]);
			return result;
		}
	}
	result = compare_bytes(versions, which);
	cache_version_close(versions[0]);
	cache_version_close(versions[1]);
	return result;
}

/* ---- nodes ---------------------------------------------------------------------- */

static void compare_directories(struct diff *diff, struct cache_dir *const dirs[2], const char *path, unsigned depth);

/* Both are there. -ESTALE: one has changed meanwhile, and nothing was said. */
static int compare_nodes(struct diff *diff, const struct cache_node nodes[2], const char *path, unsigned depth)
{
	int which = 0, result;

	if (nodes[0].kind != nodes[1].kind) {
		say_kinds(diff, path, nodes[0].kind == CACHE_NODE_DIR);
		return 0;
	}
	if (nodes[0].kind == CACHE_NODE_DIR) {
		struct cache_dir *const dirs[2] = { nodes[0].dir, nodes[1].dir };

		compare_directories(diff, dirs, path, depth + 1);
		return 0;
	}
	result = compare_versions(nodes, &which);
	if (result == -ESTALE)
		return result;
	if (result < 0)
		fails(diff, which, path, result);
	else if (result == 0)
		say_differ(diff, path);
	return 0;
}

/* The name that both have, perhaps in another case. A version that goes is followed by the next: for a while. */
static void compare_entry(struct diff *diff, struct cache_dir *const dirs[2], const char *const names[2], const char *path,
			  unsigned depth)
{
	int64_t deadline_ns = clock_now_ns(CLOCK_MONOTONIC) + LOOK_PATIENCE_NS;
	int which = 0, error = 0;

	do {
		struct cache_node nodes[2];

		for (which = 0; which < 2; which++) {
			PATIENTLY(error, cache_dir_lookup(dirs[which], &op, names[which], &nodes[which]));
			if (error != 0)
				break;
		}
		if (error == 0)
			error = compare_nodes(diff, nodes, path, depth);
		else if (which == 0)
			continue;
		look_put(&nodes[0]);
		if (which == 2)
			look_put(&nodes[1]);
	} while (error == -ESTALE && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns);
	if (error != 0)
		fails(diff, which == 2 ? 0 : which, path, error);
}

/* ---- directories ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
	const struct cache_listing_entry *left = a, *right = b;
	int order = strcasecmp(left->name, right->name);

	return order != 0 ? order : strcmp(left->name, right->name);
}

static void compare_both(struct diff *diff, struct cache_dir *const dirs[2], const char *const names[2], const char *path,
			 unsigned depth)
{
	CLEANUP_FREE char *below = NULL;

	if (asprintf(&below, "%s%s%s", path, *path ? "/" : "", names[0]) < 0)
		fails(diff, 0, path, -ENOMEM);
	else
		compare_entry(diff, dirs, names, below, depth);
}

static void merge(struct diff *diff, struct cache_dir *const dirs[2], const struct cache_listing lists[2], const char *path,
		  unsigned depth)
{
	size_t at[2] = { 0, 0 };

	while (at[0] < lists[0].count || at[1] < lists[1].count) {
		const char *names[2] = { at[0] < lists[0].count ? lists[0].entries[at[0]].name : NULL,
					 at[1] < lists[1].count ? lists[1].entries[at[1]].name : NULL };
		int order = !names[0] ? 1 : !names[1] ? -1 : strcasecmp(names[0], names[1]);

		if (order < 0)
			say_only(diff, 0, path, names[0]);
		else if (order > 0)
			say_only(diff, 1, path, names[1]);
		else
			compare_both(diff, dirs, names, path, depth);
		at[0] += order <= 0;
		at[1] += order >= 0;
	}
}

static void compare_directories(struct diff *diff, struct cache_dir *const dirs[2], const char *path, unsigned depth)
{
	struct cache_listing lists[2];
	int which, error = 0;

	for (which = 0; which < 2; which++) {
		PATIENTLY(error, cache_dir_list(dirs[which], &op, &lists[which]));
		if (error != 0)
			break;
		diff->entries += lists[which].count;
		if (lists[which].count > 0)
			qsort(lists[which].entries, lists[which].count, sizeof(*lists[which].entries), compare_names);
	}
	if (error != 0)
		fails(diff, which, path, error);
	else if (depth > DEPTH_MAX || diff->entries > ENTRIES_MAX)
		fails(diff, 0, path, -ELOOP);
	else
		merge(diff, dirs, lists, path, depth);
	for (int i = 0; i < which; i++)
		cache_listing_free(&lists[i]);
}

/* ---- the command ------------------------------------------------------------------ */

int command_diff(const char *control, int count, char **arguments)
{
	struct diff diff = { .differ = false };
	int result = OK;

	for (int i = 0; i < count; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (count != 2)
		return ctl_misused(count > 2 ? arguments[2] : "diff", count > 2 ? "one argument too many" : "which two images?");
	for (int i = 0; i < 2; i++) {
		diff.sides[i].name = arguments[i];
		if (look_open(&diff.sides[i].look, control, arguments[i]) != OK)
			result = USAGE;
	}
	if (result == OK) {
		struct cache_dir *const roots[2] = { diff.sides[0].look.root, diff.sides[1].look.root };

		compare_directories(&diff, roots, "", 0);
		result = diff.failed ? USAGE : diff.differ ? FAILED : OK;
	}
	look_close(&diff.sides[0].look);
	look_close(&diff.sides[1].look);
	return result;
}
