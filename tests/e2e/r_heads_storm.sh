#!/bin/bash
# R: 64 boards boot at once from four heads, each from the one that DHCP would name, all from one store; every file is right. Then a
# head is lost while they boot: those of the others do not notice, and its own boot from another head, which knows no less. What
# was written meanwhile is what it shows when it is back.
# usage: r_heads_storm.sh STORE [BOARDS [ROUNDS]]
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../heads.sh"
make_boards "${2:-64}"
start_store "$1"
start_heads
at_heads warm
if told 1; then echo "the store tells: cold"; fi
storms --rounds $((${3:-1} * LONGER)) || fail "a wrong file"
cat "$T/storm1"

echo "a head is lost"
# Its boards are in the midst of a transfer: a write to the dead daemon's mount is an error, a dead server is silent.
sent() { grep -c 'sent .*/start4.elf' "$T/dnsmasq2.log" || true; }
before=$(sent) # those of the storm above
{ storm 2 2 --timeout 2 || exit 1; } &
lost=$!
for number in 1 3 4; do storm "$number" & pids[number]=$!; done
has_begun() { [ "$(sent)" -gt "$before" ]; }
wait_until 30 has_begun
kill_head 2
if wait $lost; then fail "nothing was lost"; fi
for number in 1 3 4; do wait "${pids[number]}" || { cat "$T/storm$number" && fail "head $number noticed it"; }; done
storm 3 2 || { cat "$T/storm3" && fail "the boards of head 2, at head 3"; }

echo "the head is back"
for board in $(boards_of 2); do
	rewrite "$board" again
done
# Head 3 has served them before.
storm 3 2 || { cat "$T/storm3" && fail "the boards of head 2, written to, at head 3"; }
start_head 2
warm 2
storm 2 || { cat "$T/storm2" && fail "head 2, back"; }
