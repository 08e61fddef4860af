/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))
#define ALWAYS BIT(CAP_DAC_READ_SEARCH)
#define TO_UNMOUNT BIT(CAP_SYS_ADMIN)

/* Written before there are threads that read them. */
static bool dropped; /* by the main thread: those before it were for a thread alone */
static uint64_t effective, permitted;

/* capget(2): version 3 is two structures of 32 bits for each set. */
static int set_capabilities(uint64_t effective_wanted, uint64_t permitted_wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective_wanted, (uint32_t)permitted_wanted, 0 },
		{ (uint32_t)(effective_wanted >> 32), (uint32_t)(permitted_wanted >> 32), 0 },
	};

	return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

static uint64_t permitted_now(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) != 0)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* What no program could get back, should one ever be run. Without SETPCAP this stays as it is, which does no harm. */
static void close_the_door(void)
{
	for (unsigned capability = 0; capability < 64; capability++)
		if (!(BIT(capability) & (ALWAYS | TO_UNMOUNT)))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
}

static int drop(void)
{
	uint64_t now = permitted_now();
	int error;

	if (!(now & TO_UNMOUNT))
		return 0; /* a user: fusermount3 mounts and unmounts for him */
	close_the_door();
	effective = now & ALWAYS;
	permitted = now & (ALWAYS | TO_UNMOUNT);
	error = set_capabilities(effective, permitted);
	if (error != 0)
		return error;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

int privileges_drop(void)
{
	int error = drop();

	dropped = permitted != 0;
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

	starting->result = drop();
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

void privileges_to_unmount(bool wanted)
{
	if (dropped)
		set_capabilities(wanted ? permitted : effective, permitted);
}
