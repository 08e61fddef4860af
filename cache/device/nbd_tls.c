/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_tls.h"

#ifdef HAVE_GNUTLS

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/nbd_uri.h"

/* A list of all authorities that there are has some 100 KiB. */
#define FILE_BYTES_MAX ((off_t)1 << 20)

/* The protocol's document wants at least TLS 1.2 (doc/proto.md, "Security Considerations"). */
#define VERSIONS "-VERS-TLS1.0:-VERS-TLS1.1"

struct nbd_tls {
	gnutls_session_t session;
	gnutls_certificate_credentials_t certificates; /* or NULL, and then: */
	gnutls_psk_client_credentials_t key;
	bool verified; /* the server's certificate is looked at: */
	gnutls_typed_vdata_st wanted[2]; /* what it has to be for */
};

static void say(char why[NBD_TLS_WHY_BYTES], const char *what, int error)
{
	snprintf(why, NBD_TLS_WHY_BYTES, "%s: %s", what, gnutls_strerror(error));
}

/* ---- files --------------------------------------------------------------------------------- */

/* There may be a key in it. */
static void forget(gnutls_datum_t *file)
{
	if (file->data)
		explicit_bzero(file->data, file->size);
	free(file->data);
	*file = (gnutls_datum_t){ 0 };
}

static int read_all(int fd, gnutls_datum_t *file)
{
	struct stat st;
	ssize_t got = 1;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_BYTES_MAX)
		return -EFBIG;
	file->data = malloc((size_t)st.st_size + 1);
	if (!file->data)
		return -ENOMEM;
	/* Ends at the size that it had. */
	while (got > 0 && file->size < st.st_size) {
		got = read(fd, file->data + file->size, (size_t)st.st_size - file->size);
		file->size += got > 0 ? (unsigned)got : 0;
	}
	file->data[file->size] = '\0';
	return got < 0 ? -errno : 0;
}

/* Whole; `file` is for forget() in any case. -ENOENT says nothing: it may be one that need not be there. */
static int read_file(const char *path, gnutls_datum_t *file, char why[NBD_TLS_WHY_BYTES])
{
	/* Looked at first: to open some devices does something (a watchdog, a tape), and who named it need not be allowed to. */
	struct stat st;
	int error = stat(path, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	CLEANUP_FD int fd = error == 0 ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;

	if (error == 0)
		error = fd < 0 ? -errno : read_all(fd, file);
	*why = '\0';
	if (error != 0)
		snprintf(why, NBD_TLS_WHY_BYTES, "%s: %s", path,
			 error == -EINVAL ? "is no regular file" : strerror(-error));
	return error;
}

static int read_in(const char *directory, const char *name, gnutls_datum_t *file, char why[NBD_TLS_WHY_BYTES])
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return read_file(path, file, why);
}

/* ---- certificates -------------------------------------------------------------------------------- */

/* Who asks: both files, or neither. */
static int load_client(struct nbd_tls *tls, const char *directory, char why[NBD_TLS_WHY_BYTES])
{
	gnutls_datum_t certificate = { 0 }, key = { 0 };
	int error = read_in(directory, "client-cert.pem", &certificate, why), told;

	if (error == -ENOENT)
		return 0;
	/* What lacks is not nothing: who looks for a directory is not to go on to another, which trusts others. */
	if (error == 0 && (error = read_in(directory, "client-key.pem", &key, why)) == -ENOENT)
		error = -EINVAL;
	if (error == 0) {
		told = gnutls_certificate_set_x509_key_mem(tls->certificates, &certificate, &key, GNUTLS_X509_FMT_PEM);
		if (told < 0) {
			say(why, "client-cert.pem, client-key.pem", told);
			error = -EINVAL;
		}
	}
	forget(&certificate);
	forget(&key);
	return error;
}

static int load_revoked(struct nbd_tls *tls, const char *directory, char why[NBD_TLS_WHY_BYTES])
{
	gnutls_datum_t file = { 0 };
	int error = read_in(directory, "ca-crl.pem", &file, why), told;

	if (error == 0) {
		told = gnutls_certificate_set_x509_crl_mem(tls->certificates, &file, GNUTLS_X509_FMT_PEM);
		if (told < 0) {
			say(why, "ca-crl.pem", told);
			error = -EINVAL;
		}
	}
	forget(&file);
	return error == -ENOENT ? 0 : error;
}

