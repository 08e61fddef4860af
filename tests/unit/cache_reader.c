/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void reader_init_device(struct reader *reader, const struct cache_settings *settings,
			struct cache_device *device)
{
	*reader = (struct reader){ .patience_ns = 235 * MS };
	reader->cache = cache_new(settings);
	if (!reader->cache || cache_image_new(reader->cache, device, 0, &reader->image) != 0)
		abort();
}

void reader_init(struct reader *reader, struct memory_device *memory)
{
	struct cache_settings settings = cache_settings_default;

	settings.temporary_directory = "/tmp";
	reader_init_device(reader, &settings, &memory->device);
	reader->memory = memory;
}

void reader_end(struct reader *reader)
{
	cache_image_put(reader->image);
	/* What was counted for it has gone with it. */
	if (share_used(cache_memory(reader->cache)) != 0)
		abort();
	cache_free(reader->cache);
}

static void pass_time(struct reader *reader, int64_t duration_ns)
{
	struct timespec real = { duration_ns / SECOND, duration_ns % SECOND };

	reader->waited_ns += duration_ns;
	if (reader->memory)
		memory_device_pass(reader->memory, duration_ns);
	else
		nanosleep(&real, NULL);
}

/* Shall the call be made again? Else *error is what the user sees. */
static bool again(struct reader *reader, struct cache_op *op, int *error)
{
	if (*error == -EAGAIN && !op->may_block) {
		op->may_block = true;
		reader->blocked++;
		return true;
	}
	if (*error != -EINPROGRESS && *error != -EAGAIN)
		return false;
	op->may_block = true;
	if (op->retry_ns < 1)
		op->retry_ns = 1;
	if (reader->waited_ns + op->retry_ns >= reader->patience_ns) {
		*error = -EIO;
		return false;
	}
	pass_time(reader, op->retry_ns);
	return true;
}

#define REPEAT(reader, call)                                 \
	({                                                   \
		struct cache_op op = { 0 };                  \
		int repeat_error;                            \
		(reader)->waited_ns = 0;                     \
		do                                           \
			repeat_error = (call);               \
		while (again((reader), &op, &repeat_error)); \
		repeat_error;                                \
	})

int reader_root(struct reader *reader, unsigned number, struct cache_dir **root)
{
	return REPEAT(reader, cache_image_root(reader->image, &op, number, root));
}

int reader_lookup(struct reader *reader, struct cache_dir *dir, const char *name, struct cache_node *node)
{
	return REPEAT(reader, cache_dir_lookup(dir, &op, name, node));
}

int reader_list(struct reader *reader, struct cache_dir *dir, struct cache_listing *listing)
{
	return REPEAT(reader, cache_dir_list(dir, &op, listing));
}

int reader_stat(struct reader *reader, struct cache_dir *dir, struct cache_attributes *attributes)
{
	return REPEAT(reader, cache_dir_stat(dir, &op, attributes));
}

int reader_partitions(struct reader *reader, unsigned *numbers, size_t capacity, size_t *total)
{
	return REPEAT(reader, cache_image_partitions(reader->image, &op, numbers, capacity, total));
}

int reader_open(struct reader *reader, struct cache_version *version)
{
	return REPEAT(reader, cache_version_open(version, &op));
}

static int read_once(const struct reader *reader, struct cache_version *version, struct cache_op *op,
		     uint64_t offset_bytes, size_t length_bytes, struct cache_bytes *bytes)
{
	struct cache_op keep = { .may_block = true };
	int error;

	op->keep_wanted = false;
	error = cache_version_read(version, op, offset_bytes, length_bytes, bytes);
	if (op->keep_wanted && !reader->never_keeps)
		cache_version_keep(version, &keep);
	return error;
}

long reader_read(struct reader *reader, struct cache_version *version, uint64_t offset_bytes,
		 size_t length_bytes, unsigned char *out)
{
	struct cache_bytes bytes;
	int error = REPEAT(reader, read_once(reader, version, &op, offset_bytes, length_bytes, &bytes));
	long count;

	if (error != 0)
		return error;
	count = (long)bytes.length_bytes;
	if (count > 0)
		memcpy(out, bytes.data, bytes.length_bytes);
	cache_bytes_release(&bytes);
	return count;
}

void node_put_any(struct cache_node *node)
{
	if (node->kind == CACHE_NODE_DIR)
		cache_dir_put(node->dir);
	else
		cache_version_put(node->version);
}

int reader_walk(struct reader *reader, const char *path, struct cache_node *node)
{
	char name[256];
	int error;

	*node = (struct cache_node){ .kind = CACHE_NODE_DIR };
	error = reader_root(reader, CACHE_PARTITION_BOOT, &node->dir);
	while (error == 0 && *path) {
		struct cache_node next = { 0 };
		size_t length = strcspn(path, "/");

		memcpy(name, path, length);
		name[length] = '\0';
		path += length + (path[length] == '/');
		error = node->kind == CACHE_NODE_DIR ? reader_lookup(reader, node->dir, name, &next)
						     : -ENOTDIR;
		node_put_any(node);
		*node = next;
	}
	if (error == 0 && node->kind == CACHE_NODE_DIR) {
		error = reader_stat(reader, node->dir, &node->attributes);
		if (error != 0)
			cache_dir_put(node->dir);
	}
	return error;
}

static int read_whole(struct reader *reader, struct cache_version *version, uint64_t size_bytes,
		      size_t piece_bytes, unsigned char *content)
{
	for (uint64_t at = 0; at < size_bytes;) {
		long got = reader_read(reader, version, at, piece_bytes, content + at);

		if (got <= 0)
			return got < 0 ? (int)got : -ENODATA;
		at += (uint64_t)got;
	}
	return 0;
}

static int fetch_once(struct reader *reader, const char *path, size_t piece_bytes, unsigned char **content,
		      struct cache_attributes *attributes)
{
	struct cache_node node;
	int error = reader_walk(reader, path, &node);

	*content = NULL;
	if (error != 0)
		return error;
	*attributes = node.attributes;
	if (node.kind == CACHE_NODE_DIR) {
		cache_dir_put(node.dir);
		return -EISDIR;
	}
	*content = calloc(1, (size_t)attributes->size_bytes + piece_bytes);
	error = reader_open(reader, node.version);
	if (error == 0) {
		error = read_whole(reader, node.version, attributes->size_bytes, piece_bytes, *content);
		if (error == 0 && reader_read(reader, node.version, attributes->size_bytes, 1, *content) != 0)
			error = -ENODATA;
		cache_version_close(node.version);
	}
	cache_version_put(node.version);
	if (error != 0) {
		free(*content);
		*content = NULL;
	}
	return error;
}

int reader_fetch(struct reader *reader, const char *path, size_t piece_bytes, unsigned char **content,
		 struct cache_attributes *attributes)
{
	int error = fetch_once(reader, path, piece_bytes, content, attributes);

	if (error == -ESTALE)
		error = fetch_once(reader, path, piece_bytes, content, attributes);
	return error;
}
