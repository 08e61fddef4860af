/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_log - control files that only remember: to see what a server reports, and
 * in which order with what it does.
 *
 *   control_log MOUNTPOINT LOG [DELAY-MILLISECONDS]
 *
 * Every name that does not begin with `no` is a file there. Each open, write and
 * close is one line of LOG, which others may append to:
 *
 *   MICROSECONDS PID FILE HANDLE open | close | TEXT; TEXT; ...
 *
 * The line is written before the caller's write(2) returns; with a delay, that long
 * before. Returns when the mount answers; ends when it is unmounted. Root's, in the
 * test's namespaces.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int log_fd;
static long delay_ms;
static uint64_t handles; /* each open has a number: a close may come after the next open */

static void note(const char *path, const struct fuse_file_info *file, const char *text, size_t length)
{
	char line[66000];
	struct timespec now;
	int n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof line, "%lld %d %s %llu ",
		     (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000, (int)fuse_get_context()->pid,
		     path + 1, (unsigned long long)file->fh);
	for (size_t i = 0; i < length && n < (int)sizeof line - 3; i++) {
		if (text[i] != '\n') {
			line[n++] = text[i];
		} else if (i + 1 < length) {
			line[n++] = ';';
			line[n++] = ' ';
		}
	}
	line[n++] = '\n';
	if (write(log_fd, line, (size_t)n) != n)
		abort();
}

static int log_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	*st = (struct stat){ .st_mode = S_IFREG | 0666, .st_nlink = 1 };
	if (!strcmp(path, "/"))
		st->st_mode = S_IFDIR | 0755;
	else if (!strncmp(path, "/no", 3))
		return -ENOENT;
	return 0;
}

static int log_open(const char *path, struct fuse_file_info *file)
{
	file->direct_io = 1;
	file->fh = ++handles;
	note(path, file, "open", 4);
	return 0;
}

static int log_write(const char *path, const char *bytes, size_t length, off_t offset,
		     struct fuse_file_info *file)
{
	(void)offset;
	note(path, file, bytes, length);
	if (delay_ms)
		nanosleep(&(struct timespec){ delay_ms / 1000, delay_ms % 1000 * 1000000 }, NULL);
	return (int)length;
}

static int log_release(const char *path, struct fuse_file_info *file)
{
	note(path, file, "close", 5);
	return 0;
}

static int log_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	(void)path;
	(void)size;
	(void)file;
	return 0;
}

static void *log_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)connection;
	config->entry_timeout = config->attr_timeout = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = log_init,
	.getattr = log_getattr,
	.open = log_open,
	.write = log_write,
	.release = log_release,
	.truncate = log_truncate,
};

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: control_log MOUNTPOINT LOG [DELAY-MILLISECONDS]\n");
		return 2;
	}
	delay_ms = argc == 4 ? atol(argv[3]) : 0;
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (log_fd < 0) {
		perror(argv[2]);
		return 1;
	}
	char options[] = "allow_other,fsname=control_log", single[] = "-s", option[] = "-o";
	char *arguments[] = { argv[0], single, option, options, argv[1], NULL };

	return fuse_main(5, arguments, &operations, NULL);
}
