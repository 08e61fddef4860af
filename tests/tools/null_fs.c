/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * null_fs - the cheapest FUSE filesystem of the same shape: what it takes is the price
 * of the kernel's requests alone, and what imagefs takes beyond it is ours.
 *
 *   null_fs [OPTION...] MOUNTPOINT [DIRECTORY]
 *
 * Shows the names below DIRECTORY as they are when it starts. All but the content of files is answered
 * from memory, without a look at anything, with the timeouts and the flags that imagefs has, and on as many
 * threads. It stays in the foreground, writes a line when it is mounted, and ends when it is unmounted.
 *
 *   -s               on one thread
 *   -d               files are read with O_DIRECT, and on as many threads as imagefs reads one image with
 *   -l MIB           a file `large` in the root, of so many MiB, that are answered at once
 *   -r FILE:OFFSET   it is read from FILE, from that byte on, as with -d
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/process/api.h"
#include "fuse/process/parallel.h"
#include "null_tree.h"

#define FOR_EVER 86400.0 /* as fuse/attributes.h */
#define FOR_A_WALK 0.01
#define THREADS 2	     /* as session.c */
#define READING_THREADS 8    /* and as many as one lane of its queue has (queue.h) */
#define READ_BYTES (1 << 20) /* no READ is longer */

static unsigned char content[READ_BYTES];
static bool is_direct;
static int large_fd = -1;
static off_t large_at_bytes;

static void stat_of(fuse_ino_t id, struct stat *st)
{
	const struct null_node *node = null_tree_node(id);

	*st = (struct stat){
		.st_ino = id,
		.st_mode = node->mode,
		.st_nlink = 1,
		.st_size = node->size_bytes,
		.st_blksize = 4096,
	};
}

static double timeout_of(fuse_ino_t id)
{
	return S_ISREG(null_tree_node(id)->mode) ? FOR_EVER : FOR_A_WALK;
}

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	connection->want |= connection->capable & FUSE_CAP_CACHE_SYMLINKS;
	parallel_want(connection);
	connection->max_background = 64;
	connection->congestion_threshold = 48;
	puts("mounted");
	fflush(stdout);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	fuse_ino_t id = null_tree_find(parent, name);
	struct fuse_entry_param entry = { .ino = id, .entry_timeout = 0 };

	if (id == 0) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.attr_timeout = timeout_of(id);
	stat_of(id, &entry.attr);
	fuse_reply_entry(request, &entry);
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
	const char *target = null_tree_node(id)->target;

	if (target)
		fuse_reply_readlink(request, target);
	else
		fuse_reply_err(request, EINVAL);
}

/* The offset of a name is how many are before it and it. */
static void op_readdir(fuse_req_t request, fuse_ino_t id, size_t size_bytes, off_t offset,
		       struct fuse_file_info *file)
{
	const struct null_node *directory = null_tree_node(id);
	char *buffer = malloc(size_bytes);
	size_t used_bytes = 0;

	(void)file;
	if (!buffer) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	for (size_t i = (size_t)offset; i < directory->count; i++) {
		const struct null_node *node = null_tree_node(directory->first + i);
		struct stat st = { .st_ino = directory->first + i, .st_mode = node->mode };
		size_t length = fuse_add_direntry(request, buffer + used_bytes, size_bytes - used_bytes,
						  node->name, &st, (off_t)i + 1);

		if (length > size_bytes - used_bytes)
			break;
		used_bytes += length;
	}
	fuse_reply_buf(request, buffer, used_bytes);
	free(buffer);
}

static void op_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	file->keep_cache = 1;
	fuse_reply_open(request, file);
}

