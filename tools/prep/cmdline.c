/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmdline: words are taken one by one and put together again with one blank between them.
 *
 * The words of NBD are those of Debian's nbd-client, of iSCSI those of open-iscsi's README.Debian, both for
 * initramfs-tools; dracut's are those of dracut.cmdline(7).
 */
#include "tools/prep/cmdline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- words ---------------------------------------------------------------- */

struct word {
	const char *text;
	size_t length;
};

static bool is_space(char character)
{
	return character == ' ' || (character >= '\t' && character <= '\r');
}

/* The word at or behind *at, which is moved behind it. False: there is none. */
static bool next_word(const char **at, struct word *word)
{
	const char *end;
	bool quoted = false;

	while (is_space(**at))
		(*at)++;
	for (end = *at; *end && (quoted || !is_space(*end)); end++)
		quoted = quoted != (*end == '"');
	*word = (struct word){ *at, (size_t)(end - *at) };
	*at = end;
	return word->length > 0;
}

static bool is_word(const struct word *word, const char *text)
{
	return word->length == strlen(text) && memcmp(word->text, text, word->length) == 0;
}

/* What is behind it is init's. */
static bool is_end_of_options(const struct word *word)
{
	return is_word(word, "--");
}

static char dash(char character)
{
	return character == '-' ? '_' : character;
}

