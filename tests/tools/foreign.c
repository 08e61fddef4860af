/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * foreign: code that somebody got into a process, which tries what it can.
 *
 * Loaded with LD_PRELOAD. On SIGUSR2 the thread that takes it makes every attempt below,
 * and writes a line for each to the file that FOREIGN_REPORT names, which was opened at
 * the start: "NAME refused ERRNO", "NAME failed ERRNO" (for another reason) or "NAME DONE".
 * FOREIGN_DIR is a directory that all may write to, with a file `old` in it; FOREIGN_VICTIM
 * a process to do harm to; FOREIGN_IMAGE an image.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <liburing.h>

#define REPORT_FD 900 /* where nothing of the daemon's is */

static struct io_uring *ring; /* one of the process's own */
static int fanotify_fd = -1;
static pid_t victim;
static const char *image, *directory;

/* What the process has, seen when it is made: these hide the functions of the libraries. */
int io_uring_queue_init(unsigned entries, struct io_uring *new_ring, unsigned flags)
{
	int (*real)(unsigned, struct io_uring *, unsigned) =
		(int (*)(unsigned, struct io_uring *, unsigned))dlsym(RTLD_NEXT, "io_uring_queue_init");
	int result = real(entries, new_ring, flags);

	if (result == 0)
		ring = new_ring;
	return result;
}

int fanotify_init(unsigned flags, unsigned event_flags)
{
	int fd = (int)syscall(SYS_fanotify_init, flags, event_flags);

	if (fd >= 0)
		fanotify_fd = fd;
	return fd;
}

static void report(const char *name, long result)
{
	char line[128];
	int error = errno, length;

	if (result < 0 && (error == EPERM || error == EACCES || error == ENOSYS))
		length = snprintf(line, sizeof(line), "%s refused %d\n", name, error);
	else if (result < 0)
		length = snprintf(line, sizeof(line), "%s failed %d\n", name, error);
	else
		length = snprintf(line, sizeof(line), "%s DONE\n", name);
	if (write(REPORT_FD, line, (size_t)length) != length)
		abort();
}

#define TRY(name, call)             \
	do {                        \
		errno = 0;          \
		report(name, call); \
	} while (0)

static const char *in_directory(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* Of a descriptor that should not have been had: closed again. */
static long opened(long fd)
{
	if (fd >= 0)
		close((int)fd);
	return fd;
}

static long open_how(const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)flags, .mode = flags & O_CREAT ? 0600 : 0 };

	return opened(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

/* Of what this path names, although only the name was opened. */
static long reopen(const char *path, int flags)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char link[32];
	long result;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	result = fd < 0 ? -1 : opened(open(link, flags));
	opened(fd);
	return result;
}

static void try_to_read(void)
{
	struct {
		struct file_handle handle;
		char room[128];
	} handle = { .handle.handle_bytes = 128 };
	int mount_id;

	TRY("read_shadow", opened(open("/etc/shadow", O_RDONLY)));
	TRY("read_shadow_reopened", reopen("/etc/shadow", O_RDONLY));
	TRY("read_outside", opened(open("/etc/passwd", O_RDONLY)));
	TRY("read_outside_openat2", open_how("/etc/passwd", O_RDONLY));
	TRY("read_outside_execute", opened(open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NOATIME)));
	TRY("list_outside", opened(open("/etc", O_RDONLY | O_DIRECTORY)));
	TRY("read_own_memory", opened(open("/proc/self/mem", O_RDONLY)));
	if (fanotify_fd >= 0)
		TRY("hear_of_shadow", fanotify_mark(fanotify_fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "/etc/shadow"));
	TRY("make_fanotify", opened(syscall(SYS_fanotify_init, 0, O_RDONLY)));
	TRY("name_to_handle", name_to_handle_at(AT_FDCWD, "/etc/passwd", &handle.handle, &mount_id, 0));
	TRY("open_by_handle", opened(open_by_handle_at(AT_FDCWD, &handle.handle, O_RDONLY)));
}

