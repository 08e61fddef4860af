/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse/process/confine.h"

#define BIT(capability) (UINT64_C(1) << (capability))
#define TO_OPEN (BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SYS_ADMIN))
#define TO_CHANGE_USER (BIT(CAP_SETUID) | BIT(CAP_SETGID))

/* Written before there are threads that read them. */
static uid_t wanted_user;
static gid_t wanted_group;

void privileges_run_as(uid_t user, gid_t group)
{
	wanted_user = user;
	wanted_group = group;
}

/* capget(2): version 3 is two structures of 32 bits for each set. */
static int set_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) != 0)
		return -errno;
	data[0].permitted &= (uint32_t)wanted;
	data[1].permitted &= (uint32_t)(wanted >> 32);
	for (int i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

/* What no program could get back, should one ever be run. Without SETPCAP this stays as it is, which does no harm. */
static int close_the_door(uint64_t kept)
{
	for (unsigned capability = 0; capability < 64; capability++)
		if (!(BIT(capability) & kept))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

static int drop_but(uint64_t kept)
{
	int error = close_the_door(0);

	return error != 0 ? error : set_capabilities(kept);
}

/* The C library has every thread do it; from 0 to another user, the kernel takes all capabilities away. */
static int change_user(void)
{
	if (setgroups(0, NULL) != 0 || setresgid(wanted_group, wanted_group, wanted_group) != 0 ||
	    setresuid(wanted_user, wanted_user, wanted_user) != 0)
		return -errno;
	return 0;
}

int privileges_drop(void)
{
	int error = drop_but(wanted_user != 0 ? TO_CHANGE_USER : 0);

	if (error == 0 && wanted_user != 0)
		error = change_user();
	set_capabilities(0);
	return error;
}

struct starting {
	int (*start)(void *context);
	void *context;
	int result;
};

static void *start_without(void *argument)
{
	struct starting *starting = argument;

	starting->result = drop_but(wanted_user != 0 ? TO_CHANGE_USER : 0);
	confine_files();
	if (starting->result == 0)
		starting->result = starting->start(starting->context);
	return NULL;
}

int privileges_start_without(int (*start)(void *context), void *context)
{
	struct starting starting = { .start = start, .context = context };
	pthread_t thread;
	int error = pthread_create(&thread, NULL, start_without, &starting);

	if (error != 0)
		return -error;
	pthread_join(thread, NULL);
	return starting.result;
}

void privileges_keep(void)
{
	if (geteuid() != 0)
		return; /* fusermount3 is root by its file */
	close_the_door(TO_OPEN);
	set_capabilities(TO_OPEN);
}

int privileges_keep_for_relays(void)
{
	int error = drop_but(BIT(CAP_DAC_READ_SEARCH) | (wanted_user != 0 ? TO_CHANGE_USER : 0));

	/* As another user one keeps what is permitted, if one says so. */
	if (error == 0 && wanted_user != 0)
		error = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? change_user() : -errno;
	return error != 0 ? error : set_capabilities(BIT(CAP_DAC_READ_SEARCH));
}

int privileges_drop_last(void)
{
	return drop_but(0);
}
