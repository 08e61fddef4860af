#!/bin/bash
# contrib/prometheus: promtool accepts the rules and what metrics say; each rule fires and ends as its
# test says; every series that a rule is about is one that a running imagefs has.
. "$(dirname "$0")/../lib.sh"
requires root netns promtool dnsmasq
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
rules=$TOP/contrib/prometheus/imagefs.rules.yml
promtool check rules "$rules" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
promtool test rules "$TOP/contrib/prometheus/imagefs.rules.test.yml" >"$T/out" 2>&1 || fail "$(cat "$T/out")"

board "$SRC/jammy.img"
truncate -s 1M "$SRC/zeros.img"
ln -s jammy.img "$SRC/89025d75"
ln -s zeros.img "$SRC/11111111"
mount_imagefs
start_dnsmasq "$MNT"
tftp get 127.0.0.1 69 89025d75/config.txt >/dev/null
refuses 'error 0' tftp get 127.0.0.1 69 11111111/config.txt
refuses 'error 1' tftp get 127.0.0.1 69 ffffffff/start4.elf
"$IMAGEFSCTL" --control "$CONTROL" metrics >"$T/metrics"
promtool check metrics <"$T/metrics" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
while read -r name; do
	grep -qE "^$name\{" "$T/metrics" || fail "no $name: $(cat "$T/metrics")"
done < <(grep -oE '\bimagefs_[a-z_]+' "$rules" | sort -u)
# Times are of this clock.
for metric in 'board_error_timestamp_seconds{image="zeros",board="11111111"}' 'no_image_asked_timestamp_seconds{board="ffffffff"}'; do
	awk -v metric="imagefs_$metric" -v now="$(date +%s)" '$1 == metric { found = now - $2 < 60 && now - $2 > -2 } END { exit !found }' "$T/metrics" ||
		fail "$metric: $(cat "$T/metrics")"
done
