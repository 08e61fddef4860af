/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deny: run a program to which the kernel refuses some system calls, as seccomp filters of
 * containers do, or as if a limit of the system were reached.
 *
 *   deny ERRNO SYSCALL... -- COMMAND [ARGUMENTS]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 16

static const struct {
	const char *name;
	unsigned number;
} known[] = {
	{ "fanotify_init", SYS_fanotify_init },
	{ "inotify_init1", SYS_inotify_init1 },
	{ "inotify_add_watch", SYS_inotify_add_watch },
	{ "io_uring_setup", SYS_io_uring_setup },
	{ "statx", SYS_statx },
};

static unsigned number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].number;
	fprintf(stderr, "deny: %s: not known here\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sock_filter filter[CALLS_MAX + 3];
	struct sock_fprog program = { .filter = filter };
	int calls = 0;

	while (calls < CALLS_MAX && calls + 2 < argc && strcmp(argv[calls + 2], "--") != 0)
		calls++;
	if (calls + 3 >= argc || strcmp(argv[calls + 2], "--") != 0) {
		fprintf(stderr, "usage: deny ERRNO SYSCALL... -- COMMAND [ARGUMENTS]\n");
		return 2;
	}
	filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < calls; i++)
		filter[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(argv[i + 2]),
								     (unsigned char)(calls - i), 0);
	filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)) {
		perror("deny: seccomp");
		return 77;
	}
	execvp(argv[calls + 3], argv + calls + 3);
	perror(argv[calls + 3]);
	return 1;
}
