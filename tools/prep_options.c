/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/text.h"

enum {
	OPTION_SHA256 = 256,
	OPTION_GROW_ROOT,
	OPTION_CMDLINE,
	OPTION_SET,
	OPTION_UNSET,
	OPTION_ROOT,
	OPTION_SERVER,
	OPTION_NAME,
	OPTION_INITIATOR,
	OPTION_INITRAMFS,
	OPTION_IQN,
	OPTION_BOOT_PARTITION,
	OPTION_ROOT_PARTITION,
	OPTION_CONFIG,
	OPTION_SSH,
	OPTION_USER_DATA,
	OPTION_META_DATA,
	OPTION_NETWORK_CONFIG,
	OPTION_BOARD,
	OPTION_MOVE,
	OPTION_IMAGES,
	OPTION_MOUNTPOINT,
	OPTION_EXPORT,
	OPTION_DNSMASQ,
	OPTION_DNS,
	OPTION_NETWORK,
	OPTION_INSTALL,
	OPTION_CLONE,
};

/* --nbd-host, --nbd-name, --serial, -C and -R are what nobodd-prep calls them. */
static const struct option long_options[] = {
	{ "sha256", required_argument, NULL, OPTION_SHA256 },
	{ "size", required_argument, NULL, 's' },
	{ "grow-root", no_argument, NULL, OPTION_GROW_ROOT },
	{ "copy", required_argument, NULL, 'C' },
	{ "remove", required_argument, NULL, 'R' },
	{ "cmdline", required_argument, NULL, OPTION_CMDLINE },
	{ "set", required_argument, NULL, OPTION_SET },
	{ "unset", required_argument, NULL, OPTION_UNSET },
	{ "root", required_argument, NULL, OPTION_ROOT },
	{ "server", required_argument, NULL, OPTION_SERVER },
	{ "nbd-host", required_argument, NULL, OPTION_SERVER },
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "nbd-name", required_argument, NULL, OPTION_NAME },
	{ "initiator", required_argument, NULL, OPTION_INITIATOR },
	{ "initramfs", required_argument, NULL, OPTION_INITRAMFS },
	{ "iqn", required_argument, NULL, OPTION_IQN },
	{ "boot-partition", required_argument, NULL, OPTION_BOOT_PARTITION },
	{ "root-partition", required_argument, NULL, OPTION_ROOT_PARTITION },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "ssh", no_argument, NULL, OPTION_SSH },
	{ "user-data", required_argument, NULL, OPTION_USER_DATA },
	{ "meta-data", required_argument, NULL, OPTION_META_DATA },
	{ "network-config", required_argument, NULL, OPTION_NETWORK_CONFIG },
	{ "board", required_argument, NULL, OPTION_BOARD },
	{ "serial", required_argument, NULL, OPTION_BOARD },
	{ "move", no_argument, NULL, OPTION_MOVE },
	{ "images", required_argument, NULL, OPTION_IMAGES },
	{ "mountpoint", required_argument, NULL, OPTION_MOUNTPOINT },
	{ "export", required_argument, NULL, OPTION_EXPORT },
	{ "dnsmasq", no_argument, NULL, OPTION_DNSMASQ },
	{ "dns", no_argument, NULL, OPTION_DNS },
	{ "network", required_argument, NULL, OPTION_NETWORK },
	{ "install", no_argument, NULL, OPTION_INSTALL },
	{ "clone", no_argument, NULL, OPTION_CLONE },
	{ "force", no_argument, NULL, 'f' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("usage: imagefs-prep [options] TEMPLATE [INSTANCE]\n"
	       "       imagefs-prep --clone IMAGE NEW\n"
	       "\n"
	       "From an image as it was downloaded (.img, .xz, .zst, .gz, .bz2, .zip, - is a pipe) to one "
	       "that a board\n"
	       "boots from. Without INSTANCE an image is changed in place, and an archive unpacked beside "
	       "itself.\n"
	       "\n"
	       "  --sha256 FILE|SUM      what was downloaded must have that sum\n"
	       "  -s, --size N           make the image larger, never smaller: 16G\n"
	       "  --grow-root            its root partition as well, in the partition table\n"
	       "  -C, --copy SRC[:DEST]  a file or a tree into the boot partition\n"
	       "  -R, --remove PATH      a file or a tree of it\n"
	       "\n"
	       "  --root nbd|iscsi|nfs   the root comes from there: cmdline.txt says so\n"
	       "  --server HOST          from that server\n"
	       "  --name NAME            by that name: of the export, target or directory\n"
	       "  --set KEY=VALUE        on the command line of the kernel\n"
	       "  --unset KEY[=VALUE]\n"
	       "  --cmdline FILE         the file with it (cmdline.txt); alone, as nobodd-prep: --root nbd\n"
	       "  --initramfs KIND       whose words: initramfs-tools (the default) or dracut\n"
	       "  --initiator IQN        iSCSI: what the board calls itself\n"
	       "  --iqn PREFIX           iSCSI: what names begin with (%s)\n"
	       "  --config 'KEY=VALUE [SECTION]'   a line of config.txt\n"
	       "  --ssh                  a server for it, at the first boot of Raspberry Pi OS\n"
	       "  --user-data FILE       for cloud-init; and\n"
	       "  --meta-data FILE\n"
	       "  --network-config FILE\n"
	       "  --boot-partition N     not the one that is found by content\n"
	       "  --root-partition N\n"
	       "\n"
	       "  --board BOARD          its link: a serial, a MAC, or any name; as often as there are "
	       "boards\n"
	       "  --move                 also if it leads to another image\n"
	       "  --images DIR           where images and links are (that of INSTANCE, else /srv/images)\n"
	       "  --export SERVER        print what nbd-server, nbdkit, tgt or lio has to be told\n"
	       "  --dnsmasq              print what dnsmasq has to be told\n"
	       "  --dns                  dnsmasq: it is the network's resolver as well\n"
	       "  --network ADDRESS      dnsmasq: of the network, whose DHCP server stays as it is\n"
	       "  --mountpoint DIR       where imagefs shows them (/srv/boot)\n"
	       "  --install              do that: write the files, reload the servers\n"
	       "\n"
	       "  --clone                a copy, by reflink where the filesystem can; names of images are "
	       "enough\n"
	       "  -f, --force            replace INSTANCE; take an image that somebody has open for writing\n"
	       "  -n, --dry-run          say the steps, and do nothing\n"
	       "  -q, --quiet            say nothing but what is wrong\n"
	       "  -h, --help             this text\n"
	       "  -V, --version          the version\n"
	       "\n"
	       "See imagefs-prep(8).\n",
	       EXPORT_IQN);
}