static void try_to_write(void)
{
	char old[4096];

	snprintf(old, sizeof(old), "%s/old", directory);
	TRY("write_image", opened(open(image, O_WRONLY)));
	TRY("write_image_both", opened(open(image, O_RDWR)));
	TRY("write_image_truncate", opened(open(image, O_RDONLY | O_TRUNC)));
	TRY("write_image_openat2", open_how(image, O_WRONLY));
	TRY("write_image_reopened", reopen(image, O_RDWR));
	TRY("write_own_memory", opened(open("/proc/self/mem", O_RDWR)));
	TRY("create", opened(open(in_directory("created"), O_CREAT | O_WRONLY, 0600)));
	TRY("create_readonly", opened(open(in_directory("created2"), O_CREAT | O_RDONLY, 0600)));
	TRY("create_openat2", open_how(in_directory("created3"), O_CREAT | O_RDWR));
	TRY("mkdir", mkdir(in_directory("directory"), 0700));
	TRY("mknod", mknod(in_directory("fifo"), S_IFIFO | 0600, 0));
	TRY("symlink", symlink("/etc", in_directory("symlink")));
	TRY("link", link(old, in_directory("link")));
	TRY("truncate", truncate(old, 1));
	TRY("chmod", chmod(old, 0777));
	TRY("chown", chown(old, 1, 1));
	TRY("rename", rename(old, in_directory("new")));
	TRY("unlink", unlink(in_directory("new")));
	TRY("utimes", utimensat(AT_FDCWD, directory, NULL, 0));
	TRY("setxattr", syscall(SYS_setxattr, directory, "user.x", "x", 1, 0));
}

static void try_the_ring(const char *name, void (*prepare)(struct io_uring_sqe *sqe))
{
	struct io_uring_sqe *sqe = ring ? io_uring_get_sqe(ring) : NULL;
	struct io_uring_cqe *cqe;

	if (!sqe)
		return;
	prepare(sqe);
	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &cqe) != 0) {
		report(name, -1);
		return;
	}
	errno = cqe->res < 0 ? -cqe->res : 0;
	report(name, cqe->res < 0 ? -1 : opened(cqe->res));
	io_uring_cqe_seen(ring, cqe);
}

static void prepare_open(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static void prepare_create(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, in_directory("ring"), O_CREAT | O_WRONLY, 0600);
}

static void prepare_socket(struct io_uring_sqe *sqe)
{
	io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM, 0, 0);
}

static void prepare_write(struct io_uring_sqe *sqe)
{
	io_uring_prep_write(sqe, REPORT_FD, "", 0, 0);
}

static void try_rings(void)
{
	struct io_uring_params parameters = { 0 };

	TRY("make_ring", opened(syscall(SYS_io_uring_setup, 4, &parameters)));
	try_the_ring("ring_open", prepare_open);
	try_the_ring("ring_create", prepare_create);
	try_the_ring("ring_socket", prepare_socket);
	try_the_ring("ring_write", prepare_write);
	if (ring)
		TRY("ring_register", syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_EVENTFD, &(int){ 0 }, 1));
}

static long connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long result;

	strcpy(address.sun_path, path);
	result = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
	opened(fd);
	return result;
}

static void try_to_connect(void)
{
	TRY("socket_internet", opened(socket(AF_INET, SOCK_STREAM, 0)));
	TRY("socket_netlink", opened(socket(AF_NETLINK, SOCK_RAW, 0)));
	TRY("connect", connect_to(in_directory("socket")));
	TRY("connect_by_sending", sendmsg(-1, &(struct msghdr){ 0 }, MSG_FASTOPEN)); /* whichever the socket */
}