/* -ENOENT: there is no ca-cert.pem. */
static int load_directory(struct nbd_tls *tls, const char *directory, char why[NBD_TLS_WHY_BYTES])
{
	gnutls_datum_t file = { 0 };
	int error = read_in(directory, "ca-cert.pem", &file, why), told;

	if (error == 0) {
		told = gnutls_certificate_set_x509_trust_mem(tls->certificates, &file, GNUTLS_X509_FMT_PEM);
		if (told <= 0) {
			say(why, "ca-cert.pem", told < 0 ? told : GNUTLS_E_NO_CERTIFICATE_FOUND);
			error = -EINVAL;
		}
	}
	forget(&file);
	if (error == 0)
		error = load_client(tls, directory, why);
	return error != 0 ? error : load_revoked(tls, directory, why);
}

static bool by_root; /* constant once there are objects */

void nbd_tls_by_root(void)
{
	by_root = true;
}

static bool is_root(void)
{
	return by_root || geteuid() == 0;
}

static int load_found(struct nbd_tls *tls, char why[NBD_TLS_WHY_BYTES])
{
	static const char *const below_home[] = { "/.pki/libnbd", "/.config/pki/libnbd" };
	const char *home = getenv("HOME");
	int error = -ENOENT, told;

	if (is_root())
		error = load_directory(tls, "/etc/pki/libnbd", why);
	for (size_t i = 0; !is_root() && home && error == -ENOENT && i < sizeof(below_home) / sizeof(below_home[0]); i++) {
		CLEANUP_FREE char *path = NULL;

		if (asprintf(&path, "%s%s", home, below_home[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		error = load_directory(tls, path, why);
	}
	if (error != -ENOENT)
		return error;
	told = gnutls_certificate_set_x509_system_trust(tls->certificates);
	if (told < 0) {
		say(why, "the system's certificates", told);
		return -EINVAL;
	}
	return 0;
}

static bool is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* A client's certificate is none of a server. A unix socket has no name that could be compared. */
static void verify(struct nbd_tls *tls, const char *host)
{
	static char for_servers[] = GNUTLS_KP_TLS_WWW_SERVER;

	tls->wanted[0] = (gnutls_typed_vdata_st){ .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)for_servers };
	tls->wanted[1] = (gnutls_typed_vdata_st){ .type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(uintptr_t)host };
	gnutls_session_set_verify_cert2(tls->session, tls->wanted, host ? 2 : 1, 0);
}

static int use_certificates(struct nbd_tls *tls, const struct nbd_uri *uri, char why[NBD_TLS_WHY_BYTES])
{
	int told = gnutls_certificate_allocate_credentials(&tls->certificates), error;

	if (told < 0)
		return -ENOMEM;
	error = uri->tls_certificates ? load_directory(tls, uri->tls_certificates, why) : load_found(tls, why);
	if (error != 0)
		return error;
	told = gnutls_set_default_priority_append(tls->session, VERSIONS, NULL, 0);
	if (told >= 0)
		told = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->certificates);
	if (told >= 0 && uri->host && !is_address(uri->host))
		told = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, uri->host, strlen(uri->host));
	tls->verified = uri->tls_verify_peer;
	if (tls->verified)
		verify(tls, uri->host);
	if (told < 0)
		say(why, "certificates", told);
	return told < 0 ? -EINVAL : 0;
}

/* ---- a key that both sides have ------------------------------------------------------------------------- */

/* The rest of the line USER:KEY, without its end; or NULL. Each step takes a line of what is in memory. */
static char *find_key(gnutls_datum_t *file, const char *user)
{
	size_t length = strlen(user);
	char *next = (char *)file->data, *line;

	while ((line = strsep(&next, "\n"))) {
		if (strncmp(line, user, length) != 0 || line[length] != ':')
			continue;
		line[strcspn(line, "\r")] = '\0';
		return line + length + 1;
	}
	return NULL;
}

static int set_key(struct nbd_tls *tls, const char *user, char *text)
{
	const gnutls_datum_t key = { (unsigned char *)text, (unsigned)strlen(text) };
	int told = gnutls_psk_allocate_client_credentials(&tls->key);

	if (told >= 0)
		told = gnutls_psk_set_client_credentials(tls->key, user, &key, GNUTLS_PSK_KEY_HEX);
	if (told >= 0)
		told = gnutls_set_default_priority_append(tls->session, "+ECDHE-PSK:+DHE-PSK:+PSK:" VERSIONS, NULL, 0);
	return told >= 0 ? gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->key) : told;
}

static int use_key(struct nbd_tls *tls, const struct nbd_uri *uri, char why[NBD_TLS_WHY_BYTES])
{
	const struct passwd *me = uri->user ? NULL : getpwuid(by_root ? 0 : getuid());
	const char *user = uri->user ? uri->user : me ? me->pw_name : "root";
	gnutls_datum_t file = { 0 };
	int error = read_file(uri->tls_psk_file, &file, why), told;
	char *key = error == 0 ? find_key(&file, user) : NULL;

	if (error == 0 && !key) {
		snprintf(why, NBD_TLS_WHY_BYTES, "%s: there is no key of the user %s in it", uri->tls_psk_file, user);
		error = -EINVAL;
	}
	if (error == 0 && (told = set_key(tls, user, key)) < 0) {
		say(why, uri->tls_psk_file, told);
		error = -EINVAL;
	}
	forget(&file);
	return error;
}