/* ---- values --------------------------------------------------------------- */

static int misused(const char *what, const char *why)
{
	fputs("imagefs-prep: ", stderr);
	text_write_plain(stderr, what);
	fprintf(stderr, "%s%s (see imagefs-prep --help)\n", *what ? ": " : "", why);
	return PREP_USAGE;
}

/* 16G, 16GB, 16GiB, 16777216K: powers of 1024, as nobodd-prep has them. */
static bool read_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || !isdigit((unsigned char)*text) || value == 0)
		return false;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	for (const char *at = units; unit && at <= unit; at++)
		if (!mul_u64(value, 1024, &value))
			return false;
	end += unit != NULL;
	if (*end && strcasecmp(end, "B") != 0 && !(unit && strcasecmp(end, "iB") == 0))
		return false;
	/* Whole sectors, whatever size they have. */
	return round_up_u64(value, 4096, bytes) && *bytes <= INT64_MAX;
}

static bool read_number(const char *text, unsigned *number)
{
	*number = (unsigned)strtoul(text, NULL, 10);
	return *text && strlen(text) <= 3 && strspn(text, "0123456789") == strlen(text) && *number > 0;
}

static int read_root(struct prep_options *options, const char *text)
{
	static const char *const words[] = {
		[CMDLINE_ROOT_NBD] = "nbd", [CMDLINE_ROOT_ISCSI] = "iscsi", [CMDLINE_ROOT_NFS] = "nfs"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			options->root = (enum cmdline_root_kind)i;
			options->has_root = true;
			return PREP_OK;
		}
	}
	return misused(text, "--root is nbd, iscsi or nfs");
}

