/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/device/opener.h"

/* A number that ended may be another process's after that; a server that goes on is asked for again. */
#define PROGRAM_KNOWN_NS (2 * WAIT_S)

/* Shells, coreutils and their like, pagers, editors, copying and searching; sorted. The kernel cuts at 15 bytes. */
static const char *const of_people[] = {
	"awk", "b2sum", "base64", "bash", "bat", "borg", "bsdtar", "cat", "cksum", "cmp", "cp", "cpio", "csh",
	"cut", "dash", "dd", "diff", "du", "ed", "editor", "egrep", "emacs", "fgrep", "file", "find", "fish",
	"gawk", "git", "grep", "gunzip", "gzip", "head", "hexdump", "install", "jq", "ksh", "less", "ln",
	"locate", "ls", "mawk", "mc", "md5sum", "mkdir", "more", "mv", "nano", "nl", "od", "readlink", "realpath",
	"restic", "rg", "rm", "rsync", "sed", "sh", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum",
	"sort", "stat", "strings", "sum", "tac", "tail", "tar", "tcsh", "tee", "test", "touch", "tree", "uniq",
	"updatedb", "updatedb.mlocat", "updatedb.plocat", "vi", "view", "vim", "vim.basic", "vim.tiny", "wc",
	"xxd", "xz", "zcat", "zip", "zsh", "zstd",
};

void programs_init(struct programs *programs)
{
	memset(programs, 0, sizeof(*programs));
	pthread_mutex_init(&programs->lock, NULL);
}

void program_of(struct programs *programs, pid_t thread, int64_t now_ns, char name[PROGRAM_NAME_BYTES])
{
	size_t slot = (size_t)thread % PROGRAM_SLOTS;

	name[0] = '\0';
	if (thread <= 0)
		return; /* of a PID namespace that is not seen */
	pthread_mutex_lock(&programs->lock);
	if (programs->slots[slot].thread == thread && now_ns - programs->slots[slot].when_ns < PROGRAM_KNOWN_NS)
		memcpy(name, programs->slots[slot].name, PROGRAM_NAME_BYTES);
	pthread_mutex_unlock(&programs->lock);
	if (name[0] != '\0')
		return;
	opener_process_name(thread, name);
	LOCK_SCOPE(&programs->lock);
	programs->slots[slot].thread = thread;
	programs->slots[slot].when_ns = now_ns;
	memcpy(programs->slots[slot].name, name, PROGRAM_NAME_BYTES);
}

static int compare(const void *name, const void *at)
{
	return strcmp(name, *(const char *const *)at);
}

bool program_is_of_people(const char *name)
{
	return bsearch(name, of_people, sizeof(of_people) / sizeof(of_people[0]), sizeof(of_people[0]), compare);
}