/* Is it `key` or `key=...`, the whole of which may stand in quotes? */
static bool is_of_key(const struct word *word, const char *key)
{
	size_t at = word->text[0] == '"', length = strlen(key);

	if (word->length < at + length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (dash(word->text[at + i]) != dash(key[i]))
			return false;
	at += length;
	return at == word->length || word->text[at] == '=' || (word->text[at] == '"' && at + 1 == word->length);
}

/* The same but for where the quotes are, and for dashes in the name. */
static bool is_same(const struct word *word, const char *other)
{
	bool value = false;

	for (size_t i = 0; i < word->length; i++) {
		char character = word->text[i];

		if (character == '"')
			continue;
		while (*other == '"')
			other++;
		if (value ? character != *other : dash(character) != dash(*other))
			return false;
		value = value || character == '=';
		other++;
	}
	while (*other == '"')
		other++;
	return *other == '\0';
}

/* ---- putting a line together ------------------------------------------------ */

struct line {
	char text[CMDLINE_BYTES];
	size_t used;
	bool full;
};

static void add(struct line *line, const char *text, size_t length)
{
	if (length == 0)
		return;
	if (line->used + (line->used > 0) + length >= sizeof(line->text)) {
		line->full = true;
		return;
	}
	if (line->used > 0)
		line->text[line->used++] = ' ';
	memcpy(line->text + line->used, text, length);
	line->used += length;
}

/* It takes the place of *text. */
static int finish(const struct line *line, char **text)
{
	char *made;

	if (line->full)
		return -E2BIG;
	made = strndup(line->text, line->used);
	if (!made)
		return -ENOMEM;
	free(*text);
	*text = made;
	return 0;
}

int cmdline_read(const char *text, size_t length, char **line)
{
	const char *end = length > 0 ? memchr(text, '\n', length) : NULL;
	CLEANUP_FREE char *first = strndup(length > 0 ? text : "", end ? (size_t)(end - text) : length);
	struct line whole = { .used = 0 };
	const char *at = first;
	bool quoted = false;
	struct word word;

	*line = NULL;
	if (!first)
		return -ENOMEM;
	for (size_t i = 0; first[i]; i++)
		quoted = quoted != (first[i] == '"');
	if (quoted)
		return -EBADMSG;
	while (next_word(&at, &word))
		add(&whole, word.text, word.length);
	return finish(&whole, line);
}

/* ---- one setting ------------------------------------------------------------ */

/* Each of them counts, not the last one alone (admin-guide/kernel-parameters, systemd's and dracut's pages). */
static bool may_repeat(const char *key)
{
	static const char *const keys[] = {
		"console",	"earlycon",	 "cgroup_enable", "cgroup_disable", "video",	   "modprobe.blacklist",
		"systemd.wants", "systemd.mask", "systemd.setenv", "nameserver",    "rd.lvm.lv", "rd.luks.uuid",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* The word, for the caller to free. -EINVAL: there is no such. */
static int word_of(const char *key, const char *value, char **word)
{
	size_t length = value ? strlen(value) : 0;
	const char *quote = value ? strchr(value, '"') : NULL;
	/* It stands in quotes already, and has no other. */
	bool quoted = quote && quote == value && length > 1 && strchr(value + 1, '"') == value + length - 1;

	*word = NULL;
	if (!*key || strpbrk(key, " =\"") || has_control(key) || strcmp(key, "--") == 0)
		return -EINVAL;
	if (value && (has_control(value) || (quote && !quoted)))
		return -EINVAL;
	if (!value)
		*word = strdup(key);
	else if (asprintf(word, strchr(value, ' ') && !quoted ? "%s=\"%s\"" : "%s=%s", key, value) < 0)
		*word = NULL;
	return *word ? 0 : -ENOMEM;
}

int cmdline_set(char **line, const char *key, const char *value)
{
	CLEANUP_FREE char *wanted = NULL;
	int error = word_of(key, value, &wanted);
	struct line changed = { .used = 0 };
	bool repeats = may_repeat(key), there = false, init = false;
	const char *at = *line;
	struct word word;

	if (error != 0)
		return error;
	while (next_word(&at, &word)) {
		if (!init && is_end_of_options(&word)) {
			init = true;
			if (!there)
				add(&changed, wanted, strlen(wanted));
			there = true;
		}
		if (init || (repeats ? !is_same(&word, wanted) : !is_of_key(&word, key))) {
			add(&changed, word.text, word.length);
		} else if (!there) {
			/* What says the same already keeps its spelling. */
			bool same = is_same(&word, wanted);

			add(&changed, same ? word.text : wanted, same ? word.length : strlen(wanted));
			there = true;
		}
	}
	if (!there)
		add(&changed, wanted, strlen(wanted));
	return finish(&changed, line);
}

int cmdline_unset(char **line, const char *key, const char *value)
{
	CLEANUP_FREE char *unwanted = NULL;
	int error = word_of(key, value, &unwanted);
	struct line changed = { .used = 0 };
	const char *at = *line;
	struct word word;
	bool init = false;

	if (error != 0)
		return error;
	while (next_word(&at, &word)) {
		init = init || is_end_of_options(&word);
		if (init || (value ? !is_same(&word, unwanted) : !is_of_key(&word, key)))
			add(&changed, word.text, word.length);
	}
	return finish(&changed, line);
}

static int apply(char **line, const char *word, int (*change)(char **line, const char *key, const char *value))
{
	const char *equals = strchr(word, '=');
	CLEANUP_FREE char *key = equals ? strndup(word, (size_t)(equals - word)) : strdup(word);

	return key ? change(line, key, equals ? equals + 1 : NULL) : -ENOMEM;
}

int cmdline_set_word(char **line, const char *word)
{
	return apply(line, word, cmdline_set);
}

int cmdline_unset_word(char **line, const char *word)
{
	return apply(line, word, cmdline_unset);
}

/* ---- where the root is ------------------------------------------------------ */

/* The words to put in front, but for ip=dhcp: in `text`. root= is among them, or stays where it is if *keeps_root. */
struct root_words {
	char text[CMDLINE_BYTES];
	bool keeps_root;
	bool keeps_initiator;
	bool is_iscsi;
};

static int write_nbd(const struct cmdline_root *root, const char *server, struct root_words *words)
{
	const char *port = strchr(root->server, ':') ? ":10809" : ""; /* behind brackets nbd-client's script wants one */
	int length;

	if (root->partition == 0 || strchr(root->name, ','))
		return -EINVAL;
	if (root->initramfs == CMDLINE_DRACUT && strchr(root->name, ':'))
		return -EINVAL;
	if (root->initramfs == CMDLINE_DRACUT)
		length = snprintf(words->text, sizeof(words->text), "netroot=nbd:%s:%s root=/dev/nbd0p%u", server, root->name,
				  root->partition);
	else
		length = snprintf(words->text, sizeof(words->text), "nbdroot=%s%s/%s root=/dev/nbd0p%u", server, port, root->name,
				  root->partition);
	return (size_t)length < sizeof(words->text) ? 0 : -E2BIG;
}

static int write_iscsi(const struct cmdline_root *root, const char *server, struct root_words *words)
{
	bool dracut = root->initramfs == CMDLINE_DRACUT;
	char tail[CMDLINE_BYTES] = "";
	int length;

	if (root->initiator)
		snprintf(tail, sizeof(tail), "%s=%s ", dracut ? "rd.iscsi.initiator" : "iscsi_initiator", root->initiator);
	if (dracut)
		length = snprintf(words->text, sizeof(words->text), "%snetroot=iscsi:%s::::%s", tail, server, root->name);
	else
		length = snprintf(words->text, sizeof(words->text), "%siscsi_target_name=%s iscsi_target_ip=%s", tail, root->name,
				  root->server);
	if (root->root && (size_t)length < sizeof(words->text))
		length += snprintf(words->text + length, sizeof(words->text) - (size_t)length, " root=%s", root->root);
	words->keeps_root = !root->root;
	words->keeps_initiator = !root->initiator;
	words->is_iscsi = true;
	return (size_t)length < sizeof(words->text) ? 0 : -E2BIG;
}

/* dracut speaks NFS 4 only when it is told so, and puts a colon before the options. */
static int write_nfs(const struct cmdline_root *root, const char *server, struct root_words *words)
{
	size_t path = strcspn(root->name, ",");
	const char *options = root->name[path] ? root->name + path + 1 : "";
	int length;

	if (root->name[0] != '/')
		return -EINVAL;
	if (root->initramfs == CMDLINE_DRACUT)
		length = snprintf(words->text, sizeof(words->text), "root=nfs%s:%s:%.*s%s%s", strstr(options, "vers=4") ? "4" : "",
				  server, (int)path, root->name, *options ? ":" : "", options);
	else
		length = snprintf(words->text, sizeof(words->text), "root=/dev/nfs nfsroot=%s:%s", server, root->name);
	return (size_t)length < sizeof(words->text) ? 0 : -E2BIG;
}

static bool is_plain(const char *text)
{
	return *text && !strpbrk(text, " \"") && !has_control(text);
}

static int write_root(const struct cmdline_root *root, struct root_words *words)
{
	char server[CMDLINE_BYTES];
	bool bare = strchr(root->server, ':') && root->server[0] != '['; /* IPv6 */

	*words = (struct root_words){ .keeps_root = false };
	if (!is_plain(root->server) || strpbrk(root->server, "/,") || !is_plain(root->name) ||
	    (root->initiator && !is_plain(root->initiator)) || (root->root && !is_plain(root->root)))
		return -EINVAL;
	if ((size_t)snprintf(server, sizeof(server), bare ? "[%s]" : "%s", root->server) >= sizeof(server))
		return -E2BIG;
	switch (root->kind) {
	case CMDLINE_ROOT_NBD:
		return write_nbd(root, server, words);
	case CMDLINE_ROOT_ISCSI:
		return write_iscsi(root, server, words);
	case CMDLINE_ROOT_NFS:
		return write_nfs(root, server, words);
	default:
		return -EINVAL;
	}
}

/* What else there is of iSCSI: users and passwords, ports. */
static bool is_of_iscsi(const struct word *word)
{
	static const char *const prefixes[] = { "iscsi_", "ISCSI_", "rd.iscsi." };
	size_t at = word->text[0] == '"';

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (word->length >= at + strlen(prefixes[i]) && memcmp(word->text + at, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* What said where the root is. */
static bool is_of_root(const struct word *word, const struct root_words *words)
{
	static const char *const keys[] = { "nbdroot",	  "nbddev",	     "netroot",		"nfsroot",
					    "iscsiroot",  "iscsi_target_ip", "iscsi_target_name", "ISCSI_TARGET_IP",
					    "ISCSI_TARGET_NAME" };
	static const char *const initiators[] = { "iscsi_initiator", "ISCSI_INITIATOR", "rd.iscsi.initiator" };

	if (is_of_key(word, "root"))
		return !words->keeps_root;
	if (!words->is_iscsi && is_of_iscsi(word))
		return true;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (is_of_key(word, keys[i]))
			return true;
	for (size_t i = 0; i < sizeof(initiators) / sizeof(initiators[0]) && !words->keeps_initiator; i++)
		if (is_of_key(word, initiators[i]))
			return true;
	return false;
}

/* Is it true on whatever the disk is called? */
static bool is_by_content(const struct word *word)
{
	static const char *const kinds[] = { "root=PARTUUID=", "root=UUID=", "root=LABEL=" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (word->length > strlen(kinds[i]) && memcmp(word->text, kinds[i], strlen(kinds[i])) == 0)
			return true;
	return false;
}

int cmdline_set_root(char **line, const struct cmdline_root *root)
{
	struct line changed = { .used = 0 };
	struct root_words words;
	int error = write_root(root, &words);
	bool init = false, has_root = false, has_ip = false;
	const char *at = *line;
	struct word word;

	if (error != 0)
		return error;
	while (next_word(&at, &word) && !is_end_of_options(&word)) {
		has_ip = has_ip || (is_of_key(&word, "ip") && !is_word(&word, "ip=dhcp"));
		if (is_of_key(&word, "root"))
			has_root = is_by_content(&word); /* the last one wins */
	}
	if (words.keeps_root && !has_root)
		return -ENODATA;
	if (!has_ip)
		add(&changed, "ip=dhcp", strlen("ip=dhcp"));
	add(&changed, words.text, strlen(words.text));
	for (at = *line; next_word(&at, &word);) {
		init = init || is_end_of_options(&word);
		if (init || !(is_of_root(&word, &words) || is_word(&word, "ip=dhcp")))
			add(&changed, word.text, word.length);
	}
	return finish(&changed, line);
}
