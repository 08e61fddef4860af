/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tftp-storm: many Raspberry Pis that boot at once, for a TFTP server: does it serve every byte right, how
 * fast, and how long does the slowest board wait?
 *
 * What is asked for and in which order is sequence.h's matter, how a board goes through it board.h's; here
 * are the options and the exit status.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tools/storm/names.h"
#include "tools/storm/storm.h"

enum { FINE = 0, WRONG = 1, MISUSED = 2 };

#define BOARDS_MAX 20000
#define FILE_BLKSIZE 1468 /* what a Pi's firmware asks for since 2022-10 */

struct arguments {
	struct names boards;
	struct sequence sequence; /* of --file; else empty */
	const char *model, *sequence_file, *pattern, *found_in, *against, *host, *port;
	unsigned long count, rounds, blksize_bytes;
	double window_seconds, patience_seconds;
	bool json;
};

static const struct option long_options[] = {
	{ "against", required_argument, NULL, 'a' },
	{ "board", required_argument, NULL, 'b' },
	{ "boards", required_argument, NULL, 'n' },
	{ "pattern", required_argument, NULL, 'p' },
	{ "boards-in", required_argument, NULL, 'i' },
	{ "model", required_argument, NULL, 'm' },
	{ "sequence", required_argument, NULL, 's' },
	{ "file", required_argument, NULL, 'f' },
	{ "blksize", required_argument, NULL, 'B' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "window", required_argument, NULL, 'w' },
	{ "timeout", required_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("usage: tftp-storm [options] HOST [PORT]\n"
	       "\n"
	       "Boots many Raspberry Pis at once from the TFTP server HOST, in their firmware's order and "
	       "with its\n"
	       "options; checks what comes, and says how fast it came.\n"
	       "\n"
	       "  -b, --board NAME      a board, by what it asks with: its serial, its MAC; as often as "
	       "there are\n"
	       "  -n, --boards N        so many\n"
	       "  -p, --pattern TEXT    their names: # is the number (########); without #: all the same; "
	       "'': none\n"
	       "  -i, --boards-in DIR   one for each directory in DIR\n"
	       "  -m, --model 3|4|5     which Pi they are (4)\n"
	       "  -s, --sequence FILE   what they ask for, in its order\n"
	       "  -f, --file NAME       they do not boot, they fetch this; as often as there are\n"
	       "  -B, --blksize N       ask for blocks of so many bytes (with --file 1468)\n"
	       "  -r, --rounds N        each boots so often (1)\n"
	       "  -w, --window SECONDS  they begin spread over so long (0)\n"
	       "  -t, --timeout SECONDS nothing new for so long: the file is over (10)\n"
	       "  -a, --against DIR     the true files: those of the server, or of every board\n"
	       "  -j, --json            the report as JSON\n"
	       "  -h, --help            this text\n"
	       "  -V, --version         the version\n"
	       "\n"
	       "Exit status: 0 every file was right; 1 one was wrong, cut off or never came; 2 wrong usage.\n"
	       "See tftp-storm(1).\n");
}

static int misused(const char *what, const char *why)
{
	fputs("tftp-storm: ", stderr);
	text_write_plain(stderr, what);
	fprintf(stderr, "%s%s (see tftp-storm --help)\n", *what ? ": " : "", why);
	return MISUSED;
}

static int fail(const char *what, const char *why)
{
	fputs("tftp-storm: ", stderr);
	text_write_plain(stderr, what);
	fprintf(stderr, ": %s\n", why);
	return WRONG;
}

/* ---- options -------------------------------------------------------------- */

static int read_number(const char *text, unsigned long least, unsigned long most, unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *number < least || *number > most)
		return misused(text, "is no number, or out of range");
	return FINE;
}

static int read_seconds(const char *text, double least, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	if (end == text || *end || !isfinite(*seconds) || *seconds < least || *seconds > 86400)
		return misused(text, "is no number of seconds, or out of range");
	return FINE;
}

static int add_name(struct arguments *arguments, const char *name)
{
	if (!*name)
		return misused("--board", "needs a name");
	return names_add(&arguments->boards, name) == 0 ? FINE : fail(name, strerror(ENOMEM));
}

