/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A journal brings an image from any mixture of old and new sectors to the new version, and touches no other.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/prep/file_source.h"
#include "tools/prep/journal.h"

#define SECTORS 64
#define BYTES ((size_t)SECTORS * JOURNAL_SECTOR_BYTES)

static char directory[] = "/tmp/imagefs-journal-XXXXXX", path[64];
static int image, copy;
static unsigned char old[BYTES], new[BYTES];

/* Sectors 4..11 and 20..27 are new, 40..43 as well and already placed. */
static const struct journal_record records[] = {
	{ 4 * JOURNAL_SECTOR_BYTES, 8 * JOURNAL_SECTOR_BYTES, false },
	{ 20 * JOURNAL_SECTOR_BYTES, 8 * JOURNAL_SECTOR_BYTES, false },
	{ 40 * JOURNAL_SECTOR_BYTES, 4 * JOURNAL_SECTOR_BYTES, true },
};
#define COUNT (sizeof(records) / sizeof(records[0]))

static void setup(void)
{
	cr_assert(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/journal", directory);
	image = memfd_create("image", MFD_CLOEXEC);
	copy = memfd_create("copy", MFD_CLOEXEC);
	for (size_t i = 0; i < BYTES; i++)
		old[i] = new[i] = (unsigned char)(i * 7 + i / 512);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t at = 0; at < records[i].length_bytes; at++)
			new[records[i].offset_bytes + at] ^= 0x5a;
	memcpy(old + 40 * JOURNAL_SECTOR_BYTES, new + 40 * JOURNAL_SECTOR_BYTES,
	       (size_t)4 * JOURNAL_SECTOR_BYTES);
	cr_assert(eq(int, file_write_all(image, 0, old, BYTES), 0));
	cr_assert(eq(int, file_write_all(copy, 0, new, BYTES), 0));
	cr_assert(eq(int, journal_write(path, image, copy, 0, records, COUNT), 0));
}

static void teardown(void)
{
	close(image);
	close(copy);
	unlink(path);
	cr_expect(eq(int, rmdir(directory), 0));
}

TestSuite(prep_journal, .init = setup, .fini = teardown);

static bool has(const unsigned char *bytes)
{
	unsigned char now[BYTES];

	return file_read_all(image, 0, now, BYTES) == 0 && memcmp(now, bytes, BYTES) == 0;
}

static void put_sector(size_t sector, const unsigned char *bytes)
{
	cr_assert(eq(int,
		     file_write_all(image, sector * JOURNAL_SECTOR_BYTES,
				    bytes + sector * JOURNAL_SECTOR_BYTES, JOURNAL_SECTOR_BYTES),
		     0));
}

Test(prep_journal, every_mixture_becomes_the_new_version)
{
	for (unsigned seed = 1; seed < 50; seed++) {
		bool done;

		srand(seed);
		for (size_t sector = 0; sector < SECTORS; sector++)
			put_sector(sector, rand() % 2 ? old : new);
		cr_assert(eq(int, journal_write(path, copy, copy, 0, records, 0),
			     0)); /* another, which is replaced */
		cr_assert(eq(int, file_write_all(image, 0, old, BYTES), 0));
		cr_assert(eq(int, journal_write(path, image, copy, 0, records, COUNT), 0));
		for (size_t sector = 0; sector < SECTORS; sector++)
			put_sector(sector, rand() % 2 ? old : new);
		cr_assert(eq(int, journal_apply(path, image, &done), 0), "seed %u", seed);
		cr_assert(done && has(new), "seed %u", seed);
		cr_assert(access(path, F_OK) != 0, "it is still there");
	}
}

Test(prep_journal, what_somebody_else_wrote_stays)
{
	static const size_t sectors[] = { 4, 11, 27, 41 };

	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		unsigned char other[BYTES];
		bool done;

		memcpy(other, old, BYTES);
		other[sectors[i] * JOURNAL_SECTOR_BYTES + 100] ^= 1;
		cr_assert(eq(int, file_write_all(image, 0, other, BYTES), 0));
		cr_expect(eq(int, journal_apply(path, image, &done), -EUCLEAN), "sector %zu", sectors[i]);
		cr_expect(has(other), "sector %zu", sectors[i]);
		cr_expect(access(path, F_OK) == 0);
	}
}

Test(prep_journal, a_damaged_one_does_nothing)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	bool done;

	for (off_t at = 0; at < size; at += at < 200 ? 1 : 97) {
		unsigned char byte, wrong;

		cr_assert(eq(int, file_read_all(fd, (uint64_t)at, &byte, 1), 0));
		wrong = (unsigned char)(byte ^ 0x81);
		cr_assert(eq(int, file_write_all(fd, (uint64_t)at, &wrong, 1), 0));
		cr_expect(journal_apply(path, image, &done) != 0, "byte %lld", (long long)at);
		cr_expect(has(old), "byte %lld", (long long)at);
		cr_assert(eq(int, file_write_all(fd, (uint64_t)at, &byte, 1), 0));
	}
	cr_assert(eq(int, ftruncate(fd, size - 1), 0));
	cr_expect(journal_apply(path, image, &done) != 0);
	cr_expect(has(old));
	close(fd);
}

Test(prep_journal, none_is_none)
{
	bool done;

	unlink(path);
	cr_expect(eq(int, journal_apply(path, image, &done), 0));
	cr_expect(not(done));
	cr_expect(has(old));
}
