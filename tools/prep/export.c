/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export: the plans. What is done with them is in export_install.c. */
#include "tools/prep/export.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const words[EXPORT_SERVERS] = { "nbd-server", "nbdkit", "tgt", "lio" };

const char *export_word(enum export_server server)
{
	return words[server];
}

int export_of_word(const char *word, enum export_server *server)
{
	for (int i = 0; i < EXPORT_SERVERS; i++) {
		if (strcmp(words[i], word) == 0) {
			*server = (enum export_server)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- names ---------------------------------------------------------------- */

/* What needs no quotes in any of these configurations, nor in a shell. */
static bool is_plain(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && (unsigned char)*text < 0x80 && !strchr("/._+:@,-", *text))
			return false;
	return true;
}

static const char *file_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The image's name in the mount: how many of its file's bytes. */
static int shown_length(const char *file)
{
	size_t length = strlen(file);

	if (length > 4 && (strcmp(file + length - 4, ".img") == 0 || strcmp(file + length - 4, ".raw") == 0))
		length -= 4;
	return (int)length;
}

static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *text, ...)
{
	va_list arguments;
	char *made;
	int length;

	va_start(arguments, text);
	length = vasprintf(&made, text, arguments);
	va_end(arguments);
	return length < 0 ? NULL : made;
}

static const char *iqn_of(const struct export *export)
{
	return export->iqn ? export->iqn : EXPORT_IQN;
}

char *export_name(const struct export *export)
{
	const char *file = file_of(export->path);
	int shown = shown_length(file);

	switch (export->server) {
	case EXPORT_NBDKIT:
		return strdup(file);
	case EXPORT_TGT:
	case EXPORT_LIO:
		return format("%s:%.*s", iqn_of(export), shown, file);
	case EXPORT_NBD_SERVER:
	case EXPORT_SERVERS:
	default:
		return strndup(file, (size_t)shown);
	}
}

char *export_initiator(const struct export *export)
{
	return format("%s:%s", iqn_of(export), export->board ? export->board : "");
}

/* ---- steps ---------------------------------------------------------------- */

/* Takes `unless` over. The words end with a NULL; what there was no memory for shows at the end, see whole(). */
static void add_step(struct export_plan *plan, char *unless, ...)
{
	struct export_step *step = &plan->steps[plan->step_count++];
	va_list arguments;
	const char *word;

	step->unless = unless;
	va_start(arguments, unless);
	for (size_t i = 0; i + 1 < EXPORT_WORDS_MAX && (word = va_arg(arguments, const char *)); i++) {
		step->words[i] = strdup(word);
		if (!step->words[i])
			break;
	}
	va_end(arguments);
}

void export_plan_free(struct export_plan *plan)
{
	free(plan->text);
	free(plan->file);
	for (size_t i = 0; i < plan->step_count; i++) {
		for (size_t j = 0; j < EXPORT_WORDS_MAX; j++)
			free(plan->steps[i].words[j]);
		free(plan->steps[i].unless);
	}
	*plan = (struct export_plan){ .text = NULL };
}

/* ---- NBD ------------------------------------------------------------------ */

static void plan_nbd_server(const struct export *export, const char *name, struct export_plan *plan)
{
	CLEANUP_FREE char *report = export->control ? format("transactionlog = %s\n", export->control) : strdup("");

	if (!report)
		return;
	plan->text = format("[%s]\n"
			    "exportname = %s\n"
			    "%s"
			    "flush = true\n"
			    "fua = true\n"
			    "trim = true\n",
			    name, export->path, report);
	plan->file = format("/etc/nbd-server/conf.d/imagefs-%s.conf", name);
	add_step(plan, NULL, "chown", "nbd:nbd", export->path, NULL);
	plan->package = "nbd-server";
	/* No SIGHUP: 3.24, told of an export that has `flush`, ends at the next client, whichever export that wants. */
	plan->note = "nbd-server has to be restarted (systemctl restart nbd-server.service), which cuts boards off that work: "
		     "after SIGHUP it does not serve anybody any more";
}

/* It serves a whole directory: the second image needs nothing but its owner. */
static void plan_nbdkit(const struct export *export, struct export_plan *plan)
{
	CLEANUP_FREE char *directory = strndup(export->path, (size_t)(file_of(export->path) - export->path - 1));
	CLEANUP_FREE char *report = export->control ? format(" imagefs-dir=%s", export->control) : strdup("");
	CLEANUP_FREE char *writable = export->control ? format(" -%s", export->control) : strdup("");

	if (!directory || !report || !writable)
		return;
	plan->text = format("[Unit]\n"
			    "Description=NBD server of %s\n"
			    "After=network.target srv-boot.mount imagefs@boot.service\n"
			    "\n"
			    "[Service]\n"
			    "Type=forking\n"
			    "ExecStart=/usr/bin/nbdkit --port=10809%s file dir=%s%s\n"
			    "Restart=on-failure\n"
			    "User=nbd\n"
			    "Group=nbd\n"
			    "NoNewPrivileges=yes\n"
			    "ProtectSystem=strict\n"
			    "ReadWritePaths=%s%s\n"
			    "ProtectHome=yes\n"
			    "PrivateTmp=yes\n"
			    "ProtectKernelTunables=yes\n"
			    "ProtectControlGroups=yes\n"
			    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n"
			    "\n"
			    "[Install]\n"
			    "WantedBy=multi-user.target\n",
			    directory, export->control ? " --filter=imagefs" : "", directory, report, directory, writable);
	plan->file = strdup("/etc/systemd/system/nbdkit-imagefs.service");
	add_step(plan, NULL, "chown", "nbd:nbd", export->path, NULL);
	add_step(plan, NULL, "systemctl", "daemon-reload", NULL);
	add_step(plan, NULL, "systemctl", "enable", "--now", "nbdkit-imagefs.service", NULL);
	plan->package = "nbdkit";
	plan->note = "one nbdkit serves every image of that directory, as the user nbd: adduser --system --group nbd, if there is none";
}

/* ---- iSCSI ---------------------------------------------------------------- */

static void plan_tgt(const struct export *export, const char *name, struct export_plan *plan)
{
	const char *file = file_of(export->path);

	plan->text = format("<target %s>\n"
			    "\t<backing-store %s>\n"
			    "\t\tbs-type rdwr\n"
			    "\t\tallow-in-use yes\n"
			    "\t\tthin-provisioning 1\n"
			    "\t</backing-store>\n"
			    "</target>\n",
			    name, export->path);
	plan->file = format("/etc/tgt/conf.d/imagefs-%.*s.conf", shown_length(file), file);
	add_step(plan, NULL, "tgt-admin", "--update", name, NULL);
	plan->package = "tgt";
	plan->note = "every initiator may have it: initiator-address in the file says which";
}

static void write_steps(FILE *out, const struct export_plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; plan->steps[i].words[j]; j++)
			fprintf(out, "%s%c", plan->steps[i].words[j], plan->steps[i].words[j + 1] ? ' ' : '\n');
}