static int add_file(struct arguments *arguments, const char *name)
{
	if (!*name)
		return misused("--file", "needs a name");
	return sequence_add(&arguments->sequence, STEP_WANTED, name, 0) == 0 ? FINE
									     : fail(name, strerror(ENOMEM));
}

static int read_option(struct arguments *arguments, int option)
{
	switch (option) {
	case 'a':
		arguments->against = optarg;
		return FINE;
	case 'b':
		return add_name(arguments, optarg);
	case 'n':
		return read_number(optarg, 1, BOARDS_MAX, &arguments->count);
	case 'p':
		arguments->pattern = optarg;
		return FINE;
	case 'i':
		arguments->found_in = optarg;
		return FINE;
	case 'm':
		arguments->model = optarg;
		return sequence_of_model(optarg) ? FINE : misused(optarg, "no such model: 3, 4 or 5");
	case 's':
		arguments->sequence_file = optarg;
		return FINE;
	case 'f':
		return add_file(arguments, optarg);
	case 'B':
		return read_number(optarg, 8, 65464, &arguments->blksize_bytes);
	case 'r':
		return read_number(optarg, 1, 1000000, &arguments->rounds);
	case 'w':
		return read_seconds(optarg, 0, &arguments->window_seconds);
	case 't':
		return read_seconds(optarg, 0.1, &arguments->patience_seconds);
	case 'j':
		arguments->json = true;
		return FINE;
	default:
		return MISUSED;
	}
}

/* *done: it was --help or --version. */
static int read_arguments(struct arguments *arguments, int argc, char **argv, bool *done)
{
	int option, result = FINE;

	opterr = 0; /* it would say the option as it is (S1) */
	while (result == FINE &&
	       (option = getopt_long(argc, argv, "a:b:n:p:i:m:s:f:B:r:w:t:jhV", long_options, NULL)) != -1) {
		*done = option == 'h' || option == 'V';
		if (option == 'h')
			print_help();
		else if (option == 'V')
			printf("tftp-storm %s\n", IMAGEFS_VERSION);
		else if (option == '?')
			result = misused(argv[optind - 1], "unknown option, or its value is missing");
		else
			result = read_option(arguments, option);
		if (*done)
			return FINE;
	}
	if (result != FINE)
		return result;
	if (argc - optind < 1)
		return misused("", "HOST is missing");
	if (argc - optind > 2)
		return misused(argv[optind + 2], "HOST and PORT only");
	if (arguments->sequence.count && (arguments->model || arguments->sequence_file))
		return misused("--file", "is instead of --model or --sequence");
	if (arguments->model && arguments->sequence_file)
		return misused("--sequence", "is instead of --model");
	arguments->host = argv[optind];
	arguments->port = argc - optind == 2 ? argv[optind + 1] : "69";
	return FINE;
}

/* ---- what it stands for --------------------------------------------------- */

static int find_boards(struct arguments *arguments)
{
	struct names *boards = &arguments->boards;
	const char *pattern = arguments->pattern ? arguments->pattern : "########";
	int result = 0;

	if (arguments->found_in) {
		result = names_find(boards, arguments->found_in);
		if (result != 0)
			return fail(arguments->found_in, strerror(-result));
	}
	if (arguments->count || arguments->pattern)
		result = names_count(boards, pattern, arguments->count ? arguments->count : 1);
	/* One that asks for files by their whole path needs no name. */
	if (result == 0 && boards->count == 0 && arguments->sequence.count)
		result = names_add(boards, "");
	if (result != 0)
		return fail("boards", strerror(-result));
	return boards->count ? FINE : misused("", "no boards: --board, --boards or --boards-in");
}

