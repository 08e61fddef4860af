/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image that is listened to: a file in a directory of its own, whose writes the kernel tells to a write log.
 * Root, Linux 6.14; skipped elsewhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/changes/guard.h"
#include "cache/changes/kernel.h"
#include "cache/changes/write_log.h"

#define IMAGE_BYTES ((size_t)1 << 20)

extern char source[64], elsewhere[64], path[96]; /* the directory, another one, and the image in the first */
extern struct kernel_events *events;
extern struct write_log *told;
extern int before_fd; /* opened before there was a mark */
extern int writer_fd; /* opened after it */
extern int image_fd;  /* the feed's */
extern _Atomic int64_t jumped_ns; /* the log's clock can be put forward */

/* For a suite: the image, and a first look at it; the other one as if Linux was 6.16 (cache/changes/marks.h). */
void kernel_image_start(void);
void kernel_image_start_as_before(void);

/* The suites are cache_kernel.c's. */
#define EACH_TEST(name)                                                                                                \
	static void name(void);                                                                                        \
	Test(cache_kernel, name)                                                                                       \
	{                                                                                                              \
		name();                                                                                                \
	}                                                                                                              \
	Test(cache_kernel_before, name)                                                                                \
	{                                                                                                              \
		name();                                                                                                \
	}                                                                                                              \
	static void name(void)

/* ---- files, and who else listens ---- */

void make_file(const char *name); /* of IMAGE_BYTES times 'o' */
int open_rw(const char *name);
void write_at(int fd, uint64_t offset_bytes, size_t length_bytes, char byte);
struct kernel_events *start_events(void); /* as another daemon on the directory */
struct write_log *feed_of(struct kernel_events *of, int fd);

/* ---- what is told ---- */

/*
 * A look, as the image does it. The device under it saw something, as it does of every write, so that the kernel's
 * events are asked for, and not when.
 */
struct cache_observation look_at(struct write_log *log);
struct cache_observation look(void); /* at the image */

struct write_log_status status_of(struct write_log *log);
uint64_t announced(void); /* so many announcements, of reads too */

#define IMAGE_RANGES 2048
extern struct cache_range ranges[IMAGE_RANGES]; /* of the last changes_since(), */
extern size_t in_flight;			   /* and so many of them may be written just now */
int changes_since(uint64_t generation);

bool is_told(void);	   /* does a write raise an event? */
bool becomes_silent(void); /* the thread sweeps once a second */

/* ---- who reads ---- */

/* The image through a silent descriptor; and a guard of a file that is one piece of a device. */
struct cache_device *open_device(void);
struct guard *guard_of(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes);

/* ---- marks ---- */

/* FAN_MARK_EVICTABLE, and that it stays when it is modified: such a mark keeps no inode in memory. */
#define KEEPS_NOTHING " mflags:240 mask:0 "

/* How many fanotify marks of this process are on the inode, with that text in their line. */
unsigned marks_of(uint64_t inode, const char *text);

/* Of a file that is no image: does it raise no events; and will it not soon, after one? */
bool is_at_rest(ino_t inode);
bool becomes_ignored(ino_t inode);

/* The next event of a file that nobody looks at is one that has it rest. */
void have_it_heeded(int fd);
