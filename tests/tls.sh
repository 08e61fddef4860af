# Certificates and keys for TLS with block servers, made by GnuTLS's own tools; sourced after lib.sh. Bash.
#
# Gives: $TLS, a directory that root alone may enter, and in it, as nbdkit and libnbd want them: server/ and client/, whose
# certificates the same authority signed; other/, a client's that trusts another one; keys, with the user imagefs.
# shellcheck shell=bash
requires root nbdkit certtool psktool
case $("$IMAGEFS" --version) in *without*) skip "built without GnuTLS" ;; esac
nbdkit --dump-config | grep '^tls=yes' >/dev/null || skip "nbdkit has no TLS"
TLS=$T/tls
mkdir -m 700 "$TLS" "$TLS/server" "$TLS/client" "$TLS/other"

certificate() { # certificate FILE-WITHOUT-END AUTHORITY LINE...: signed by $AUTHORITY-cert.pem; by itself if that is the same
	local file=$1 authority=$2
	shift 2
	printf '%s\n' expiration_days=10 "$@" >"$TLS/template"
	certtool --generate-privkey --key-type=ecdsa --outfile "$file-key.pem" 2>>"$T/certtool.log"
	if [ "$file" = "$authority" ]; then
		certtool --generate-self-signed --load-privkey "$file-key.pem" --template "$TLS/template" \
			--outfile "$file-cert.pem" 2>>"$T/certtool.log"
	else
		certtool --generate-certificate --load-privkey "$file-key.pem" --load-ca-certificate "$authority-cert.pem" \
			--load-ca-privkey "$authority-key.pem" --template "$TLS/template" --outfile "$file-cert.pem" 2>>"$T/certtool.log"
	fi
}

certificate "$TLS/ours" "$TLS/ours" 'cn = "imagefs test"' ca cert_signing_key
certificate "$TLS/theirs" "$TLS/theirs" 'cn = "somebody else"' ca cert_signing_key
certificate "$TLS/server/server" "$TLS/ours" 'cn = localhost' 'dns_name = localhost' 'ip_address = 127.0.0.1' tls_www_server \
	signing_key encryption_key
certificate "$TLS/client/client" "$TLS/ours" 'cn = client' tls_www_client signing_key encryption_key
cp "$TLS/ours-cert.pem" "$TLS/server/ca-cert.pem"
cp "$TLS/ours-cert.pem" "$TLS/client/ca-cert.pem"
cp "$TLS/theirs-cert.pem" "$TLS/other/ca-cert.pem"
psktool -u imagefs -p "$TLS/keys" >>"$T/certtool.log"
chmod 600 "$TLS"/*/*.pem "$TLS/keys"

BY_CERTIFICATES=(--tls=require "--tls-certificates=$TLS/server" --tls-verify-peer)
BY_KEY=(--tls=require "--tls-psk=$TLS/keys")
