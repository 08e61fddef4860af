/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slow_steps: preloaded (LD_PRELOAD), it gives writers time between the steps in which blocks of clones are read
 * (cache/device/clone.h): before each read(2) of 64 KiB or more, and each question where so much is.
 */
#include <dlfcn.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define MUCH_BYTES (64 << 10)

static void pause_ms(int milliseconds)
{
	nanosleep(&(struct timespec){ .tv_nsec = milliseconds * 1000000L }, NULL);
}

ssize_t pread64(int fd, void *buffer, size_t length_bytes, off64_t offset_bytes)
{
	if (length_bytes >= MUCH_BYTES)
		pause_ms(60);
	return syscall(SYS_pread64, fd, buffer, length_bytes, offset_bytes);
}

int ioctl(int fd, unsigned long request, ...); /* as in sys/ioctl.h, whose own may throw nothing */

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == FS_IOC_FIEMAP && ((struct fiemap *)argument)->fm_start > 0 &&
	    ((struct fiemap *)argument)->fm_length >= MUCH_BYTES)
		pause_ms(20);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