static void try_others(void)
{
	struct iovec mine = { &(char){ 0 }, 1 }, theirs = { (void *)0x1000, 1 };
	siginfo_t info = { .si_code = SI_QUEUE };

	TRY("kill", kill(victim, 0));
	TRY("kill_all", kill(-1, SIGURG));
	TRY("tgkill", syscall(SYS_tgkill, victim, victim, 0));
	TRY("tkill", syscall(SYS_tkill, victim, 0));
	TRY("sigqueue", syscall(SYS_rt_sigqueueinfo, victim, 0, &info));
	TRY("owner", fcntl(REPORT_FD, F_SETOWN, victim));
	TRY("pidfd", opened(syscall(SYS_pidfd_open, victim, 0)));
	TRY("ptrace", ptrace(PTRACE_SEIZE, victim, 0, 0));
	TRY("process_vm_readv", process_vm_readv(victim, &mine, 1, &theirs, 1, 0));
	TRY("kcmp", syscall(SYS_kcmp, getpid(), victim, 0, 0, 0));
	TRY("prlimit", prlimit(victim, RLIMIT_CORE, NULL, &(struct rlimit){ 0 }));
	TRY("setpriority", setpriority(PRIO_PROCESS, (id_t)victim, 19));
	TRY("affinity", sched_setaffinity(victim, sizeof(cpu_set_t), &(cpu_set_t){ 0 }));
}

static void try_the_system(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct utsname names;
	struct __user_cap_data_struct data[2] = { { 1U << CAP_SYS_ADMIN, 1U << CAP_SYS_ADMIN, 0 }, { 0, 0, 0 } };

	TRY("capset", syscall(SYS_capset, &header, data));
	TRY("mount", mount("foreign", directory, "tmpfs", 0, NULL));
	TRY("bind", mount(directory, directory, NULL, MS_BIND, NULL));
	TRY("umount", umount2(directory, MNT_DETACH));
	TRY("fsopen", opened(syscall(SYS_fsopen, "tmpfs", 0)));
	TRY("open_tree", opened(syscall(SYS_open_tree, AT_FDCWD, "/", 1)));
	TRY("unshare", unshare(CLONE_NEWUSER));
	TRY("setns", setns(REPORT_FD, 0));
	TRY("chroot", chroot("/"));
	TRY("bpf", opened(syscall(SYS_bpf, 0, NULL, 0)));
	TRY("perf", opened(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)));
	TRY("userfaultfd", opened(syscall(SYS_userfaultfd, 0)));
	TRY("keys", syscall(SYS_keyctl, 0, -3, 0));
	TRY("personality", syscall(SYS_personality, 0xffffffff));
	TRY("setuid", syscall(SYS_setuid, 0));
	TRY("dumpable", prctl(PR_SET_DUMPABLE, 1));
	TRY("sethostname", uname(&names) != 0 ? -1 : sethostname(names.nodename, strlen(names.nodename)));
	TRY("terminal", ioctl(0, 0x5412 /* TIOCSTI */, ""));
}

static void try_to_execute(void)
{
	char *const arguments[] = { (char *)"true", NULL };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long child;

	TRY("map_executable", mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	TRY("make_executable", mprotect(page, 4096, PROT_READ | PROT_EXEC));
	child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0)
		_exit(0);
	report("fork", child);
	TRY("execveat", syscall(SYS_execveat, -1, "/bin/true", arguments, NULL, 0));
	TRY("execve", execve("/bin/true", arguments, NULL));
}

static void attack(int signal)
{
	(void)signal;
	try_to_read();
	try_to_write();
	try_rings();
	try_to_connect();
	try_others();
	try_the_system();
	try_to_execute();
	TRY("end", 0);
}

__attribute__((constructor)) static void get_in(void)
{
	const char *name = getenv("FOREIGN_REPORT"), *whom = getenv("FOREIGN_VICTIM");
	int fd = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	directory = getenv("FOREIGN_DIR");
	image = getenv("FOREIGN_IMAGE");
	victim = whom ? atoi(whom) : 0;
	if (fd < 0 || !directory || !image || victim <= 0)
		return;
	dup3(fd, REPORT_FD, O_CLOEXEC);
	close(fd);
	sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = attack }, NULL);
}
