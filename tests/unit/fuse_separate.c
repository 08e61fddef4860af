/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process that opens: what it does, and what nobody who took over the daemon can have it do. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/waits.h"
#include "cache/device/opener.h"
#include "fuse/process/mount.h"
#include "fuse/process/privileges.h"
#include "fuse/process/relays.h"
#include "fuse/process/separate.h"

static char directory[64], source[96];
static char title[64] = "the room that there is";

/* What it is linked with instead of the real ones. */
void mount_detach(const char *mountpoint)
{
	char mark[256];

	snprintf(mark, sizeof(mark), "%s/detached", mountpoint);
	close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

void privileges_keep(void)
{
}

void relays_start(char *room, size_t room_bytes)
{
	(void)room;
	(void)room_bytes;
}

static const char *in(const char *base, const char *name)
{
	static char path[2][256];
	static int which;

	which = !which;
	snprintf(path[which], sizeof(path[which]), "%s/%s", base, name);
	return path[which];
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(file);
	fputs(text, file);
	fclose(file);
}

static void set_up(void)
{
	strcpy(directory, "/tmp/imagefs-separate.XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(source, sizeof(source), "%s/source", directory);
	cr_assert_eq(mkdir(source, 0700), 0);
	write_file(in(source, "a.img"), "a");
	write_file(in(directory, "far"), "far");
	write_file(in(directory, "secret"), "secret");
	cr_assert_eq(symlink("../far", in(source, "far.img")), 0);
	cr_assert_eq(symlink("a.img", in(source, "board")), 0);
	cr_assert_eq(mkfifo(in(source, "fifo"), 0600), 0);
	cr_assert_eq(separate_start(source, NULL, title, sizeof(title)), 0);
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_assert_eq(system(command), 0);
}

TestSuite(fuse_separate, .init = set_up, .fini = tear_down);

/* What is read from it; closes it. */
static const char *text_of(int fd)
{
	static char text[16];
	ssize_t length;

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	length = read(fd, text, sizeof(text) - 1);
	cr_assert_geq(length, 0);
	text[length] = '\0';
	close(fd);
	return text;
}

Test(fuse_separate, s4_opens_names_of_source)
{
	struct stat st, same;
	char text[PATH_MAX];
	int fd = opener_open("a.img");

	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	cr_expect_str_eq(text_of(fd), "a");
	cr_expect_str_eq(text_of(opener_open("far.img")), "far");
	cr_expect_str_eq(text_of(opener_open("board")), "a");
	cr_expect_eq(opener_open("none"), -ENOENT);
	cr_expect_eq(opener_readlink("board", text), 0);
	cr_expect_str_eq(text, "a.img");
	cr_expect_eq(opener_stat("board", OPENER_ENTRY, &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	cr_expect_eq(opener_stat("far.img", OPENER_FOLLOWED, &st), 0);
	cr_expect_eq(st.st_size, 3);
	cr_expect_eq(opener_stat("far.img", OPENER_PARENT, &st), 0);
	cr_expect_eq(stat(directory, &same), 0);
	cr_expect_eq(st.st_ino, same.st_ino);
	cr_expect_eq(opener_stat("", OPENER_SOURCE, &st), 0);
	cr_expect(S_ISDIR(st.st_mode));
}

static void make_own(void)
{
	cr_assert_eq(mkdir(in(source, "board.d"), 0700), 0);
	write_file(in(source, "board.d/cmdline.txt"), "own");
	write_file(in(source, "board.d/.hidden"), "hidden");
	cr_assert_eq(symlink("../../secret", in(source, "board.d/link")), 0);
	cr_assert_eq(mkfifo(in(source, "board.d/fifo"), 0600), 0);
	cr_assert_eq(mkdir(in(source, "board.d/below"), 0700), 0);
	cr_assert_eq(symlink("board.d", in(source, "link.d")), 0);
	cr_assert_eq(symlink("..", in(source, "up.d")), 0);
	cr_assert_eq(mkdir(in(source, "other"), 0700), 0);
	write_file(in(source, "other/secret"), "secret");
}

Test(fuse_separate, s4_opens_regular_files_in_a_directory_of_own_files)
{
	struct stat st;
	int fd;

	make_own();
	fd = opener_own("board.d", "cmdline.txt");
	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	cr_expect_str_eq(text_of(fd), "own");
	fd = opener_own("board.d", "");
	cr_expect_eq(fstat(fd, &st), 0);
	cr_expect(S_ISDIR(st.st_mode));
	close(fd);
	cr_expect_eq(opener_own("none.d", ""), -ENOENT);
	cr_expect_eq(opener_own("board.d", "none"), -ENOENT);
}

Test(fuse_separate, s4_nothing_else_through_a_directory_of_own_files)
{
	static const char *const directories[] = { "", ".", "..", ".d", "other", "a.img", "../source/board.d", "board.d/", "./board.d",
						    "..d", ".x.d", "/etc/cron.d" };
	static const char *const files[] = { ".", "..", "../a.img", "./cmdline.txt", "/etc/passwd", ".hidden", "link", "fifo",
					      "below", "cmdline.txt/" };
	char text[PATH_MAX];

	make_own();
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		cr_expect_eq(opener_own(directories[i], ""), -EACCES, "%s", directories[i]);
		cr_expect_eq(opener_own(directories[i], "secret"), -EACCES, "%s", directories[i]);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		cr_expect_eq(opener_own("board.d", files[i]), -ENOENT, "%s", files[i]);
	cr_expect_eq(opener_own("link.d", "cmdline.txt"), -ENOENT, "a link is not followed");
	cr_expect_eq(opener_own("link.d", ""), -ENOENT);
	cr_expect_eq(opener_own("up.d", "secret"), -ENOENT);
	memset(text, 'x', sizeof(text));
	text[300] = '\0';
	cr_expect_eq(opener_own("board.d", text), -ENAMETOOLONG);
}

Test(fuse_separate, s4_nothing_outside_of_source)
{
	static const char *const names[] = { "", ".", "..", "../secret", "./a.img", "/etc/passwd", "a.img/", "x/../../secret" };
	char text[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_expect_eq(opener_open(names[i]), -EACCES, "%s", names[i]);
		cr_expect_eq(opener_readlink(names[i], text), -EACCES, "%s", names[i]);
		for (enum opener_stat what = OPENER_ENTRY; what <= OPENER_PARENT; what++)
			cr_expect_eq(opener_stat(names[i], what, &st), -EACCES, "%s", names[i]);
	}
	cr_expect_eq(opener_open("fifo"), -EACCES, "it would wait for a writer");
	memset(text, 'x', sizeof(text));
	text[300] = '\0';
	cr_expect_eq(opener_open(text), -ENAMETOOLONG);
}

Test(fuse_separate, s4_another_descriptor_of_what_can_be_read_only)
{
	int name = open(in(directory, "secret"), O_PATH | O_CLOEXEC);
	int for_writing = open(in(directory, "secret"), O_WRONLY | O_CLOEXEC);
	int readable = open(in(directory, "far"), O_RDWR | O_CLOEXEC), again;
	int inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	cr_expect_eq(opener_reopen(name, 0), -EACCES);
	cr_expect_eq(opener_reopen(for_writing, 0), -EACCES);
	cr_expect_eq(opener_reopen(inotify_fd, 0), -EACCES);
	cr_expect_lt(opener_reopen(-1, 0), 0);
	again = opener_reopen(readable, O_RDWR | O_TRUNC | O_APPEND);
	cr_expect_eq(fcntl(again, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDONLY);
	cr_expect_str_eq(text_of(again), "far");
	cr_expect_eq(opener_watch(inotify_fd, name, false), -EACCES);
	cr_expect_gt(opener_watch(inotify_fd, readable, false), 0);
	cr_expect_eq(opener_watch(inotify_fd, readable, true), -EEXIST, "it is watched there already");
	cr_expect_eq(opener_counters(readable, (int[2]){ 0 }), -ENODATA, "no block device");
}

Test(fuse_separate, s4_hears_of_source_and_its_images_only)
{
	int fanotify_fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	int name = open(in(directory, "secret"), O_PATH | O_CLOEXEC), other = open(directory, O_RDONLY | O_CLOEXEC);
	int image = opener_open("a.img"), of_source = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fanotify_fd < 0)
		cr_skip("needs root");
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_MODIFY, image), 0);
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, of_source), 0);
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_MODIFY, name), -EACCES);
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, other), -EACCES);
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, image), -EACCES);
	cr_expect_eq(opener_mark_and_reopen(fanotify_fd, FAN_MARK_ADD, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, image), -EACCES);
	/* Readers would wait for who asks for it, not for who has it ignored; which this queue cannot. */
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_ACCESS_PERM, image), -EACCES);
	cr_expect_eq(opener_mark_and_reopen(fanotify_fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_MARK_ADD, FAN_ACCESS_PERM, image),
		     -EACCES);
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_ACCESS_PERM, image), -EINVAL);
	/* An event of an open comes with what somebody else opens. */
	cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, of_source), -EACCES);
	cr_expect_str_eq(text_of(opener_mark_and_reopen(fanotify_fd, FAN_MARK_ADD, 0, FAN_MODIFY, image)), "a");
}

