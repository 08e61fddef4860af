/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * null_fs - the cheapest FUSE filesystem of the same shape: what it takes is the price
 * of the kernel's requests alone, and what imagefs takes beyond it is ours.
 *
 *   null_fs [-s] MOUNTPOINT [LARGE-MIB]
 *
 *   MOUNTPOINT/serial -> image  a board's link, its image,
 *   MOUNTPOINT/image/a/b/c/f    and a file of 4 KiB three directories deep in it
 *   MOUNTPOINT/large            LARGE-MIB (1024) of constant bytes, that are answered at once
 *
 * Everything is answered from constants, with the timeouts and the flags that imagefs
 * has, and on as many threads; with -s on one. It stays in the foreground,
 * writes a line when it is mounted, and ends when it is unmounted.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/process/api.h"
#include "fuse/process/parallel.h"

#define FILE_BYTES 4096
#define FOR_EVER 86400.0 /* as fuse/attributes.h */
#define FOR_A_WALK 0.01
#define THREADS 2 /* as session.c */

#define TARGET "image" /* of the link */

static const struct node {
	fuse_ino_t parent;
	const char *name;
	mode_t mode;
} nodes[] = {
	{ 0, "", S_IFDIR | 0555 }, /* its number is 1, FUSE_ROOT_ID */
	{ 1, "serial", S_IFLNK | 0777 }, { 1, TARGET, S_IFDIR | 0555 }, { 3, "a", S_IFDIR | 0555 },
	{ 4, "b", S_IFDIR | 0555 },	 { 5, "c", S_IFDIR | 0555 },	{ 6, "f", S_IFREG | 0444 },
	{ 1, "large", S_IFREG | 0444 },
};

#define NODE_COUNT (sizeof(nodes) / sizeof(nodes[0]))
#define LARGE NODE_COUNT

static char content[1 << 20]; /* no READ is longer */
static off_t large_bytes = (off_t)1024 << 20;

static const struct node *node_of(fuse_ino_t id)
{
	return &nodes[(id - 1) % NODE_COUNT];
}

static off_t size_of(fuse_ino_t id)
{
	return id == LARGE ? large_bytes : S_ISLNK(node_of(id)->mode) ? (off_t)strlen(TARGET) : FILE_BYTES;
}

static void stat_of(fuse_ino_t id, struct stat *st)
{
	*st = (struct stat){
		.st_ino = id,
		.st_mode = node_of(id)->mode,
		.st_nlink = 1,
		.st_size = size_of(id),
		.st_blksize = 4096,
	};
}

static double timeout_of(fuse_ino_t id)
{
	return S_ISREG(node_of(id)->mode) ? FOR_EVER : FOR_A_WALK;
}

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	parallel_want(connection);
	connection->max_background = 64;
	connection->congestion_threshold = 48;
	puts("mounted");
	fflush(stdout);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = 0 };

	for (fuse_ino_t id = 2; id <= NODE_COUNT; id++) {
		if (node_of(id)->parent != parent || strcmp(node_of(id)->name, name) != 0)
			continue;
		entry.ino = id;
		entry.attr_timeout = timeout_of(id);
		stat_of(id, &entry.attr);
		fuse_reply_entry(request, &entry);
		return;
	}
	fuse_reply_err(request, ENOENT);
}

static void op_getattr(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	stat_of(id, &st);
	fuse_reply_attr(request, &st, timeout_of(id));
}

static void op_readlink(fuse_req_t request, fuse_ino_t id)
{
	(void)id;
	fuse_reply_readlink(request, TARGET);
}

static void op_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	file->keep_cache = 1;
	fuse_reply_open(request, file);
}

static void op_read(fuse_req_t request, fuse_ino_t id, size_t size_bytes, off_t offset_bytes,
		    struct fuse_file_info *file)
{
	off_t left_bytes = size_of(id) - offset_bytes;

	(void)file;
	if (left_bytes < 0)
		left_bytes = 0;
	if (size_bytes > sizeof(content))
		size_bytes = sizeof(content);
	fuse_reply_buf(request, content, (off_t)size_bytes < left_bytes ? size_bytes : (size_t)left_bytes);
}

static void op_release(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id, (void)file;
	fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.release = op_release,
};

static int serve(struct fuse_session *session, bool alone)
{
#if FUSE_USE_VERSION >= 312
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	fuse_loop_cfg_set_max_threads(config, THREADS);
	fuse_loop_cfg_set_idle_threads(config, THREADS);
	fuse_loop_cfg_set_clone_fd(config, 0);
#else
	struct fuse_loop_config *config =
		&(struct fuse_loop_config){ .clone_fd = 0, .max_idle_threads = THREADS };
#endif
	return alone ? fuse_session_loop(session) : fuse_session_loop_mt(session, config);
}

int main(int argc, char **argv)
{
	bool alone = argc > 1 && strcmp(argv[1], "-s") == 0;
	char **words = argv + 1 + alone;
	char *options[] = { argv[0], (char *)"-o", (char *)"ro,allow_other,default_permissions,fsname=null",
			    NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(3, options);
	struct fuse_session *session;
	int result;

	if (!words[0] || (words[1] && (large_bytes = atoll(words[1]) << 20) <= 0)) {
		fprintf(stderr, "usage: null_fs [-s] MOUNTPOINT [LARGE-MIB]\n");
		return 2;
	}
	session = fuse_session_new(&arguments, &operations, sizeof(operations), NULL);
	if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, words[0]) != 0)
		return 1;
	parallel_arrange(session);
	result = serve(session, alone);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return result != 0;
}