/* Where the true files of a board are, as far as it matters for a sequence's `dir`: of the first one. */
static char *true_files(const struct arguments *arguments)
{
	char *path;

	if (!arguments->against ||
	    asprintf(&path, "%s/%s", arguments->against, arguments->boards.names[0]) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return strdup(arguments->against);
}

static int find_sequence(struct arguments *arguments)
{
	CLEANUP_FREE char *loaded = NULL, *directory = true_files(arguments);
	const char *text = sequence_of_model(arguments->model ? arguments->model : "4");
	size_t line;
	int result;

	if (arguments->sequence.count) {
		if (!arguments->blksize_bytes)
			arguments->blksize_bytes = FILE_BLKSIZE;
		return FINE;
	}
	if (arguments->sequence_file) {
		text = loaded = sequence_load(arguments->sequence_file);
		if (!loaded)
			return fail(arguments->sequence_file, strerror(errno));
	}
	/* Of the overlays a board asks for few; which ones, its config.txt says. So no model has all of a
	 * directory. */
	result = sequence_read(&arguments->sequence, text, loaded ? directory : NULL, &line);
	if (result == -EINVAL) {
		fprintf(stderr, "tftp-storm: line %zu of it: ", line);
		return fail(arguments->sequence_file ? arguments->sequence_file : "the model",
			    "no such step");
	}
	return result == 0 ? FINE : fail("the sequence", strerror(-result));
}

static int find_server(const struct arguments *arguments, struct transfer_server *server)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;
	int error = getaddrinfo(arguments->host, arguments->port, &hints, &found);

	if (error != 0)
		return fail(arguments->host, gai_strerror(error));
	memcpy(&server->address, found->ai_addr, found->ai_addrlen);
	server->address_bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return FINE;
}

/* ---- the storm ------------------------------------------------------------ */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static void prepare_process(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit limit;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Two sockets for each board. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void report(const struct arguments *arguments, struct figures *figures)
{
	CLEANUP_FREE char *asks = NULL;
	struct figures_about about = {
		.server = arguments->host,
		.against = arguments->against,
		.boards = arguments->boards.count,
		.rounds = arguments->rounds,
		.window_seconds = arguments->window_seconds,
	};

	if (arguments->sequence_file)
		about.asks = arguments->sequence_file;
	else if (arguments->sequence.steps[0].kind == STEP_WANTED)
		about.asks = "given files";
	else if (asprintf(&asks, "Pi %s", arguments->model ? arguments->model : "4") >= 0)
		about.asks = asks;
	if (arguments->json)
		figures_print_json(figures, &about, stdout);
	else
		figures_print(figures, &about, stdout);
}

static int run(const struct arguments *arguments, const struct transfer_server *server)
{
	const struct storm_plan plan = {
		.server = *server,
		.sequence = &arguments->sequence,
		.boards = arguments->boards.names,
		.board_count = arguments->boards.count,
		.rounds = arguments->rounds,
		.blksize_bytes = (unsigned)arguments->blksize_bytes,
		.window_ns = (int64_t)(arguments->window_seconds * 1e9),
		.patience_ns = (int64_t)(arguments->patience_seconds * 1e9),
		.interrupted = &interrupted,
	};
	struct figures figures = { 0 };
	struct truth truth = { 0 };
	int result = storm_run(&plan, &figures, &truth), status;

	if (result == 0)
		result = truth_judge(&truth, arguments->against, &figures);
	if (result == 0)
		report(arguments, &figures);
	status = result != 0 ? fail(arguments->against ? arguments->against : "storm", strerror(-result))
		 : figures_wrong(&figures) || interrupted ? WRONG
							  : FINE;
	if (result == 0 && status == FINE && figures.whole == 0)
		status = fail(arguments->host, "served no file");
	truth_free(&truth);
	figures_free(&figures);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .rounds = 1, .patience_seconds = 10 };
	struct transfer_server server;
	bool done = false;
	int result = read_arguments(&arguments, argc, argv, &done);

	if (result == FINE && !done)
		result = find_boards(&arguments);
	if (result == FINE && !done)
		result = find_sequence(&arguments);
	if (result == FINE && !done && arguments.sequence.count == 0)
		result = misused(arguments.sequence_file, "asks for nothing");
	if (result == FINE && !done)
		result = find_server(&arguments, &server);
	if (result == FINE && !done) {
		prepare_process();
		result = run(&arguments, &server);
	}
	sequence_free(&arguments.sequence);
	names_free(&arguments.boards);
	if ((fflush(stdout) != 0 || ferror(stdout)) && result == FINE)
		result = fail("standard output", strerror(errno));
	return result;
}