static int read_initramfs(struct prep_options *options, const char *text)
{
	options->initramfs = strcmp(text, "dracut") == 0 ? CMDLINE_DRACUT : CMDLINE_INITRAMFS_TOOLS;
	if (options->initramfs == CMDLINE_DRACUT || strcmp(text, "initramfs-tools") == 0)
		return PREP_OK;
	return misused(text, "--initramfs is initramfs-tools or dracut");
}

static int add_word(struct prep_options *options, enum prep_word_kind kind, const char *text)
{
	struct prep_word *words = realloc(options->words, (options->word_count + 1) * sizeof(*words));

	if (!words)
		return prep_fail("", strerror(ENOMEM));
	words[options->word_count++] = (struct prep_word){ .kind = kind, .text = text };
	options->words = words;
	return PREP_OK;
}

/* `--config arm_boost=1 [pi4]`: the section may be an argument of its own. */
static int add_config(struct prep_options *options, const char *text, const char *next)
{
	int result = add_word(options, PREP_CONFIG, text);
	struct prep_word *word = &options->words[options->word_count - 1];

	if (result != PREP_OK || !next || next[0] != '[' || next[strlen(next) - 1] != ']')
		return result;
	if (asprintf(&word->owned, "%s %s", text, next) < 0) {
		word->owned = NULL;
		return prep_fail("", strerror(ENOMEM));
	}
	word->text = word->owned;
	optind++;
	return PREP_OK;
}

/* ---- options -------------------------------------------------------------- */

/* Those that are a text and nothing else; NULL: it is none of them. */
static const char **text_of(struct prep_options *options, int option)
{
	switch (option) {
	case OPTION_SHA256:
		return &options->sum;
	case OPTION_CMDLINE:
		return &options->cmdline;
	case OPTION_SERVER:
		return &options->server;
	case OPTION_NAME:
		return &options->name;
	case OPTION_INITIATOR:
		return &options->initiator;
	case OPTION_IQN:
		return &options->iqn;
	case OPTION_USER_DATA:
		return &options->user_data;
	case OPTION_META_DATA:
		return &options->meta_data;
	case OPTION_NETWORK_CONFIG:
		return &options->network_config;
	case OPTION_IMAGES:
		return &options->images;
	case OPTION_MOUNTPOINT:
		return &options->mountpoint;
	case OPTION_NETWORK:
		return &options->network;
	default:
		return NULL;
	}
}

static bool *flag_of(struct prep_options *options, int option)
{
	switch (option) {
	case OPTION_GROW_ROOT:
		return &options->grow_root;
	case OPTION_SSH:
		return &options->ssh;
	case OPTION_MOVE:
		return &options->move;
	case OPTION_DNSMASQ:
		return &options->dnsmasq;
	case OPTION_DNS:
		return &options->dns;
	case OPTION_INSTALL:
		return &options->install;
	case OPTION_CLONE:
		return &options->clone;
	case 'f':
		return &options->force;
	case 'n':
		return &options->dry_run;
	case 'q':
		return &options->quiet;
	default:
		return NULL;
	}
}

