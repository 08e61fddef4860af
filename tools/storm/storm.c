/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/storm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/storm/board.h"

#define EVENTS_MAX 256
#define TICK_NS INT64_C(20000000)

static int64_t now(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

/* Boards begin at even distances over the window; `started` is how many did. */
static void start_due(struct board *boards, size_t count, size_t *started, int64_t now_ns)
{
	while (*started < count && boards[*started].start_ns <= now_ns)
		board_start(&boards[(*started)++], now());
}

static void tick(struct board *boards, size_t started)
{
	for (size_t i = 0; i < started; i++) {
		int64_t now_ns = now();

		if (boards[i].done)
			continue;
		transfer_tick(board_transfer(&boards[i]), now_ns);
		board_go_on(&boards[i], now_ns);
	}
}

/* The time is taken for each packet: what waited behind others here has waited. */
static void receive(const struct epoll_event *events, int count, char *buffer)
{
	for (int i = 0; i < count; i++) {
		struct transfer *transfer = events[i].data.ptr;
		int64_t now_ns = now();

		transfer_receive(transfer, buffer, now_ns);
		board_go_on(transfer->owner, now_ns);
	}
}

/*
 * A board has one request out whenever we wait, and what it closes is closed before it opens the next: no
 * event is of a transfer that is no more.
 */
static int loop(const struct storm_plan *plan, struct board_world *world, struct board *boards)
{
	static char buffer[PACKET_BYTES_MAX];
	struct epoll_event events[EVENTS_MAX];
	int64_t next_tick_ns = 0;
	size_t started = 0;

	while (world->booting > 0 && !*plan->interrupted) {
		int64_t now_ns = now(), until_ns;
		int count;

		start_due(boards, plan->board_count, &started, now_ns);
		if (now_ns >= next_tick_ns) {
			tick(boards, started);
			next_tick_ns = now_ns + TICK_NS;
		}
		if (world->booting == 0)
			break;
		until_ns = next_tick_ns;
		if (started < plan->board_count && boards[started].start_ns < until_ns)
			until_ns = boards[started].start_ns;
		until_ns -= now();
		count = epoll_wait(world->epoll_fd, events, EVENTS_MAX,
				   until_ns <= 0 ? 0 : (int)((until_ns + 999999) / 1000000));
		if (count < 0 && errno != EINTR)
			return -errno;
		receive(events, count, buffer);
	}
	return 0;
}

int storm_run(const struct storm_plan *plan, struct figures *figures, struct truth *truth)
{
	CLEANUP_FREE struct board *boards = calloc(plan->board_count, sizeof(*boards));
	CLEANUP_FD int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct board_world world = {
		.server = &plan->server,
		.sequence = plan->sequence,
		.figures = figures,
		.truth = truth,
		.epoll_fd = epoll_fd,
		.blksize_bytes = plan->blksize_bytes,
		.patience_ns = plan->patience_ns,
		.booting = plan->board_count,
	};
	int64_t start_ns = now();
	int result;

	if (!boards)
		return -ENOMEM;
	if (epoll_fd < 0)
		return -errno;
	for (size_t i = 0; i < plan->board_count; i++) {
		boards[i] = (struct board){
			.world = &world,
			.name = plan->boards[i],
			.start_ns = start_ns + plan->window_ns / (int64_t)plan->board_count * (int64_t)i,
			.rounds = plan->rounds,
			.transfers = { { .fd = -1 }, { .fd = -1 } },
		};
	}
	result = loop(plan, &world, boards);
	for (size_t i = 0; i < plan->board_count; i++)
		board_stop(&boards[i]);
	figures->seconds = (double)(now() - start_ns) / 1e9;
	return result;
}
