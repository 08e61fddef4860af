/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/board.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

static const struct step *step_of(const struct board *board)
{
	return &board->world->sequence->steps[board->step];
}

static bool asks_with_prefix(const struct board *board, const struct step *step)
{
	return board->prefixed && step->kind != STEP_ROM;
}

/* The path of a step. False: too long. */
static bool path_of(const struct board *board, const struct step *step, char path[PATH_MAX])
{
	int length;

	if (asks_with_prefix(board, step))
		length = snprintf(path, PATH_MAX, "%s%.*s%s", board->name, (int)board->slashes, "////////",
				  step->name);
	else
		length = snprintf(path, PATH_MAX, "%s", step->name);
	return length < PATH_MAX;
}

static void power_on(struct board *board, int64_t now_ns)
{
	board->step = 0;
	board->prefixed = *board->name != '\0';
	board->blksize_bytes = board->world->blksize_bytes;
	board->slashes = 1;
	board->fetching = false;
	board->boot_ns = now_ns;
}

static void finish(struct board *board)
{
	board->done = true;
	board->world->booting--;
}

/* ---- asking --------------------------------------------------------------- */

static int listen_to(const struct board_world *world, struct transfer *transfer)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = transfer };

	return epoll_ctl(world->epoll_fd, EPOLL_CTL_ADD, transfer->fd, &event) == 0 ? 0 : -errno;
}

/* Whether the request is out. */
static bool ask(struct board *board, struct transfer *transfer, bool probe, int64_t now_ns)
{
	struct board_world *world = board->world;
	const struct step *step = step_of(board);
	char path[PATH_MAX];
	struct transfer_request request = {
		.path = path,
		.probe = probe,
		.options = step->kind != STEP_ROM,
		.blksize_bytes = board->blksize_bytes,
		.patience_ns = world->patience_ns,
	};
	int result = -ENAMETOOLONG;

	transfer->owner = board;
	world->figures->requests++;
	if (path_of(board, step, path))
		result = transfer_start(transfer, world->server, &request, now_ns);
	if (result == 0) {
		result = listen_to(world, transfer);
		if (result == 0)
			return true;
		transfer_release(transfer);
	}
	figures_blame(world->figures, &world->figures->local, step->name, strerror(-result));
	return false;
}

/* From the step it is at to the next request, to the next round if there is no other, to the end. */
static void run(struct board *board, int64_t now_ns)
{
	const struct sequence *sequence = board->world->sequence;

	for (;;) {
		const struct step *step = step_of(board);

		if (board->step == sequence->count) {
			figures_take(board->world->figures, TIME_BOOT, board->boot_ns, now_ns);
			board->world->figures->boots++;
			if (--board->rounds == 0) {
				finish(board);
				return;
			}
			power_on(board, now_ns);
			continue;
		}
		if (step->kind == STEP_BLKSIZE && board->world->blksize_bytes == 0)
			board->blksize_bytes = step->number;
		else if (step->kind == STEP_SLASHES)
			board->slashes = step->number;
		else if (step->kind != STEP_BLKSIZE && (step->kind != STEP_PREFIX || board->prefixed) &&
			 ask(board, board_transfer(board),
			     step->kind == STEP_PREFIX || step->kind == STEP_PROBE || step->kind == STEP_FILE,
			     now_ns))
			return;
		board->step++;
	}
}

/* ---- answers -------------------------------------------------------------- */

static void count_whole(struct board *board, const struct transfer *transfer, const struct truth_asked *asked)
{
	struct figures *figures = board->world->figures;
	int result = 0;

	if (transfer->probe) {
		figures->probed++;
		if (transfer->options.has_tsize)
			result = truth_take_size(board->world->truth, asked, transfer->options.tsize_bytes,
						 figures);
	} else {
		figures->whole++;
		figures_take(figures, TIME_FIRST_BYTE, transfer->asked_ns, transfer->first_byte_ns);
		figures_take(figures, TIME_WHOLE, transfer->asked_ns, transfer->ended_ns);
		result = truth_take_file(board->world->truth, asked, transfer_hash(transfer), transfer->bytes,
					 figures);
	}
	if (result != 0)
		figures_blame(figures, &figures->local, asked->path, strerror(-result));
}

static void count_absent(struct board *board, const struct truth_asked *asked)
{
	struct figures *figures = board->world->figures;

	figures->absent++;
	if (step_of(board)->kind == STEP_WANTED)
		figures_blame(figures, &figures->missing, asked->path, "not found");
	else if (truth_take_absent(board->world->truth, asked) != 0)
		figures_blame(figures, &figures->local, asked->path, strerror(ENOMEM));
}

static void count(struct board *board, const struct transfer *transfer)
{
	const struct step *step = step_of(board);
	struct figures *figures = board->world->figures;
	const struct truth_asked asked = {
		.path = transfer->path,
		.board = board->name,
		.name = step->name,
		.guess = step->kind == STEP_ROM || step->kind == STEP_PREFIX,
	};

	figures->resent += transfer->resent;
	figures->duplicates += transfer->duplicates;
	figures->bytes += transfer->bytes;
	if (transfer->answered_ns != 0)
		figures_take(figures, TIME_ANSWER, transfer->asked_ns, transfer->answered_ns);
	if (transfer->end == TRANSFER_WHOLE)
		count_whole(board, transfer, &asked);
	else if (transfer->end == TRANSFER_ABSENT)
		count_absent(board, &asked);
	else
		figures_blame(figures,
			      transfer->end == TRANSFER_REFUSED	 ? &figures->refused
			      : transfer->end == TRANSFER_CUT	 ? &figures->cut
			      : transfer->end == TRANSFER_SILENT ? &figures->silent
								 : &figures->invalid,
			      transfer->path, transfer->why);
}

/* Which step is next, now that this one was answered. */
static void advance(struct board *board, bool there)
{
	const struct step *step = step_of(board);

	if (step->kind == STEP_PREFIX && there) {
		board->step += step->names;
		return;
	}
	if (step->kind == STEP_PREFIX && step->names == 1)
		board->prefixed = false; /* none of them: the firmware drops the prefix for good */
	board->step++;
}

void board_go_on(struct board *board, int64_t now_ns)
{
	struct transfer *transfer = board_transfer(board);
	bool there = transfer->end == TRANSFER_WHOLE, silent = transfer->end == TRANSFER_SILENT;
	bool fetches = there && step_of(board)->kind == STEP_FILE && !board->fetching;

	if (transfer->end == TRANSFER_GOES_ON)
		return;
	count(board, transfer);
	if (fetches) { /* from the next port, before the probe's end is told */
		board->fetching = ask(board, &board->transfers[!board->out], false, now_ns);
		board->out = board->fetching ? !board->out : board->out;
	} else {
		board->fetching = false;
	}
	if (transfer->probe && there)
		transfer_end_early(transfer);
	transfer_release(transfer);
	if (silent) {
		finish(board);
		return;
	}
	if (board->fetching)
		return;
	advance(board, there);
	run(board, now_ns);
}

void board_start(struct board *board, int64_t now_ns)
{
	board->on = true;
	power_on(board, now_ns);
	run(board, now_ns);
}

void board_stop(struct board *board)
{
	if (!board->on || board->done)
		return;
	transfer_release(board_transfer(board));
	finish(board);
}