static int take_value(struct prep_options *options, int option, const char *value, const char *next)
{
	switch (option) {
	case 'C':
		return add_word(options, PREP_COPY, value);
	case 'R':
		return add_word(options, PREP_REMOVE, value);
	case OPTION_SET:
		return add_word(options, PREP_SET, value);
	case OPTION_UNSET:
		return add_word(options, PREP_UNSET, value);
	case OPTION_BOARD:
		return add_word(options, PREP_BOARD, value);
	case OPTION_CONFIG:
		return add_config(options, value, next);
	case OPTION_ROOT:
		return read_root(options, value);
	case OPTION_INITRAMFS:
		return read_initramfs(options, value);
	case 's':
		return read_size(value, &options->size_bytes) ? PREP_OK
							      : misused(value, "--size is a number like 16G");
	case OPTION_BOOT_PARTITION:
	case OPTION_ROOT_PARTITION:
		return read_number(value, option == OPTION_BOOT_PARTITION ? &options->boot_partition
									  : &options->root_partition)
			       ? PREP_OK
			       : misused(value, "is no number of a partition");
	default: /* OPTION_EXPORT */
		options->has_export = true;
		return export_of_word(value, &options->export) == 0
			       ? PREP_OK
			       : misused(value, "--export is nbd-server, nbdkit, tgt or lio");
	}
}

static int take(struct prep_options *options, int option, const char *next)
{
	const char **text = text_of(options, option);
	bool *flag = flag_of(options, option);

	if (text) {
		*text = optarg;
		return **text ? PREP_OK : misused("", "an option's value is empty");
	}
	if (flag) {
		*flag = true;
		return PREP_OK;
	}
	return take_value(options, option, optarg, next);
}

/* ---- all of them ---------------------------------------------------------- */

bool prep_options_have(const struct prep_options *options, enum prep_word_kind kind)
{
	for (size_t i = 0; i < options->word_count; i++)
		if (options->words[i].kind == kind)
			return true;
	return false;
}

/* What goes together, and what does not. */
static int check(struct prep_options *options)
{
	/* As nobodd-prep: the file's name alone means its rule. */
	if (options->cmdline && !options->has_root && !prep_options_have(options, PREP_SET) &&
	    !prep_options_have(options, PREP_UNSET))
		options->has_root = true;
	if (options->has_root && !options->server)
		return misused("--root", "from which --server?");
	if (options->has_root && options->root == CMDLINE_ROOT_NFS && !options->name)
		return misused("--root nfs", "which directory of the server? --name /srv/nfs/jammy");
	if (!options->has_root && options->server)
		return misused("--server", "of what? --root nbd, iscsi or nfs");
	if (options->clone && !options->instance)
		return misused("--clone", "what is the copy called?");
	if (options->move && !prep_options_have(options, PREP_BOARD))
		return misused("--move", "of which --board?");
	if (options->install && !options->has_export && !options->dnsmasq)
		return misused("--install", "what? --export SERVER or --dnsmasq");
	return PREP_OK;
}

static int take_names(struct prep_options *options, int count, char **names)
{
	if (count < 1)
		return misused("", "which TEMPLATE?");
	if (count > 2)
		return misused(names[2], "one TEMPLATE and one INSTANCE");
	options->template = names[0];
	options->instance = count > 1 ? names[1] : NULL;
	if (!*names[0] || (count > 1 && !*names[1]))
		return misused("", "a name is empty");
	return PREP_OK;
}

int prep_options_read(struct prep_options *options, int argc, char **argv, bool *done)
{
	int option, result = PREP_OK;

	*options = (struct prep_options){ .mountpoint = "/srv/boot" };
	*done = false;
	opterr = 0;
	while (result == PREP_OK &&
	       (option = getopt_long(argc, argv, "s:C:R:fnqhV", long_options, NULL)) != -1) {
		if (option == '?')
			return misused(argv[optind - 1], "unknown option, or its value is missing");
		if (option == 'h' || option == 'V') {
			*done = true;
			if (option == 'h')
				print_help();
			else
				printf("imagefs-prep %s\n", IMAGEFS_VERSION);
			return PREP_OK;
		}
		result = take(options, option, optind < argc ? argv[optind] : NULL);
	}
	if (result == PREP_OK)
		result = take_names(options, argc - optind, argv + optind);
	return result == PREP_OK ? check(options) : result;
}

void prep_options_free(struct prep_options *options)
{
	for (size_t i = 0; i < options->word_count; i++)
		free(options->words[i].owned);
	free(options->words);
	options->words = NULL;
}