/* The kernel has it in a filesystem of its own, and targetcli keeps it for the next boot. */
static void plan_lio(const struct export *export, const char *name, struct export_plan *plan)
{
	const char *file = file_of(export->path), *there = "/sys/kernel/config/target/iscsi/";
	CLEANUP_FREE char *store = format("name=%.*s", shown_length(file), file);
	CLEANUP_FREE char *from = format("%s=%s", export->is_device ? "dev" : "file_or_dev", export->path);
	CLEANUP_FREE char *luns = format("/iscsi/%s/tpg1/luns", name), *acls = format("/iscsi/%s/tpg1/acls", name);
	CLEANUP_FREE char *backstore = format("/backstores/%s/%s", export->is_device ? "block" : "fileio", store ? store + 5 : "");
	CLEANUP_FREE char *initiator = export_initiator(export);
	FILE *out;
	size_t length;

	if (!store || !from || !luns || !acls || !backstore || !initiator)
		return;
	add_step(plan, format("%s%s", there, name), "targetcli", export->is_device ? "/backstores/block" : "/backstores/fileio",
		 "create", store, from, NULL);
	add_step(plan, format("%s%s", there, name), "targetcli", "/iscsi", "create", name, NULL);
	add_step(plan, format("%s%s/tpgt_1/lun/lun_0", there, name), "targetcli", luns, "create", backstore, NULL);
	if (export->board)
		add_step(plan, format("%s%s/tpgt_1/acls/%s", there, name, initiator), "targetcli", acls, "create", initiator, NULL);
	add_step(plan, NULL, "targetcli", "saveconfig", NULL);
	out = open_memstream(&plan->text, &length);
	if (!out)
		return;
	write_steps(out, plan);
	if (fclose(out) != 0) {
		free(plan->text);
		plan->text = NULL;
	}
	plan->package = "targetcli-fb";
	plan->note = export->board ? NULL : "no board may have it yet: acls create says which";
}

