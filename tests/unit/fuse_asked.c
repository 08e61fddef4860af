/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse/names/asked.c: who asked for what; bounded. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/names/asked.h"

static struct asked *new_asked(void)
{
	struct asked *asked = malloc(sizeof(*asked));

	cr_assert_not_null(asked);
	asked_init(asked);
	return asked;
}

static const char jammy, focal; /* stand for images */

static const char *who(struct asked *asked, pid_t thread, const void *image)
{
	struct asked_board *board = asked_who(asked, thread, image);

	return board ? board->name : "nobody";
}

Test(fuse_asked, the_link_that_was_gone_through_is_the_board)
{
	struct asked *asked = new_asked();

	asked_link(asked, 7, "89025d75", "jammy");
	cr_assert_str_eq(who(asked, 7, &jammy), "nobody");
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "89025d75");
	cr_assert_str_eq(who(asked, 7, &focal), "nobody");
	cr_assert_str_eq(who(asked, 8, &jammy), "nobody");
	/* The next one names the image. */
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "nobody");
}

Test(fuse_asked, reading_a_link_is_not_going_through_it)
{
	struct asked *asked = new_asked();

	asked_link(asked, 7, "89025d75", "jammy"); /* ls -l */
	asked_enter(asked, 7, "focal", &focal);
	cr_assert_str_eq(who(asked, 7, &focal), "nobody");
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "nobody");
}

Test(fuse_asked, who_looks_at_all_links_has_met_no_board)
{
	struct asked *asked = new_asked();

	asked_link(asked, 7, "89025d75", "jammy");
	asked_link(asked, 7, "89025d76", "jammy");
	cr_assert_null(asked_board(asked, "89025d75"));
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_null(asked_board(asked, "89025d76"), "no file was asked for yet");
	cr_assert_str_eq(who(asked, 7, &jammy), "89025d76");
	cr_assert_not_null(asked_board(asked, "89025d76"));
	cr_assert_null(asked_board(asked, "89025d75"));
	cr_assert_eq(asked->board_count, 1);
}

Test(fuse_asked, of_links_to_links_the_first_counts)
{
	struct asked *asked = new_asked();

	asked_link(asked, 7, "kitchen", "89025d75");
	asked_link(asked, 7, "89025d75", "jammy:3");
	asked_enter(asked, 7, "jammy:3", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "kitchen");
}

Test(fuse_asked, a_link_to_a_file_is_no_board)
{
	struct asked *asked = new_asked();

	asked_link(asked, 7, "bootcode.bin", "jammy/bootcode.bin");
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "nobody");
	cr_assert_null(asked_board(asked, "bootcode.bin"));
}

Test(fuse_asked, a_link_that_leads_to_no_name)
{
	struct asked *asked = new_asked();
	struct asked_board *board;

	asked_link(asked, 7, "b1", "gone");
	cr_assert_null(asked_astray(asked, 8, "gone"));
	board = asked_astray(asked, 7, "gone");
	cr_assert(board && strcmp(board->name, "b1") == 0);
	/* The next time the name is asked for itself. */
	cr_assert_null(asked_astray(asked, 7, "gone"));
	asked_link(asked, 7, "b1", "jammy");
	cr_assert_null(asked_astray(asked, 7, "other"));
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_null(asked_astray(asked, 7, "jammy"));
}

Test(fuse_asked, errors_are_counted_and_have_a_time)
{
	struct asked_log *log = asked_log_new();
	struct asked_copy copy;

	asked_note(log, 5, "kernel8.img", ASKED_FAILED, 0);
	asked_note(log, 7, "config.txt", ASKED_OPENED, 3);
	asked_copy(log, &copy);
	cr_assert(copy.failed == 1 && copy.failed_ns == 5 && copy.last_ns == 7);
	asked_log_free(log);
}

Test(fuse_asked, the_last_requests_of_all_have_numbers)
{
	struct recent *recent = malloc(sizeof(*recent));
	static struct recent_request copy[RECENT_COUNT];
	struct recent_request request = { .outcome = ASKED_ABSENT };

	cr_assert_not_null(recent);
	recent_init(recent);
	cr_assert_eq(recent_copy(recent, copy), 0);
	for (int i = 1; i <= 2; i++) {
		snprintf(request.name, sizeof(request.name), "file%d", i);
		recent_note(recent, &request);
	}
	cr_assert_eq(recent_copy(recent, copy), 2);
	cr_assert(copy[0].sequence == 1 && copy[1].sequence == 2 && strcmp(copy[1].name, "file2") == 0);
	for (int i = 3; i <= RECENT_COUNT + 5; i++)
		recent_note(recent, &request);
	cr_assert_eq(recent_copy(recent, copy), RECENT_COUNT);
	cr_assert(copy[0].sequence == 6 && copy[RECENT_COUNT - 1].sequence == RECENT_COUNT + 5);
	free(recent);
}

