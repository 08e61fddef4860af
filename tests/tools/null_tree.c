/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "null_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define BUCKETS (1 << 18)

static struct null_node *nodes; /* number N at N - 1 */
static size_t node_count, room;
static uint64_t buckets[BUCKETS];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "null_fs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *need(void *made)
{
	if (!made)
		fail("memory");
	return made;
}

struct null_node *null_tree_node(uint64_t id)
{
	return id > 0 && id <= node_count ? &nodes[id - 1] : NULL;
}

static uint64_t *bucket_of(uint64_t parent, const char *name)
{
	return &buckets[text_hash(name, parent * 7919) % BUCKETS];
}

uint64_t null_tree_find(uint64_t parent, const char *name)
{
	uint64_t id = *bucket_of(parent, name);

	while (id != 0 && (nodes[id - 1].parent != parent || strcmp(nodes[id - 1].name, name) != 0))
		id = nodes[id - 1].next;
	return id;
}

static struct null_node *add(uint64_t parent, const char *name)
{
	uint64_t *bucket = bucket_of(parent, name);

	if (node_count == room) {
		room = room ? 2 * room : 1024;
		nodes = need(reallocarray(nodes, room, sizeof(*nodes)));
	}
	nodes[node_count] =
		(struct null_node){ .parent = parent, .name = need(strdup(name)), .fd = -1, .next = *bucket };
	*bucket = node_count + 1;
	return &nodes[node_count++];
}

/* What it is, by lstat; false: nothing that is shown. */
static int look_at(const char *path, struct stat *st)
{
	if (lstat(path, st) != 0)
		fail(path);
	return S_ISDIR(st->st_mode) || S_ISREG(st->st_mode) || S_ISLNK(st->st_mode);
}

static void load_entry(uint64_t parent, const char *directory, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct null_node *node;
	struct stat st;
	ssize_t length = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (!look_at(path, &st))
		return;
	if (S_ISLNK(st.st_mode) && (length = readlink(path, target, sizeof(target) - 1)) < 0)
		fail(path);
	node = add(parent, name);
	node->mode = (st.st_mode & S_IFMT) | (S_ISLNK(st.st_mode) ? 0777 : S_ISDIR(st.st_mode) ? 0555 : 0444);
	node->size_bytes = S_ISDIR(st.st_mode) ? 4096 : st.st_size;
	node->path = need(strdup(path));
	target[length] = '\0';
	if (S_ISLNK(st.st_mode))
		node->target = need(strdup(target));
}

/* What is in one directory, whose names follow each other. */
static void load_directory(uint64_t id)
{
	char *directory = nodes[id - 1].path;
	DIR *dir = opendir(directory);
	uint64_t first = node_count + 1;

	if (!dir)
		fail(directory);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			load_entry(id, directory, entry->d_name);
	closedir(dir);
	nodes[id - 1].first = first;
	nodes[id - 1].count = node_count + 1 - first;
}

void null_tree_load(const char *directory, const char *extra, off_t extra_bytes)
{
	struct null_node *root = add(0, "");

	root->mode = S_IFDIR | 0555;
	root->size_bytes = 4096;
	root->path = *directory ? need(strdup(directory)) : NULL;
	/* Directories that are found on the way are behind: each is looked at once. */
	for (uint64_t id = 1; id <= node_count; id++) {
		if (S_ISDIR(nodes[id - 1].mode) && nodes[id - 1].path)
			load_directory(id);
		if (id == 1 && extra) {
			struct null_node *node = add(1, extra);

			node->mode = S_IFREG | 0444;
			node->size_bytes = extra_bytes;
			nodes[0].first = nodes[0].count ? nodes[0].first : 2;
			nodes[0].count++;
		}
	}
}

int null_tree_open(struct null_node *node, int flags)
{
	int fd = atomic_load(&node->fd), none = -1;

	if (fd >= 0)
		return fd;
	fd = open(node->path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	if (atomic_compare_exchange_strong(&node->fd, &none, fd))
		return fd;
	close(fd); /* another thread was faster */
	return none;
}
