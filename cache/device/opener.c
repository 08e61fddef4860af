/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/statx.h"
#include "base/temporary.h"
#include "base/waits.h"
#include "cache/device/nbd_connect.h"
#include "cache/device/nbd_uri.h"
#include "cache/device/path_watch.h"

/* Where temporary files may be. */
#define TEMPORARY "/var/tmp"

/* linux/fanotify.h, since 6.14: FAN_PRE_ACCESS. */
#define PRE_ACCESS UINT64_C(0x00100000)

/* Likewise, since 6.0: FAN_MARK_IGNORE. */
#define MARK_IGNORE 0x00000400U

/* Constant once there are threads. */
static void (*ask)(const struct opener_request *request, struct opener_answer *answer) = opener_perform;
static const char *source_directory, *source_file; /* of the process that opens */
static const char *nbd_allowed = "any", *nbd_source; /* likewise */

/* ---- what a request may name ------------------------------------------------- */

static int open_directory(int flags)
{
	int fd = source_directory ? open(source_directory, flags | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : source_directory ? -errno : -EACCES;
}

/* A queue of its own each time: what is watched lasts as long as that. */
static int watch_path(struct opener_answer *answer)
{
	struct path_watch watch;
	int error = source_directory && !source_file ? path_watch_new(source_directory, &watch) : -EACCES;

	if (error != 0)
		return error;
	answer->fds[0] = watch.fd;
	memcpy(answer->text, watch.names, watch.names_bytes);
	answer->text_bytes = watch.names_bytes;
	return watch.directory;
}

static bool is_component(const char *name)
{
	return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* A single component; of one image, that image. */
static bool is_in_source(const char *name)
{
	if (!is_component(name))
		return false;
	return !source_file || strcmp(name, source_file) == 0;
}

/* What a descriptor is of, without a question to a file server: it may not answer. */
static int look_at(int fd, struct statx *st)
{
	return statx_or_stat(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, st) == 0 ? 0 : -errno;
}

/* Who has a descriptor to read from a file or device learns nothing new by another one; a name alone is not enough. */
static int check_readable(int fd, struct statx *st)
{
	int flags = fcntl(fd, F_GETFL), error = look_at(fd, st);

	if (flags < 0 || error != 0)
		return flags < 0 ? -EBADF : error;
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	return S_ISREG(st->stx_mode) || S_ISBLK(st->stx_mode) ? 0 : -EACCES;
}

/* For what can be reached by a path only. */
static const char *path_of(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

/* ---- names in SOURCE ------------------------------------------------------------ */

static int open_name(const char *name)
{
	CLEANUP_FD int dir_fd = open_directory(O_PATH);
	CLEANUP_FD int fd = -1;
	struct statx opened;
	struct stat st;

	if (dir_fd < 0)
		return dir_fd;
	/* What else there may be behind a link (a terminal, a tape) is not opened at all. */
	if (fstatat(dir_fd, name, &st, 0) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EACCES;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	return check_readable(fd, &opened) == 0 ? steal_fd(&fd) : -EACCES;
}

/* No directory for files of a board's own: nothing of one image's neighbours, nor of other directories. */
static bool is_own_directory(const char *name)
{
	size_t length = strlen(name);

	return !source_file && is_component(name) && name[0] != '.' && length > 2 && strcmp(name + length - 2, ".d") == 0;
}

/* What a link put there leads to is the business of nobody here: neither component is followed. */
static int open_own(const char *directory, const char *file)
{
	CLEANUP_FD int source_fd = open_directory(O_PATH);
	CLEANUP_FD int dir_fd = -1;
	CLEANUP_FD int fd = -1;
	struct statx opened;
	struct stat st;

	if (source_fd < 0)
		return source_fd;
	dir_fd = openat(source_fd, directory,
			(file[0] == '\0' ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	if (file[0] == '\0')
		return steal_fd(&dir_fd);
	if (!is_component(file) || file[0] == '.')
		return -ENOENT;
	/* A FIFO or a device is not opened at all. */
	if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ELOOP ? -ENOENT : -errno;
	return check_readable(fd, &opened) == 0 && S_ISREG(opened.stx_mode) ? steal_fd(&fd) : -ENOENT;
}

static int read_link(int dir_fd, const char *name, char *text)
{
	ssize_t length = readlinkat(dir_fd, name, text, PATH_MAX);

	if (length < 0)
		return -errno;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	text[length] = '\0';
	return 0;
}

/* Relative to SOURCE, as a link in it is. */
static int stat_parent(int dir_fd, const char *name, struct stat *st)
{
	char text[PATH_MAX], *slash;
	int error = read_link(dir_fd, name, text);

	if (error != 0)
		return error;
	slash = strrchr(text, '/');
	if (!slash)
		return -ENOENT;
	slash[slash == text] = '\0';
	return fstatat(dir_fd, text, st, 0) == 0 ? 0 : -errno;
}

static int stat_name(const char *name, unsigned what, struct stat *st)
{
	CLEANUP_FD int dir_fd = open_directory(O_PATH);

	if (dir_fd < 0)
		return dir_fd;
	if (what == OPENER_PARENT)
		return stat_parent(dir_fd, name, st);
	if (what == OPENER_SOURCE)
		return fstatat(dir_fd, source_file ? source_file : "", st, source_file ? 0 : AT_EMPTY_PATH) == 0 ? 0 : -errno;
	return fstatat(dir_fd, name, st, what == OPENER_FOLLOWED ? 0 : AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

static int readlink_name(const char *name, char *text)
{
	CLEANUP_FD int dir_fd = open_directory(O_PATH);

	return dir_fd < 0 ? dir_fd : read_link(dir_fd, name, text);
}

/*
 * Of a name only, never of a URI that it is told: who took over the daemon reaches what SOURCE's owner linked to, and
 * nothing else. *text is the URI that it is connected to.
 */
static int connect_name(const char *name, char *text)
{
	struct nbd_uri uri;
	int error = 0;

	if (*name == '\0' && nbd_source)
		snprintf(text, PATH_MAX, "%s", nbd_source);
	else
		error = is_in_source(name) ? readlink_name(name, text) : -EACCES;
	if (error != 0)
		return error == -ENOENT || error == -EINVAL ? -ESTALE : error;
	if (nbd_uri_parse(text, &uri))
		return -EINVAL;
	error = *name == '\0' || nbd_uri_is_allowed(&uri, nbd_allowed) ?
			nbd_connect(&uri, WAIT_NBD_CONNECT_NS) : -EPERM;
	nbd_uri_free(&uri);
	return error;
}

/* ---- descriptors ----------------------------------------------------------------- */

static int reopen(int fd, unsigned flags)
{
	char path[32];
	struct statx st;
	int error = check_readable(fd, &st), again;

	if (error != 0)
		return error;
	again = open(path_of(fd, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | ((int)flags & O_DIRECT));
	return again < 0 ? -errno : again;
}

static int open_sysfs(const struct statx *device, const char *attribute)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", device->stx_rdev_major, device->stx_rdev_minor, attribute);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A partition has no queue of its own: its disk is the directory above. */
static bool counters_kept(const struct statx *device)
{
	char on = '0';
	CLEANUP_FD int fd = open_sysfs(device, "queue/iostats");

	if (fd < 0)
		fd = open_sysfs(device, "../queue/iostats");
	return fd >= 0 && read(fd, &on, 1) == 1 && on == '1';
}

static int open_counters(int fd, int fds[2])
{
	struct statx st;
	int error = check_readable(fd, &st);

	if (error != 0)
		return error;
	if (!S_ISBLK(st.stx_mode) || !counters_kept(&st))
		return -ENODATA;
	fds[0] = open_sysfs(&st, "stat");
	fds[1] = open_sysfs(&st, "inflight");
	return fds[0] >= 0 && fds[1] >= 0 ? 0 : -ENODATA;
}

static int add_watch(int inotify_fd, int fd, bool once)
{
	char path[32];
	struct statx st;
	int error = check_readable(fd, &st), watch;

	if (error != 0)
		return error;
	/* IN_ATTRIB: a truncation to the same size, a changed ctime. */
	watch = inotify_add_watch(inotify_fd, path_of(fd, path),
				  IN_MODIFY | IN_ATTRIB | (once ? IN_ONESHOT | IN_MASK_CREATE : 0));
	return watch < 0 ? -errno : watch;
}

/* The second one if the first went well. */
static int add_marks(const struct opener_request *request, int fd)
{
	char path[32];

	/* A descriptor that is a name only cannot be marked, but by its path. */
	for (int i = 0; i < 2 && (i == 0 || request->flags[i] != 0); i++)
		if (fanotify_mark(request->fds[0], request->flags[i], request->mask, AT_FDCWD, path_of(fd, path)) != 0)
			return -errno;
	return 0;
}

/*
 * Of a directory only SOURCE, and by what SOURCE is now. What is beside one image is not to be heard
 * of: an event comes with a descriptor of the file that it is about.
 */
static int mark_directory(const struct opener_request *request, const struct statx *wanted)
{
	CLEANUP_FD int dir_fd = source_file ? -EACCES : source_directory ? open_directory(O_PATH) : dup(request->fds[1]);
	struct statx st;

	if (dir_fd < 0 || look_at(dir_fd, &st) != 0)
		return dir_fd < 0 ? dir_fd : -EIO;
	if (st.stx_ino != wanted->stx_ino || st.stx_dev_major != wanted->stx_dev_major ||
	    st.stx_dev_minor != wanted->stx_dev_minor)
		return -EACCES;
	return add_marks(request, dir_fd);
}

/* Who asked for FAN_ACCESS_PERM would have every reader wait; to ignore it is what arms a file (cache/changes/marks.h). */
static bool may_mark(const struct opener_request *request)
{
	uint64_t events = PRE_ACCESS | FAN_MODIFY | FAN_ACCESS | FAN_EVENT_ON_CHILD;

	/* Of whole filesystems and mounts, and of opens, one hears of everything. */
	if ((request->flags[0] | request->flags[1]) & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
		return false;
	if (request->flags[1] == 0 && request->flags[0] & (FAN_MARK_IGNORED_MASK | MARK_IGNORE))
		events |= FAN_ACCESS_PERM;
	return !(request->mask & ~events);
}

static int mark(const struct opener_request *request)
{
	struct statx st;
	int error = check_readable(request->fds[1], &st);

	if (!may_mark(request))
		return -EACCES;
	if (error == -EACCES && S_ISDIR(st.stx_mode))
		return mark_directory(request, &st);
	return error != 0 ? error : add_marks(request, request->fds[1]);
}

/* ---- others ------------------------------------------------------------------------ */

static int connect_to_syslog(void)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	return steal_fd(&fd);
}

static int process_name(pid_t process, char *name)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)process);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, name, 31) : 0;
	name[length > 0 ? length : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return 0;
}

/* ---- requests ------------------------------------------------------------------------ */

static int perform_on_name(const struct opener_request *request, struct opener_answer *answer)
{
	bool named = request->what != OPENER_ASK_STAT || request->flags[0] != OPENER_SOURCE;
	int result;

	if (!memchr(request->name, '\0', sizeof(request->name)) || (named && !is_in_source(request->name)))
		return -EACCES;
	switch (request->what) {
	case OPENER_ASK_OPEN:
		return answer->fds[0] = open_name(request->name);
	case OPENER_ASK_STAT:
		result = stat_name(request->name, request->flags[0], &answer->st);
		answer->text_bytes = result == 0 ? sizeof(answer->st) : 0;
		return result;
	default:
		result = readlink_name(request->name, answer->text);
		answer->text_bytes = result == 0 ? strlen(answer->text) + 1 : 0;
		return result;
	}
}

static int perform_own(const struct opener_request *request)
{
	if (!memchr(request->name, '\0', sizeof(request->name)) || !memchr(request->file, '\0', sizeof(request->file)) ||
	    !is_own_directory(request->name))
		return -EACCES;
	return open_own(request->name, request->file);
}

static int perform_connect(const struct opener_request *request, struct opener_answer *answer)
{
	if (!memchr(request->name, '\0', sizeof(request->name)))
		return -EACCES;
	answer->fds[0] = connect_name(request->name, answer->text);
	answer->text_bytes = answer->fds[0] >= 0 ? strlen(answer->text) + 1 : 0;
	return answer->fds[0];
}

static int perform(const struct opener_request *request, struct opener_answer *answer)
{
	int result;

	switch (request->what) {
	case OPENER_ASK_CONNECT:
		return perform_connect(request, answer);
	case OPENER_ASK_OPEN:
	case OPENER_ASK_STAT:
	case OPENER_ASK_READLINK:
		return perform_on_name(request, answer);
	case OPENER_ASK_OWN:
		return answer->fds[0] = perform_own(request);
	case OPENER_ASK_DIRECTORY:
		return answer->fds[0] = open_directory(source_file ? O_PATH : O_RDONLY);
	case OPENER_ASK_WATCH_PATH:
		return watch_path(answer);
	case OPENER_ASK_REOPEN:
		return answer->fds[0] = reopen(request->fds[0], request->flags[0]);
	case OPENER_ASK_COUNTERS:
		return open_counters(request->fds[0], answer->fds);
	case OPENER_ASK_WATCH:
		return add_watch(request->fds[0], request->fds[1], request->flags[0] != 0);
	case OPENER_ASK_MARK:
		return mark(request);
	case OPENER_ASK_MARK_AND_REOPEN:
		result = mark(request);
		return result != 0 && result != -ENOENT ? result : (answer->fds[0] = reopen(request->fds[1], 0));
	case OPENER_ASK_TEMPORARY:
		return answer->fds[0] = temporary_file(source_directory ? TEMPORARY : request->name);
	case OPENER_ASK_SYSLOG:
		return answer->fds[0] = connect_to_syslog();
	case OPENER_ASK_PROCESS:
		answer->text_bytes = 32;
		return process_name((pid_t)request->flags[0], answer->text);
	default:
		return -EINVAL;
	}
}

void opener_perform(const struct opener_request *request, struct opener_answer *answer)
{
	answer->fds[0] = answer->fds[1] = -1;
	answer->text_bytes = 0;
	answer->result = perform(request, answer);
	if (answer->result >= 0)
		return;
	for (size_t i = 0; i < OPENER_FDS; i++)
		cleanup_close_fd(&answer->fds[i]);
}

void opener_set_source(const char *directory, const char *file)
{
	source_directory = directory;
	source_file = file;
}

void opener_set_nbd(const char *allowed, const char *source_uri)
{
	nbd_allowed = allowed;
	nbd_source = source_uri;
}

void opener_ask_with(void (*other)(const struct opener_request *request, struct opener_answer *answer))
{
	ask = other;
}

/* ---- what the daemon calls -------------------------------------------------------------- */

/*
 * The limit of descriptors is raised for a moment when those are handed out that are kept back (announcements.c). Whoever opens
 * something in that moment may be given one of them, and would have it for long: he is told that there are none.
 */
static _Atomic int kept_back = INT_MAX;

void opener_keep_back(int first_fd)
{
	atomic_store(&kept_back, first_fd);
}

bool opener_keeps_back(int fd)
{
	return fd >= atomic_load(&kept_back);
}

static void ask_for(const struct opener_request *request, struct opener_answer *answer)
{
	bool kept = false;

	ask(request, answer);
	for (size_t i = 0; i < OPENER_FDS; i++)
		kept |= opener_keeps_back(answer->fds[i]);
	if (!kept)
		return;
	for (size_t i = 0; i < OPENER_FDS; i++)
		cleanup_close_fd(&answer->fds[i]);
	answer->result = -EMFILE;
}

static struct opener_request of_name(unsigned what, const char *name)
{
	struct opener_request request = { .what = what, .fds = { -1, -1 } };

	snprintf(request.name, sizeof(request.name), "%s", name);
	return request;
}

static int result_of(const struct opener_request *request)
{
	struct opener_answer answer;

	ask_for(request, &answer);
	return answer.result < 0 || answer.fds[0] < 0 ? answer.result : answer.fds[0];
}

int opener_open(const char *name)
{
	struct opener_request request = of_name(OPENER_ASK_OPEN, name);

	return strlen(name) > NAME_MAX ? -ENAMETOOLONG : result_of(&request);
}

int opener_connect(const char *name, const char *uri)
{
	struct opener_request request = of_name(OPENER_ASK_CONNECT, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	ask_for(&request, &answer);
	if (answer.result < 0 || strcmp(answer.text, uri) == 0)
		return answer.result < 0 ? answer.result : answer.fds[0];
	close(answer.fds[0]);
	return -ESTALE;
}

int opener_own(const char *directory, const char *file)
{
	struct opener_request request = of_name(OPENER_ASK_OWN, directory);

	if (strlen(directory) > NAME_MAX || strlen(file) > NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(request.file, file);
	return result_of(&request);
}

int opener_directory(void)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_DIRECTORY, .fds = { -1, -1 } });
}

int opener_watch_path(struct path_watch *watch)
{
	struct opener_answer answer;

	ask_for(&(struct opener_request){ .what = OPENER_ASK_WATCH_PATH, .fds = { -1, -1 } }, &answer);
	*watch = (struct path_watch){ .fd = answer.fds[0], .directory = answer.result };
	if (answer.result < 0)
		return answer.result;
	watch->names_bytes = answer.text_bytes;
	memcpy(watch->names, answer.text, answer.text_bytes);
	return 0;
}

int opener_stat(const char *name, enum opener_stat what, struct stat *st)
{
	struct opener_request request = of_name(OPENER_ASK_STAT, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	request.flags[0] = what;
	ask_for(&request, &answer);
	if (answer.result == 0)
		*st = answer.st;
	return answer.result;
}

int opener_readlink(const char *name, char *text)
{
	struct opener_request request = of_name(OPENER_ASK_READLINK, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	ask_for(&request, &answer);
	if (answer.result == 0)
		memcpy(text, answer.text, answer.text_bytes);
	return answer.result;
}

int opener_reopen(int fd, int flags)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_REOPEN, .flags = { (unsigned)flags }, .fds = { fd, -1 } });
}

int opener_counters(int fd, int fds[2])
{
	struct opener_answer answer;

	ask_for(&(struct opener_request){ .what = OPENER_ASK_COUNTERS, .fds = { fd, -1 } }, &answer);
	memcpy(fds, answer.fds, sizeof(answer.fds));
	return answer.result;
}

int opener_watch(int inotify_fd, int fd, bool once)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_WATCH, .flags = { once }, .fds = { inotify_fd, fd } });
}

int opener_mark(int fanotify_fd, unsigned flags, uint64_t mask, int fd)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_MARK, .flags = { flags }, .mask = mask, .fds = { fanotify_fd, fd } });
}

int opener_mark_and_reopen(int fanotify_fd, unsigned first_flags, unsigned second_flags, uint64_t mask, int fd)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_MARK_AND_REOPEN,
						   .flags = { first_flags, second_flags },
						   .mask = mask,
						   .fds = { fanotify_fd, fd } });
}

int opener_temporary(const char *directory)
{
	struct opener_request request = of_name(OPENER_ASK_TEMPORARY, directory);

	return result_of(&request);
}

int opener_syslog(void)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_SYSLOG, .fds = { -1, -1 } });
}

void opener_process_name(pid_t process, char *name)
{
	struct opener_answer answer;

	ask_for(&(struct opener_request){
		    .what = OPENER_ASK_PROCESS, .flags = { (unsigned)process }, .fds = { -1, -1 } }, &answer);
	snprintf(name, 32, "%.31s", answer.result == 0 ? answer.text : "");
}
