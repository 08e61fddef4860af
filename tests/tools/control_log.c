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
 * With LEDGER in the environment ledgers are served (cache/changes/ledger.h), and what is
 * taken from one is logged like what is written: `all` watches everything, `none` nothing;
 * `deaf` takes nothing. Offers of ledgers are not logged, nor are empty lines.
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

#include "base/clock.h"
#include "cache/changes/company.h"
#include "cache/changes/ledger.h"

#define HANDLES_MAX 4096

static int log_fd;
static long delay_ms;
static uint64_t handles; /* each open has a number: a close may come after the next open */
static const char *serve; /* LEDGER */
static struct {
	struct ledger *ledger;
	uint64_t taken;
} served[HANDLES_MAX];

static void share(const struct fuse_file_info *file, uint64_t fd)
{
	struct ledger *ledger;

	if (!serve || ledger_share(company_process_of(fuse_get_context()->pid), fd, clock_now_ns(CLOCK_MONOTONIC),
				   &ledger) != 0)
		return;
	served[file->fh % HANDLES_MAX].ledger = ledger;
	ledger_watch(ledger, 0, strcmp(serve, "all") == 0 ? UINT64_MAX : 0);
	atomic_store(&ledger->imagefs_serves, 1);
}

/* What was posted since the last time, in the words of the text form. */
static size_t take_posted(const struct fuse_file_info *file, char *text)
{
	struct ledger *ledger = served[file->fh % HANDLES_MAX].ledger;
	uint64_t *taken = &served[file->fh % HANDLES_MAX].taken, posted;
	size_t length = 0;

	if (!ledger || strcmp(serve, "deaf") == 0)
		return 0;
	for (posted = ledger_posted(ledger); *taken != posted; ++*taken) {
		struct ledger_record *record = &ledger->records[*taken % LEDGER_RECORDS];

		if (record->length_bytes == 0)
			length += (size_t)sprintf(text + length, "done %llu\n", (unsigned long long)record->id);
		else
			length += (size_t)sprintf(text + length, "write %llu %llu %llu\n",
						  (unsigned long long)record->offset_bytes,
						  (unsigned long long)record->length_bytes,
						  (unsigned long long)record->id);
	}
	atomic_store(&ledger->taken, posted);
	return length;
}

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
	char text[LEDGER_RECORDS * 80 + 20000] = { 0 };
	size_t left = length < 20000 ? length : 20000;
	unsigned long long fd;

	(void)offset;
	memcpy(text, bytes, left);
	if (sscanf(text, "ledger %llu\n", &fd) == 1) {
		char *rest = strchr(text, '\n') + 1;

		share(file, fd);
		left -= (size_t)(rest - text);
		memmove(text, rest, left);
	}
	if (left == 1 && text[0] == '\n')
		left = 0;
	left += take_posted(file, text + left);
	if (left > 0)
		note(path, file, text, left);
	if (delay_ms)
		nanosleep(&(struct timespec){ delay_ms / 1000, delay_ms % 1000 * 1000000 }, NULL);
	return (int)length;
}

static int log_release(const char *path, struct fuse_file_info *file)
{
	char text[LEDGER_RECORDS * 80];
	size_t left = take_posted(file, text);

	if (left > 0)
		note(path, file, text, left);
	ledger_unshare(served[file->fh % HANDLES_MAX].ledger);
	served[file->fh % HANDLES_MAX].ledger = NULL;
	served[file->fh % HANDLES_MAX].taken = 0;
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
	serve = getenv("LEDGER");
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
