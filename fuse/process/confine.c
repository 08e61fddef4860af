/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/ring.h"

/* Written before there are threads that read them. */
static char in_force[256], missing[256];

static void add(char (*text)[256], const char *what)
{
	size_t length = strlen(*text);

	snprintf(*text + length, sizeof(*text) - length, "%s%s", length > 0 ? ", " : "", what);
}

/* ---- Landlock ---------------------------------------------------------------- */

/* linux/landlock.h, of which Debian 12 has the first version only. */
#define LANDLOCK_CREATE 444
#define LANDLOCK_RESTRICT_SELF 446
#define ACCESS_READ_FILE (UINT64_C(1) << 2)
#define ACCESS_READ_DIR (UINT64_C(1) << 3)

#ifndef NO_LANDLOCK

struct landlock_rules {
	uint64_t files, network, scoped;
};

/* How many of the rights to files each version knows, and how many bytes of the structure. */
static int file_rights(long version)
{
	return version == 1 ? 13 : version == 2 ? 14 : 15;
}

static size_t rules_bytes(long version)
{
	return version < 4 ? 8 : version < 6 ? 16 : 24;
}

/* All rights to files but those are given up. 0: there is no Landlock. */
static long restrict_files(uint64_t kept)
{
	long version = syscall(LANDLOCK_CREATE, NULL, 0, 1U);
	struct landlock_rules rules = {
		.files = ((UINT64_C(1) << file_rights(version)) - 1) & ~kept,
		.network = 3, /* bind, connect: TCP */
		.scoped = 3, /* abstract sockets, signals */
	};

	if (version <= 0)
		return 0;
	CLEANUP_FD int fd = (int)syscall(LANDLOCK_CREATE, &rules, rules_bytes(version), 0U);

	return fd >= 0 && syscall(LANDLOCK_RESTRICT_SELF, fd, 0U) == 0 ? version : 0;
}

#else

/* A sanitizer could not write its report. */
static long restrict_files(uint64_t kept)
{
	(void)kept;
	return 0;
}

#endif

/*
 * To read is not given up, since an event of the kernel comes with a descriptor that it opens for the thread that takes
 * the event; where that is not allowed the writer's write fails.
 */
#define TO_READ (ACCESS_READ_FILE | ACCESS_READ_DIR)

void confine_files(void)
{
	restrict_files(TO_READ);
}

/* ---- seccomp ------------------------------------------------------------------- */

#ifdef HAVE_SECCOMP

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* 451 on all architectures, and unknown to the libseccomp of Debian 12. */
#define CACHESTAT 451

/* The flags of clone(2) are the second argument there. mmap(2) has one argument there, a pointer. */
#ifdef __s390__
#define CLONE_FLAGS 1
#define MMAP "mmap2"
#else
#define CLONE_FLAGS 0
#define MMAP "mmap"
#endif

/* Whatever their arguments: of the process itself, of its memory, and of what it has open. */
static const char *const free_calls[] = {
	/* descriptors */
	"read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "close", "dup", "dup2",
	"dup3", "fstat", "fstat64", "fstatfs", "fstatfs64", "lseek", "_llseek", "getdents64", "fadvise64",
	"fadvise64_64", "arm_fadvise64_64", "ftruncate", "ftruncate64", "fallocate", "memfd_create", "io_uring_enter",
	"pipe2", "splice", "vmsplice", "tee", "eventfd2", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll", "ppoll_time64", "inotify_rm_watch",
	/* what files are, not what is in them */
	"newfstatat", "fstatat64", "statx", "readlinkat", "chdir", "umask",
	/* memory */
	"brk", "munmap", "mremap", "madvise", "membarrier",
	/* threads, time and signals to itself */
	"exit", "exit_group", "futex", "futex_time64", "set_robust_list", "set_tid_address", "rseq", "sched_yield",
	"sched_getaffinity", "gettid", "getpid", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32",
	"getegid", "getegid32", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "clock_gettime",
	"clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time", "restart_syscall",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"sigaltstack", "getrlimit", "ugetrlimit", "setrlimit", "getrandom", "uname", "sysinfo", "cacheflush",
	/* to the opener, block servers, the log and the service manager: sockets that are connected */
	"send", "recvmsg", "shutdown",
};

/*
 * A relay: two sockets that are connected, and what TLS takes. Nothing that has a path, makes a descriptor or a thread, or
 * is about another process.
 */
static const char *const relay_calls[] = {
	"read", "readv", "write", "writev", "close", "send", "recvmsg", "shutdown", "poll", "ppoll", "ppoll_time64",
	"brk", "munmap", "mremap", "madvise",
	"exit", "exit_group", "futex", "futex_time64", "gettid", "getpid", "getppid", "sched_yield", "getrusage",
	"clock_gettime", "clock_gettime64", "gettimeofday", "time", "restart_syscall", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sigreturn", "getrandom", "alarm", "setitimer", "cacheflush",
};

/* Of ints, and unsigned ones. */
#define ALL UINT32_MAX

/* Only if the bits of that argument that are in the mask are so; without a mask, in any case. */
struct rule {
	const char *call;
	unsigned argument;
	scmp_datum_t mask, value;
};