Test(fuse_asked, programs_of_people)
{
	static const char *const people[] = { "awk", "cat", "bash", "sh", "zstd", "md5sum", "rsync", "vim.basic", "ls" };
	static const char *const servers[] = { "", "dnsmasq", "in.tftpd", "tftpd", "nginx", "python3", "nfsd", "catd" };

	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++)
		cr_expect(program_is_of_people(people[i]), "%s", people[i]);
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		cr_expect_not(program_is_of_people(servers[i]), "%s", servers[i]);
}

Test(fuse_asked, threads_of_other_namespaces_have_no_number)
{
	struct asked *asked = new_asked();

	asked_link(asked, 0, "89025d75", "jammy");
	asked_enter(asked, 0, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 0, &jammy), "nobody");
}

Test(fuse_asked, boards_are_bounded)
{
	struct asked *asked = new_asked();
	char name[300];

	for (int i = 0; i < ASKED_BOARDS_MAX + 100; i++) {
		snprintf(name, sizeof(name), "%08x", (unsigned)i);
		asked_link(asked, 7, name, "jammy");
		asked_enter(asked, 7, "jammy", &jammy);
		cr_assert_str_eq(who(asked, 7, &jammy), i < ASKED_BOARDS_MAX ? name : "nobody");
	}
	cr_assert_eq(asked->board_count, ASKED_BOARDS_MAX);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	asked_link(asked, 7, name, "jammy");
	asked_enter(asked, 7, "jammy", &jammy);
	cr_assert_str_eq(who(asked, 7, &jammy), "nobody");
}

Test(fuse_asked, the_last_requests_newest_first)
{
	struct asked_log *log = asked_log_new();
	struct asked_copy copy;
	char name[32];

	asked_copy(NULL, &copy);
	cr_assert(copy.recent_count == 0 && copy.missing_count == 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		asked_note(log, i + 1, name, ASKED_OPENED, (uint64_t)i);
	}
	asked_note(log, 200, "file99", ASKED_OPENED, 99);
	asked_note(log, 300, "file99", ASKED_OPENED, 100);
	asked_copy(log, &copy);
	cr_assert_eq(copy.recent_count, ASKED_RECENT);
	cr_assert_eq(copy.recent[0].version, 100);
	cr_assert(copy.recent[1].times == 2 && copy.recent[1].when_ns == 200);
	cr_assert_str_eq(copy.recent[2].name, "file98");
	cr_assert_eq(copy.opened, 102);
	cr_assert(copy.absent == 0 && copy.missing_count == 0);
	asked_log_free(log);
}

Test(fuse_asked, what_is_missed_most_stays)
{
	struct asked_log *log = asked_log_new();
	struct asked_copy copy;
	char name[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "noise%d", i);
		asked_note(log, i + 1, name, ASKED_ABSENT, 0);
		if (i % 5 == 0)
			asked_note(log, i + 1, "start4.elf", ASKED_ABSENT, 0);
	}
	asked_copy(log, &copy);
	cr_assert_eq(copy.missing_count, ASKED_MISSING);
	cr_assert_str_eq(copy.missing[0].name, "start4.elf");
	cr_assert_eq(copy.missing[0].count, 200);
	cr_assert_eq(copy.absent, 1200);
	asked_log_free(log);
}

Test(fuse_asked, long_names_keep_their_end_and_lines_are_limited)
{
	struct asked_log *log = asked_log_new();
	char name[600];
	struct asked_copy copy;
	int lines = 0;

	memset(name, 'd', sizeof(name));
	strcpy(name + sizeof(name) - 11, "/overlay.x");
	for (int i = 0; i < 1000; i++)
		lines += asked_note(log, 1 + i, name, ASKED_ABSENT, 0);
	cr_assert_lt(lines, 100);
	cr_assert_gt(lines, 10);
	cr_assert(asked_note(log, INT64_C(60000000000), name, ASKED_ABSENT, 0));
	asked_copy(log, &copy);
	cr_assert(strstr(copy.missing[0].name, "/overlay.x"));
	cr_assert_eq(copy.recent[0].times, 1001);
	asked_log_free(log);
}