/* ---- making them ------------------------------------------------------------ */

static int whole(struct export_plan *plan)
{
	bool made = plan->text && (plan->file || strcmp(plan->package, "targetcli-fb") == 0);

	for (size_t i = 0; i < plan->step_count; i++)
		made = made && plan->steps[i].words[1];
	if (!made)
		export_plan_free(plan);
	return made ? 0 : -ENOMEM;
}

int export_plan_make(const struct export *export, struct export_plan *plan)
{
	CLEANUP_FREE char *name = export_name(export);

	*plan = (struct export_plan){ .text = NULL };
	if (!name)
		return -ENOMEM;
	if (export->path[0] != '/' || !is_plain(export->path) || !*file_of(export->path) || !is_plain(iqn_of(export)) ||
	    (export->board && !is_plain(export->board)) || (export->control && !is_plain(export->control)))
		return -EINVAL;
	switch (export->server) {
	case EXPORT_NBD_SERVER:
		plan_nbd_server(export, name, plan);
		break;
	case EXPORT_NBDKIT:
		plan_nbdkit(export, plan);
		break;
	case EXPORT_TGT:
		plan_tgt(export, name, plan);
		break;
	case EXPORT_LIO:
		plan_lio(export, name, plan);
		break;
	case EXPORT_SERVERS:
	default:
		return -EINVAL;
	}
	return whole(plan);
}

int export_plan_dnsmasq(const struct export_dnsmasq *dnsmasq, struct export_plan *plan)
{
	const char *network = dnsmasq->network;

	*plan = (struct export_plan){ .text = NULL };
	if (dnsmasq->mountpoint[0] != '/' || !is_plain(dnsmasq->mountpoint) || (network && !is_plain(network)))
		return -EINVAL;
	plan->text = format("enable-tftp\n"
			    "tftp-root=%s\n"
			    "tftp-no-fail\n"
			    "tftp-max=200\n"
			    "%s"
			    "%s%s%s"
			    "%s",
			    dnsmasq->mountpoint, dnsmasq->by_mac ? "tftp-unique-root=mac\n" : "", network ? "dhcp-range=" : "",
			    network ? network : "",
			    network ? ",proxy\npxe-service=0,\"Raspberry Pi Boot   \"\nlog-dhcp\n" : "",
			    dnsmasq->dns ? "" : "port=0\n");
	plan->file = strdup("/etc/dnsmasq.d/imagefs.conf");
	plan->package = "dnsmasq";
	if (plan->file) {
		CLEANUP_FREE char *tested = format("--conf-file=%s", plan->file);

		add_step(plan, NULL, "dnsmasq", "--test", tested, NULL);
	}
	add_step(plan, NULL, "systemctl", "restart", "dnsmasq.service", NULL);
	if (dnsmasq->by_mac)
		plan->note = "boards are found by their MACs, whatever their EEPROM says: TFTP_PREFIX=1 and an empty TFTP_PREFIX_STR in it";
	return whole(plan);
}