static const struct rule bound_calls[] = {
	/* A name, to look up others from; nothing that could be read or written. */
	{ "openat", 2, O_PATH, O_PATH },
	/* Connections to the opener. */
	{ "socketpair", 1, ALL, SOCK_SEQPACKET | SOCK_CLOEXEC },
	/* Not F_SETOWN and what else has signals sent. */
	{ "fcntl", 1, ALL, F_DUPFD_CLOEXEC },
	{ "fcntl", 1, ALL, F_GETFD },
	{ "fcntl", 1, ALL, F_SETFD },
	{ "fcntl", 1, ALL, F_GETFL },
	{ "fcntl", 1, ALL, F_SETFL },
	{ "fcntl64", 1, ALL, F_DUPFD_CLOEXEC },
	{ "fcntl64", 1, ALL, F_GETFD },
	{ "fcntl64", 1, ALL, F_SETFD },
	{ "fcntl64", 1, ALL, F_GETFL },
	{ "fcntl64", 1, ALL, F_SETFL },
	{ "ioctl", 1, ALL, FIONREAD },
	{ "ioctl", 1, ALL, BLKGETSIZE64 },
	{ "ioctl", 1, ALL, BLKSSZGET },
	/* Where the blocks of an image are, and of what kind (cache/device/clone.h). */
	{ "ioctl", 1, ALL, (uint32_t)FS_IOC_FIEMAP },
	{ "ioctl", 1, ALL, (uint32_t)FS_IOC_FSGETXATTR },
	{ MMAP, 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	/* Threads; no processes, no namespaces. */
	{ "clone", CLONE_FLAGS, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM },
	{ "prctl", 0, ALL, PR_SET_NAME },
	/* Its own limits. */
	{ "prlimit64", 0, ALL, 0 },
	/* What is connected already. With an address and that flag it is a connect(2), of which Landlock knows nothing. */
	{ "sendto", 4, UINT64_MAX, 0 },
	{ "sendmsg", 2, MSG_FASTOPEN, 0 },
	{ "recvfrom", 4, UINT64_MAX, 0 },
};

static const struct rule relay_bound_calls[] = {
	{ MMAP, 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	{ "sendto", 4, UINT64_MAX, 0 },
	{ "sendmsg", 2, MSG_FASTOPEN, 0 },
	{ "recvfrom", 4, UINT64_MAX, 0 },
};

static int allow(scmp_filter_ctx filter, const struct rule *rule)
{
	struct scmp_arg_cmp bound = { rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value };
	int call = seccomp_syscall_resolve_name(rule->call);

	/* A name that this architecture, or an old libseccomp, does not know is not called either. */
	return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, rule->mask != 0, &bound);
}

static int allow_all(scmp_filter_ctx filter, const char *const *calls, size_t count, const struct rule *bound, size_t bound_count)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++)
		error = allow(filter, &(struct rule){ .call = calls[i] });
	for (size_t i = 0; error == 0 && i < bound_count; i++)
		error = allow(filter, &bound[i]);
	return error;
}

static int add_rules(scmp_filter_ctx filter)
{
	/* Threads of this process. */
	const struct rule ours = { "tgkill", 0, ALL, (scmp_datum_t)getpid() };
	int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (error == 0)
		error = allow_all(filter, free_calls, sizeof(free_calls) / sizeof(free_calls[0]), bound_calls,
				  sizeof(bound_calls) / sizeof(bound_calls[0]));
	if (error == 0)
		error = allow(filter, &ours);
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CACHESTAT, 0);
	/* Its flags cannot be seen: the C library then calls clone. */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name("clone3"), 0);
	return error;
}

static int load_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = filter ? add_rules(filter) : -ENOMEM;

	/* pthread_cancel, by which libfuse ends its threads, loads it at its first use. */
	if (error == 0 && !dlopen("libgcc_s.so.1", RTLD_NOW))
		error = -ENOENT;
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

static void filter_calls(void)
{
	int error = load_filter();
	char why[128];

	if (error == 0) {
		add(&in_force, "seccomp");
		return;
	}
	snprintf(why, sizeof(why), "seccomp (%s)", strerror(-error));
	add(&missing, why);
}

/* False without memory for it; where the kernel has no filters there is none, as status says of the daemon. */
static bool filter_relay(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool made = filter && allow_all(filter, relay_calls, sizeof(relay_calls) / sizeof(relay_calls[0]), relay_bound_calls,
					sizeof(relay_bound_calls) / sizeof(relay_bound_calls[0])) == 0;

	if (made && seccomp_load(filter) == -ENOMEM)
		made = false;
	seccomp_release(filter);
	return made;
}

#else

static void filter_calls(void)
{
	add(&missing, "seccomp (built without libseccomp)");
}

static bool filter_relay(void)
{
	return true;
}

#endif

/* ---- all of it ------------------------------------------------------------------ */

static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &header, data) != 0 || data[0].permitted != 0 || data[1].permitted != 0;
}

static void say_who(void)
{
	char user[64];

	snprintf(user, sizeof(user), "user %u", (unsigned)getuid());
	add(getuid() != 0 ? &in_force : &missing, getuid() != 0 ? user : "a user of its own");
	add(has_capabilities() ? &missing : &in_force, "no capabilities");
	add(&in_force, "images are opened by another process");
}

void confine(void)
{
	long landlock = restrict_files(TO_READ);
	char version[32];

	say_who();
	snprintf(version, sizeof(version), "Landlock %ld", landlock);
	add(landlock > 0 ? &in_force : &missing, landlock > 0 ? version : "Landlock");
	/* From now on none can be made. */
	if (ring_available())
		add(&in_force, "io_uring for reading only");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		add(&in_force, "no_new_privs");
	else
		add(&missing, "no_new_privs");
	filter_calls();
}

bool confine_relay(void)
{
	restrict_files(0);
	return filter_relay();
}

const char *confine_in_force(void)
{
	return in_force;
}

const char *confine_missing(void)
{
	return missing;
}