Test(fuse_separate, s4_temporary_files_have_no_name_and_one_place)
{
	int fd = opener_temporary(directory);
	char link[32], path[256];
	ssize_t length;

	cr_assert_geq(fd, 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	cr_assert_gt(length, 0);
	path[length] = '\0';
	cr_expect_eq(strncmp(path, "/var/tmp/", 9), 0, "%s", path);
	cr_expect(strstr(path, "(deleted)"));
	cr_expect_eq(write(fd, "x", 1), 1);
	close(fd);
}

Test(fuse_separate, s4_unmounts_what_it_was_told_first)
{
	char one[256], two[256];

	strcpy(one, in(directory, "one"));
	strcpy(two, in(directory, "two"));
	cr_assert_eq(mkdir(one, 0700) + mkdir(two, 0700), 0);
	separate_detach(SEPARATE_MAIN, true);
	cr_expect_neq(access(in(one, "detached"), F_OK), 0, "none was told");
	separate_tell_mount(SEPARATE_MAIN, one, false);
	separate_tell_mount(SEPARATE_MAIN, two, true);
	separate_detach((enum separate_mount)7, true);
	separate_detach(SEPARATE_MAIN, true);
	cr_expect_eq(access(in(one, "detached"), F_OK), 0);
	cr_expect_neq(access(in(two, "detached"), F_OK), 0);
}

/* Who takes over the daemon has nothing of his own unmounted. */
Test(fuse_separate, s4_unmounts_once_and_learns_of_no_mount_later)
{
	char one[256], two[256];

	strcpy(one, in(directory, "one"));
	strcpy(two, in(directory, "two"));
	cr_assert_eq(mkdir(one, 0700) + mkdir(two, 0700), 0);
	separate_tell_mount(SEPARATE_MAIN, one, false);
	separate_seal();
	separate_tell_mount(SEPARATE_CONTROL, two, true);
	separate_detach(SEPARATE_CONTROL, true);
	cr_expect_eq(access(two, F_OK), 0);
	cr_expect_neq(access(in(two, "detached"), F_OK), 0);
	separate_detach(SEPARATE_MAIN, true);
	cr_assert_eq(unlink(in(one, "detached")), 0);
	separate_detach(SEPARATE_MAIN, true);
	cr_expect_neq(access(in(one, "detached"), F_OK), 0);
}

/* Of one image there is no other, and nothing beside it is heard of. */
Test(fuse_separate, s4_one_image_is_one_image)
{
	int of_source = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC), fanotify_fd, listed;

	make_own();
	cr_assert_eq(separate_start(source, "board", title, sizeof(title)), 0);
	cr_expect_str_eq(text_of(opener_open("board")), "a");
	cr_expect_eq(opener_open("a.img"), -EACCES);
	cr_expect_eq(opener_open("far.img"), -EACCES);
	cr_expect_eq(opener_own("board.d", "cmdline.txt"), -EACCES);
	listed = opener_directory();
	cr_expect_eq(fcntl(listed, F_GETFL) & O_PATH, O_PATH);
	fanotify_fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	if (fanotify_fd >= 0)
		cr_expect_eq(opener_mark(fanotify_fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, of_source), -EACCES);
}

