/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One writer and several readers in real time on a real file, over the real
 * disk.c: what no device in memory shows (races between threads, the kernel's
 * events and times). ThreadSanitizer watches it in the `tsan` build, where
 * Criterion cannot start: so this one is a plain program.
 *
 * Every content says which generation of the file it is, in all of its sectors,
 * so that a reader knows what it read. The writer raises `written` when an
 * update is done, before it starts the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cache/device/disk.h"
#include "cache/device/watch.h"
#include "cache_reader.h"
#include "cache_volume.h"

#define READERS 3
#define CLUSTER 65536U
#define FILE_BYTES 250000U
#define FLUX_NS (20 * MS)
#define RUN_NS (3 * SECOND)

static int writer_fd;
static struct small_volume volume;
static struct cache *cache;
static struct cache_image *image;
static atomic_bool stop;
static _Atomic unsigned written; /* updates done */
static _Atomic unsigned fetched, refused, torn, stale;

#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static void sleep_ns(int64_t duration_ns)
{
	nanosleep(&(struct timespec){ duration_ns / SECOND, duration_ns % SECOND }, NULL);
}

/* ---- writer -------------------------------------------------------------- */

static void put(uint64_t offset_bytes, const void *from, size_t length_bytes)
{
	MUST(pwrite(writer_fd, from, length_bytes, (off_t)offset_bytes) == (ssize_t)length_bytes);
}

/* In place, or into other clusters: the entry's size and time stay the same. */
static void write_update(unsigned update)
{
	static const uint32_t chains[2][4] = { { 2, 3, 5, 7 }, { 9, 11, 10, 12 } };
	const uint32_t *chain = chains[update / 2 % 2];
	static unsigned char content[4 * CLUSTER];

	for (size_t at = 0; at < sizeof(content); at += 512)
		put_le32(content + at, update);
	for (unsigned i = 0; i < 4; i++)
		put(small_volume_offset(&volume, chain[i]), content + i * CLUSTER, CLUSTER);
	fat_image_chain(volume.fat, chain, 4);
	fat_image_entry(fat_image_root(volume.fat), "FILE    BIN", 0x20, chain[0], FILE_BYTES);
	put(VOLUME_FAT_OFFSET, volume.bytes + VOLUME_FAT_OFFSET, 4096);
	put(VOLUME_ROOT_OFFSET, volume.bytes + VOLUME_ROOT_OFFSET, 4096);
}

static void *write_all_the_time(void *unused)
{
	(void)unused;
	/* Ends with the run. */
	for (unsigned update = 1; !atomic_load(&stop); update++) {
		write_update(update);
		atomic_store(&written, update);
		/* Now in the midst of the flux time, now beyond it. */
		sleep_ns((update % 5) * FLUX_NS / 2);
	}
	return NULL;
}

/* ---- readers ------------------------------------------------------------- */

/* Which update a content is of; -1: of more than one. */
static long update_of(const unsigned char *content)
{
	uint32_t update = get_le32(content);

	for (size_t at = 0; at + 4 <= FILE_BYTES; at += 512)
		if (get_le32(content + at) != update)
			return -1;
	return update;
}

static void *read_all_the_time(void *argument)
{
	struct reader reader = { .cache = cache, .image = image, .patience_ns = SECOND };
	const size_t piece_bytes = 20000 + (size_t)argument * 70000;

	reader.never_keeps = (size_t)argument % 2;
	while (!atomic_load(&stop)) {
		struct cache_attributes attributes;
		unsigned least = atomic_load(&written);
		unsigned char *content;
		int error = reader_fetch(&reader, "file.bin", piece_bytes, &content, &attributes);
		long update;

		if (error != 0) {
			atomic_fetch_add(&refused, 1);
			MUST(error == -EIO || error == -ESTALE);
			continue;
		}
		update = update_of(content);
		free(content);
		atomic_fetch_add(&fetched, 1);
		if (update < 0)
			atomic_fetch_add(&torn, 1);
		else if ((unsigned long)update < least)
			atomic_fetch_add(&stale, 1);
	}
	return NULL;
}

/* ---- both ---------------------------------------------------------------- */

static void run_threads(const char *what, bool believe_nothing, uint64_t keep_limit_bytes)
{
	char name[] = "/var/tmp/cache_threads.XXXXXX", path[32];
	struct disk_options options = { .believe_nothing = believe_nothing, .ctime_lag_ns = 100 * MS };
	struct cache_settings settings = cache_settings_default;
	struct cache_device *device;
	struct watch *watch;
	pthread_t threads[READERS + 1];
	int64_t end_ns = now_ns() + RUN_NS;

	atomic_store(&stop, false);
	written = fetched = refused = 0;
	writer_fd = mkstemp(name);
	MUST(writer_fd >= 0);
	unlink(name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer_fd);
	volume = small_volume_new(CLUSTER);
	put(0, volume.bytes, volume.size_bytes);
	write_update(0);
	MUST(watch_new(&watch) == 0);
	MUST(disk_new(open(path, O_RDONLY), watch, &options, &device) == 0);
	settings.settle_ns = FLUX_NS;
	settings.keep_limit_bytes = keep_limit_bytes;
	settings.temporary_directory = "/tmp";
	cache = cache_new(&settings);
	MUST(cache_image_new(cache, device, 0, &image) == 0);

	pthread_create(&threads[0], NULL, write_all_the_time, NULL);
	for (size_t i = 1; i <= READERS; i++)
		pthread_create(&threads[i], NULL, read_all_the_time, (void *)i);
	while (now_ns() < end_ns)
		sleep_ns(10 * MS);
	atomic_store(&stop, true);
	for (size_t i = 0; i <= READERS; i++)
		pthread_join(threads[i], NULL);

	fprintf(stderr, "%s: %u updates, %u fetched, %u refused, %u torn, %u stale\n", what, written, fetched,
		refused, torn, stale);
	MUST(torn == 0 && stale == 0 && fetched > 0);
	cache_image_put(image);
	cache_free(cache);
	watch_free(watch);
	close(writer_fd);
	small_volume_free(&volume);
}

int main(void)
{
	run_threads("kept", false, 1 << 20);
	run_threads("above the keep limit", false, 1000);
	run_threads("nothing believed", true, 1 << 20);
	return 0;
}
