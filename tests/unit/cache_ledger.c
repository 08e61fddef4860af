/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/changes/ledger.c: whose memory is shared, and whose is not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/changes/ledger.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* A memfd with a ledger in it, mapped for the one who posts. */
static int offer(size_t size_bytes, int seals, uint64_t magic, int64_t made_ns, unsigned flags, struct ledger **mapped)
{
	int fd = memfd_create("ledger", MFD_ALLOW_SEALING | flags);
	struct ledger *ledger;

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size_bytes), 0);
	ledger = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(ledger, MAP_FAILED);
	atomic_store(&ledger->magic, magic);
	atomic_store(&ledger->made_ns, (uint64_t)made_ns);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	if (mapped)
		*mapped = ledger;
	return fd;
}

static int share(int fd)
{
	struct ledger *ledger;
	int error = ledger_share(getpid(), (uint64_t)fd, clock_now_ns(CLOCK_MONOTONIC), &ledger);

	if (error == 0)
		ledger_unshare(ledger);
	return error;
}

Test(cache_ledger, what_one_posts_the_other_sees)
{
	struct ledger *theirs, *ours;
	int fd = offer(sizeof(*ours), SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, &theirs);

	cr_assert_eq(ledger_share(getpid(), (uint64_t)fd, clock_now_ns(CLOCK_MONOTONIC), &ours), 0);
	cr_expect_eq(ledger_posted(ours), 0);
	ledger_post(theirs, 7, 4096, 512, 99);
	cr_expect_eq(ledger_posted(ours), 1);
	cr_expect_eq(ours->records[0].id, 7);
	cr_expect_eq(ours->records[0].offset_bytes, 4096);
	cr_expect_eq(ours->records[0].length_bytes, 512);
	cr_expect_eq(ledger_untaken(theirs), 1);
	atomic_store(&ours->taken, 1);
	cr_expect_eq(ledger_untaken(theirs), 0);

	cr_expect_not(ledger_is_watched(theirs, 0, UINT32_MAX));
	ledger_watch(ours, 4096, 8192);
	cr_expect_not(ledger_is_watched(theirs, 0, 4096));
	cr_expect(ledger_is_watched(theirs, 0, 4097));
	cr_expect(ledger_is_watched(theirs, 8191, 1));
	cr_expect_not(ledger_is_watched(theirs, 8192, 1));
	ledger_unshare(ours);
}

Test(cache_ledger, s1_what_could_go_away_under_the_reader_is_not_shared)
{
	size_t size = sizeof(struct ledger);

	cr_expect_eq(share(offer(size, F_SEAL_SHRINK, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size, 0, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size - 4096, SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size + 4096, SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size, SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), 0);
}

Test(cache_ledger, s1_files_that_are_no_memory_are_not_shared)
{
	char path[] = "/tmp/cache_ledger.XXXXXX";
	int file = mkstemp(path), pipes[2];

	unlink(path);
	cr_assert_eq(pipe(pipes), 0);
	cr_expect_eq(share(open("/dev/null", O_RDWR)), -EPROTO);
	cr_expect_eq(share(pipes[0]), -EPROTO);
	cr_expect_eq(share(file), -EPROTO);
	cr_expect_eq(share(-1), -EPROTO);
	cr_expect_eq(share(1 << 20), -EBADF);
}

Test(cache_ledger, c5_another_magic_or_another_clock_is_no_ledger)
{
	size_t size = sizeof(struct ledger);

	cr_expect_eq(share(offer(size, SEALS, LEDGER_MAGIC + 1, clock_now_ns(CLOCK_MONOTONIC), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size, SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC) + INT64_C(60000000000), 0, NULL)), -EPROTO);
	cr_expect_eq(share(offer(size, SEALS, LEDGER_MAGIC, clock_now_ns(CLOCK_MONOTONIC) - INT64_C(60000000000), 0, NULL)), -EPROTO);
}

Test(cache_ledger, of_a_process_that_is_gone_there_is_none)
{
	pid_t child = fork();
	struct ledger *ledger;

	if (child == 0)
		_exit(0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(ledger_share(child, 3, clock_now_ns(CLOCK_MONOTONIC), &ledger), -ESRCH);
}
