/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boards: what the images say. Each image is looked at once, however many boards have it: its partition, and the command
 * line of its boot partition as `check` sees it. A board with a cmdline.txt of its own (BOARD.d, or the image's IMAGE.d)
 * has that one; which image that names is its administrator's choice, and no mistake.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/tree/cache.h"
#include "tools/ctl.h"
#include "tools/ctl_boards.h"
#include "tools/ctl_check.h"
#include "tools/ctl_image.h"
#include "tools/ctl_nbd.h"
#include "tools/prep/cmdline.h"

#define NBD_PORT "10809"
#define SERVERS_MAX 64 /* that are remembered as silent */

struct looking {
	struct boards *boards;
	char *silent[SERVERS_MAX]; /* "HOST PORT": who did not answer is not waited for again */
	size_t silent_count;
};

/* ---- exports ------------------------------------------------------------------ */

/* Of `nbdroot=HOST:PORT/NAME`, behind the brackets of an IPv6 address as well. */
static void port_of(const struct pi_cmdline *cmdline, char port[8])
{
	const char *bracket = strchr(cmdline->by, ']');
	const char *colon = strncmp(cmdline->by, "nbdroot=", 8) == 0 ? strchr(bracket ? bracket : cmdline->by, ':') : NULL;
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

	strcpy(port, NBD_PORT);
	if (digits > 0 && digits < 6 && colon[1 + digits] == '/')
		snprintf(port, 8, "%.*s", (int)digits, colon + 1);
}

static bool is_silent(const struct looking *looking, const char *server)
{
	for (size_t i = 0; i < looking->silent_count; i++)
		if (strcmp(looking->silent[i], server) == 0)
			return true;
	return false;
}

static void look_at_export(struct looking *looking, struct board *board, const struct pi_cmdline *cmdline)
{
	CLEANUP_FREE char *server = NULL;
	char port[8];
	enum nbd_answer answer;

	/* The server that DHCP names is not known here. */
	if (!*cmdline->host || strcmp(cmdline->host, "dhcp") == 0 || !*cmdline->export)
		return;
	port_of(cmdline, port);
	if (asprintf(&server, "%s %s", cmdline->host, port) < 0) {
		looking->boards->no_memory = true;
		return;
	}
	answer = is_silent(looking, server) ? NBD_SILENT : nbd_ask(cmdline->host, port, cmdline->export);
	if (answer == NBD_MISSING)
		board_complain(looking->boards, board, "%s: %s has no export %s", cmdline->by, cmdline->host, cmdline->export);
	if (answer != NBD_SILENT)
		return;
	board_complain(looking->boards, board, "%s: no NBD server answers there", cmdline->by);
	if (!is_silent(looking, server) && looking->silent_count < SERVERS_MAX)
		looking->silent[looking->silent_count++] = STEAL_POINTER(server);
}

/* ---- where the root is ---------------------------------------------------------- */

static char *root_text(const struct pi_cmdline *cmdline)
{
	const char *value = strchr(cmdline->by, '=');
	char *text;
	int length;

	switch (cmdline->root) {
	case PI_ROOT_NONE:
		return NULL;
	case PI_ROOT_NBD:
		length = asprintf(&text, "nbd %s/%s", cmdline->host, cmdline->export);
		break;
	case PI_ROOT_ISCSI:
		length = asprintf(&text, "iscsi %s", value ? value + 1 : cmdline->by);
		break;
	case PI_ROOT_NFS:
		length = asprintf(&text, "nfs %s", value ? value + 1 : cmdline->by);
		break;
	case PI_ROOT_CARD:
	case PI_ROOT_PARTUUID:
	case PI_ROOT_UUID:
	case PI_ROOT_LABEL:
	case PI_ROOT_OTHER:
	default:
		length = asprintf(&text, "%s", cmdline->root_text);
	}
	return length < 0 ? NULL : text;
}

/* The file of its own, if there is one: own files are in the root of the partition. 0: there is none. */
static size_t read_own(const struct boards *boards, const char *name, const char *file, char *text, size_t room)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;
	struct stat st;
	ssize_t length;

	if (strchr(file, '/') || asprintf(&path, "%s/%s.d/%s", boards->directory, name, file) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	length = read(fd, text, room);
	return length > 0 ? (size_t)length : 0;
}

static bool has_own(const struct boards *boards, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;

	return asprintf(&path, "%s/%s.d", boards->directory, name) >= 0 && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The command line that counts for this board. True: it is its own. */
static bool read_cmdline(const struct boards *boards, const struct board *board, const struct check *check,
			 struct pi_cmdline *cmdline)
{
	const char *file = check->has_cmdline ? check->cmdline_path : "cmdline.txt";
	char text[CMDLINE_BYTES];
	size_t length = 0;

	if (has_own(boards, board->name))
		length = read_own(boards, board->name, file, text, sizeof(text));
	else if (board->partition == CACHE_PARTITION_BOOT)
		length = read_own(boards, board->image, file, text, sizeof(text));
	*cmdline = check->cmdline; /* zero: nothing is known */
	if (length > 0)
		pi_cmdline_read(cmdline, text, length);
	return length > 0;
}

/* ---- one image -------------------------------------------------------------------- */

static bool concerns(const struct finding *finding, bool own)
{
	if (finding->level != FINDING_PROBLEM)
		return false;
	return strcmp(finding->about, "table") == 0 || strcmp(finding->about, "fat") == 0 ||
	       (strcmp(finding->about, "cmdline.txt") == 0 && !own);
}

static void take(struct looking *looking, struct board *board, const struct check *check)
{
	struct pi_cmdline cmdline;
	bool own = read_cmdline(looking->boards, board, check, &cmdline);
	size_t before = board->problem_count;

	board->looked = true;
	if (check->boot)
		board->number = check->boot->number;
	for (size_t i = 0; i < check->finding_count; i++)
		if (concerns(&check->findings[i], own))
			board_complain(looking->boards, board, "%s: %s",
				       strcmp(check->findings[i].about, "cmdline.txt") == 0 ? "cmdline.txt" : board->text,
				       check->findings[i].text);
	board->root = root_text(&cmdline);
	/* Whether another image's export is there does not matter. */
	if (cmdline.root == PI_ROOT_NBD && board->problem_count == before)
		look_at_export(looking, board, &cmdline);
}

static void look_at_image(struct looking *looking, size_t first)
{
	struct boards *boards = looking->boards;
	const struct board *board = &boards->list[first];
	struct check check = { .brief = true, .place = { .partition = board->partition } };
	bool looked = image_stat(board->path, &check.place.st) && image_place_at(&check.place, board->path) == OK;

	if (looked) {
		image_finish_change(&check.place);
		looked = check_run(&check) != USAGE;
	}
	for (size_t i = first; i < boards->count; i++) {
		struct board *other = &boards->list[i];

		if (!other->path || other->looked || other->partition != board->partition ||
		    (i != first && strcmp(other->path, board->path) != 0))
			continue;
		if (looked)
			take(looking, other, &check);
		else
			board_complain(boards, other, "%s: it cannot be looked at", other->text);
		other->looked = true;
	}
	check_end(&check);
}

void boards_look(struct boards *boards)
{
	struct looking looking = { .boards = boards };

	for (size_t i = 0; i < boards->count; i++) {
		struct board *board = &boards->list[i];

		if (board->path && !board->looked)
			look_at_image(&looking, i);
	}
	for (size_t i = 0; i < looking.silent_count; i++)
		free(looking.silent[i]);
}