#define THREADS 300

static void *open_again(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20; i++) {
		int fd = opener_open("a.img");

		/* More than it has room for at a time are told so. */
		if (fd >= 0)
			close(fd);
		else if (fd != -EAGAIN)
			return (void *)1;
	}
	return NULL;
}

static void have_many_ask(void)
{
	pthread_t threads[THREADS];
	void *failed, *any = NULL;

	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, open_again, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		any = failed ? failed : any;
	}
	cr_expect_null(any);
	cr_expect_str_eq(text_of(opener_open("a.img")), "a");
	cr_expect_not(separate_is_thread((pid_t)getpid()));
}

Test(fuse_separate, s2_many_ask_at_a_time)
{
	have_many_ask();
}

/* Of few descriptors: there are some for others, however many ask. */
Test(fuse_separate, s5_connections_have_a_share)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 100;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(separate_start(source, NULL, title, sizeof(title)), 0);
	have_many_ask();
}

static char state_of(pid_t process)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
	file = fopen(path, "r");
	cr_assert(file);
	cr_expect_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
	fclose(file);
	return state;
}

Test(fuse_separate, s4_stopped_it_is_continued_to_unmount)
{
	char one[256];
	struct timespec before, after;

	strcpy(one, in(directory, "one"));
	cr_assert_eq(mkdir(one, 0700), 0);
	separate_tell_mount(SEPARATE_MAIN, one, false);
	cr_assert_eq(kill(separate_pid(), SIGSTOP), 0);
	while (state_of(separate_pid()) != 'T')
		sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &before);
	cr_expect(separate_detach(SEPARATE_MAIN, true));
	clock_gettime(CLOCK_MONOTONIC, &after);
	cr_expect_leq((after.tv_sec - before.tv_sec) * WAIT_S + after.tv_nsec - before.tv_nsec, 3 * WAIT_OPENER_NS);
	cr_expect_eq(access(in(one, "detached"), F_OK), 0);
}

Test(fuse_separate, s4_no_more_it_unmounts_nothing_and_nobody_waits)
{
	cr_assert_eq(kill(separate_pid(), SIGKILL), 0);
	cr_expect_not(separate_detach(SEPARATE_MAIN, true));
	cr_expect_not(separate_detach(SEPARATE_MAIN, true));
}