static void read_from(fuse_req_t request, int fd, size_t size_bytes, off_t offset)
{
	static _Thread_local unsigned char *buffer;
	ssize_t got;

	if (!buffer && posix_memalign((void **)&buffer, 4096, READ_BYTES) != 0)
		buffer = NULL;
	got = fd >= 0 && buffer ? pread(fd, buffer, size_bytes, offset) : -1;
	if (got < 0)
		fuse_reply_err(request, EIO);
	else
		fuse_reply_buf(request, (const char *)buffer, (size_t)got);
}

static void op_read(fuse_req_t request, fuse_ino_t id, size_t size_bytes, off_t offset,
		    struct fuse_file_info *file)
{
	struct null_node *node = null_tree_node(id);
	off_t left_bytes = node->size_bytes > offset ? node->size_bytes - offset : 0;

	(void)file;
	if (size_bytes > READ_BYTES)
		size_bytes = READ_BYTES;
	if (left_bytes == 0)
		fuse_reply_buf(request, NULL, 0);
	else if (node->path)
		read_from(request, null_tree_open(node, is_direct ? O_DIRECT : 0), size_bytes, offset);
	else if (large_fd >= 0)
		read_from(request, large_fd, size_bytes, large_at_bytes + offset);
	else
		fuse_reply_buf(request, (const char *)content,
			       (off_t)size_bytes < left_bytes ? size_bytes : (size_t)left_bytes);
}

static void op_release(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id, (void)file;
	fuse_reply_err(request, 0);
}

/* As imagefs (operations.c): without it ls -l asks twice as much. */
static void op_getxattr(fuse_req_t request, fuse_ino_t id, const char *name, size_t size_bytes)
{
	(void)id, (void)name, (void)size_bytes;
	fuse_reply_err(request, EOPNOTSUPP);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.readdir = op_readdir,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.getxattr = op_getxattr,
};

static int serve(struct fuse_session *session, bool alone)
{
	unsigned threads = is_direct ? READING_THREADS : THREADS;
#if FUSE_USE_VERSION >= 312
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	fuse_loop_cfg_set_clone_fd(config, 0);
#else
	struct fuse_loop_config *config =
		&(struct fuse_loop_config){ .clone_fd = 0, .max_idle_threads = threads };
#endif
	return alone ? fuse_session_loop(session) : fuse_session_loop_mt(session, config);
}

static int mount_and_serve(const char *program, const char *mountpoint, bool alone)
{
	char *options[] = { (char *)program, (char *)"-o",
			    (char *)"ro,allow_other,default_permissions,fsname=null", NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(3, options);
	struct fuse_session *session = fuse_session_new(&arguments, &operations, sizeof(operations), NULL);
	int result;

	if (!session || fuse_set_signal_handlers(session) != 0 ||
	    fuse_session_mount(session, mountpoint) != 0)
		return 1;
	parallel_arrange(session, NULL);
	result = serve(session, alone);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return result != 0;
}

/* FILE:OFFSET. False: there is no such file. */
static bool read_large_from(char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	large_at_bytes = atoll(colon + 1);
	large_fd = open(text, O_RDONLY | O_DIRECT | O_CLOEXEC);
	is_direct = true;
	return large_fd >= 0;
}

int main(int argc, char **argv)
{
	bool alone = false, good = true;
	off_t large_bytes = 0;

	for (int option; (option = getopt(argc, argv, "sdl:r:")) != -1;) {
		if (option == 's')
			alone = true;
		else if (option == 'd')
			is_direct = true;
		else if (option == 'l')
			good = good && (large_bytes = atoll(optarg) << 20) > 0;
		else
			good = good && option == 'r' && read_large_from(optarg);
	}
	if (!good || optind >= argc || argc > optind + 2) {
		fprintf(stderr,
			"usage: null_fs [-s] [-d] [-l MIB [-r FILE:OFFSET]] MOUNTPOINT [DIRECTORY]\n");
		return 2;
	}
	null_tree_load(optind + 1 < argc ? argv[optind + 1] : "", large_bytes ? "large" : NULL, large_bytes);
	return mount_and_serve(argv[0], argv[optind], alone);
}