/* ---- interface ---------------------------------------------------------------------------------------- */

int nbd_tls_new(const struct nbd_uri *uri, struct nbd_tls **out, char why[NBD_TLS_WHY_BYTES])
{
	struct nbd_tls *tls = calloc(1, sizeof(*tls));
	int error = tls ? 0 : -ENOMEM;

	*why = '\0';
	if (tls && gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		tls->session = NULL;
		error = -ENOMEM;
	}
	if (error == 0)
		error = uri->tls_psk_file ? use_key(tls, uri, why) : use_certificates(tls, uri, why);
	if (error != 0) {
		nbd_tls_free(tls);
		if (*why == '\0')
			snprintf(why, NBD_TLS_WHY_BYTES, "%s", strerror(-error));
		return error;
	}
	*out = tls;
	return 0;
}

void nbd_tls_free(struct nbd_tls *tls)
{
	if (!tls)
		return;
	if (tls->session)
		gnutls_deinit(tls->session);
	if (tls->certificates)
		gnutls_certificate_free_credentials(tls->certificates);
	if (tls->key)
		gnutls_psk_free_client_credentials(tls->key);
	free(tls);
}

/* GnuTLS's own words; those of the server are a number. */
static void say_failure(struct nbd_tls *tls, int error, char why[NBD_TLS_WHY_BYTES])
{
	const char *alert = error == GNUTLS_E_FATAL_ALERT_RECEIVED ?
				    gnutls_alert_get_name(gnutls_alert_get(tls->session)) : NULL;

	snprintf(why, NBD_TLS_WHY_BYTES, "%s%s%s", gnutls_strerror(error), alert ? " " : "", alert ? alert : "");
}

static void say_distrust(struct nbd_tls *tls, char why[NBD_TLS_WHY_BYTES])
{
	gnutls_datum_t text;
	unsigned status = gnutls_session_get_verify_cert_status(tls->session);

	snprintf(why, NBD_TLS_WHY_BYTES, "%s", gnutls_strerror(GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR));
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
		return;
	snprintf(why, NBD_TLS_WHY_BYTES, "%s", (const char *)text.data);
	for (size_t end = strlen(why); end > 0 && why[end - 1] == ' '; end--)
		why[end - 1] = '\0';
	gnutls_free(text.data);
}

/* What was agreed upon is what was wanted: else nobody has shown who he is. */
static bool is_proven(struct nbd_tls *tls)
{
	gnutls_credentials_type_t type = gnutls_auth_get_type(tls->session);

	if (tls->key)
		return type == GNUTLS_CRD_PSK;
	return type == GNUTLS_CRD_CERTIFICATE &&
	       (!tls->verified || gnutls_session_get_verify_cert_status(tls->session) == 0);
}

int nbd_tls_handshake(struct nbd_tls *tls, int fd, char why[NBD_TLS_WHY_BYTES])
{
	int told;

	gnutls_transport_set_int(tls->session, fd);
	told = gnutls_handshake(tls->session);
	if (told == GNUTLS_E_SUCCESS && is_proven(tls))
		return 0;
	if (told < 0 && !gnutls_error_is_fatal(told))
		return -EAGAIN;
	if (told == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
		say_distrust(tls, why);
		return -EKEYREJECTED;
	}
	say_failure(tls, told < 0 ? told : GNUTLS_E_INSUFFICIENT_CREDENTIALS, why);
	return -EPROTO;
}

bool nbd_tls_wants_to_write(const struct nbd_tls *tls)
{
	return gnutls_record_get_direction(tls->session) == 1;
}

static ssize_t result_of(struct nbd_tls *tls, ssize_t told, char why[NBD_TLS_WHY_BYTES])
{
	if (told >= 0)
		return told;
	if (!gnutls_error_is_fatal((int)told))
		return -EAGAIN;
	say_failure(tls, (int)told, why);
	return -EPROTO;
}

ssize_t nbd_tls_receive(struct nbd_tls *tls, void *buffer, size_t bytes, char why[NBD_TLS_WHY_BYTES])
{
	return result_of(tls, gnutls_record_recv(tls->session, buffer, bytes), why);
}

ssize_t nbd_tls_send(struct nbd_tls *tls, const void *buffer, size_t bytes, char why[NBD_TLS_WHY_BYTES])
{
	return result_of(tls, gnutls_record_send(tls->session, buffer, bytes), why);
}

void nbd_tls_end(struct nbd_tls *tls)
{
	gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

#endif
