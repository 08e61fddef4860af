#!/bin/bash
# Bad input to every program: one clear line that names what is wrong, exit status 1 (2 for
# wrong usage), and nothing is changed. A table: STATUS | what must be named | command.
. "$(dirname "$0")/../lib.sh"
export PATH=$TOP/tools:$(dirname "$IMAGEFS"):$PATH
cd "$T" || exit 1
mkdir empty full
board full/a.img text
head -c 100000 /dev/urandom >noise
echo text >text
: >nothing
truncate -s 1G sparse
cp full/a.img cut.img && truncate -s 1100000 cut.img
table() {
	cat <<'TABLE'
2 | SOURCE is missing | imagefs
2 | MOUNTPOINT is missing | imagefs full
2 | --nonsense | imagefs --nonsense full mnt
2 | nonsense | imagefs -o nonsense full mnt
2 | extra | imagefs full mnt extra
2 | umask=8 | imagefs -o umask=8 full mnt
2 | settle=x | imagefs -o settle=x full mnt
2 | keep=-1 | imagefs -o keep=-1 full mnt
2 | changes=some | imagefs -o changes=some full mnt
2 | control= | imagefs -o control= full mnt
2 | control_group=no-such-group | imagefs -o control_group=no-such-group full mnt
2 | tz=CET | imagefs -o tz=CET full mnt
2 | --debug=some | imagefs --debug=some full mnt
1 | nowhere | imagefs nowhere mnt
1 | nowhere | imagefs full nowhere
1 | text | imagefs full text
1 | text | imagefs text mnt
1 | nothing | imagefs nothing mnt
1 | sparse | imagefs sparse mnt
1 | noise | imagefs noise mnt
2 | --help | imagefsctl
2 | nonsense | imagefsctl nonsense
2 | nonsense | imagefsctl --nonsense
2 | board2 | imagefsctl status board1 board2
2 | flush | imagefsctl flush
1 | nowhere | imagefsctl --control nowhere status
1 | empty | imagefsctl --control empty status
1 | empty | imagefsctl --control empty flush a
1 | empty | imagefsctl --control empty metrics
2 | check | imagefsctl check
2 | board1 | imagefsctl metrics board1
2 | nowhere | imagefsctl check ./nowhere
1 | noise | imagefsctl ls ./noise
2 | cat | imagefsctl cat ./full/a.img
2 | --pi | imagefsctl check --pi 9 ./full/a.img
1 | nowhere.txt | imagefsctl cat ./full/a.img nowhere.txt
1 | a.img | imagefsctl ls ./full/a.img:7
2 | TEMPLATE | imagefs-prep
2 | --nonsense | imagefs-prep --nonsense full/a.img b.img
2 | 16G | imagefs-prep --size x full/a.img b.img
2 | server | imagefs-prep --root nbd full/a.img b.img
1 | nowhere | imagefs-prep nowhere b.img
1 | nowhere | imagefs-prep full/a.img nowhere/b.img
1 | full | imagefs-prep full b.img
1 | is there already | imagefs-prep full/a.img text
1 | nowhere | imagefs-prep --copy nowhere full/a.img b.img
1 | SHA-256 | imagefs-prep --sha256 text full/a.img b.img
1 | partition table | imagefs-prep --ssh noise b.img
1 | partition table | imagefs-prep --ssh noise
1 | =x | imagefs-prep --config =x full/a.img b.img
1 | nowhere | nobodd-boards nowhere
2 | --nonsense | nobodd-boards --nonsense
1 | text | nobodd-boards text
1 | noise | nobodd-boards noise
2 | HOST | tftp-storm
2 | no boards | tftp-storm 127.0.0.1
2 | 0 | tftp-storm --boards 0 127.0.0.1
2 | 6 | tftp-storm --model 6 --boards 1 127.0.0.1
2 | soon | tftp-storm --window soon --boards 1 127.0.0.1
2 | --nonsense | tftp-storm --nonsense 127.0.0.1
1 | nowhere | tftp-storm --sequence nowhere --boards 1 127.0.0.1
1 | line 1 | tftp-storm --sequence text --boards 1 127.0.0.1
2 | nothing | tftp-storm --sequence nothing --boards 1 127.0.0.1
1 | nowhere | tftp-storm --boards-in nowhere 127.0.0.1
2 | nonsense | install-deps nonsense
2 | --nonsense | build-deb --nonsense
2 | one directory | build-deb a b
2 | nonsense | make-pi-image --nonsense out.img
2 | usage | make-pi-image
TABLE
}
state() { find . -mindepth 1 -not -name 'std*' -printf '%P %s %T@ %l\n' | sort; }
state >std-before
failures=0
while IFS='|' read -r status named command; do
	status=${status// /} named=${named# } named=${named% }
	read -ra words <<<"$command"
	got=0
	"${words[@]}" >stdout 2>stderr </dev/null || got=$?
	problem=
	[ "$got" = "$status" ] || problem="exit status $got, not $status"
	grep -qF -- "$named" stderr || problem="does not name '$named'"
	[ "$status" = 2 ] || [ "$(wc -l <stderr)" = 1 ] || problem="$(wc -l <stderr) lines"
	[ "$(wc -l <stderr)" -le 40 ] || problem="floods the screen"
	grep -qiE 'traceback|assert|segmentation' stderr && problem="crashed"
	state >std-after
	cmp -s std-before std-after || problem="changed something: $(diff std-before std-after | tail -n1)"
	if [ -n "$problem" ]; then
		echo "${command# }: $problem: $(tail -n1 stderr)"
		failures=$((failures + 1))
	fi
done < <(table)
is "wrong" $failures 0
not_mounted || fail "mounted"

# What is asked for and cannot be written is an error.
for words in 'imagefs --help' 'imagefs --version' 'imagefs-prep --help' 'imagefs-prep --version' 'imagefsctl --help' 'imagefsctl --version' 'imagefsctl ls --help'; do
	status=0
	# shellcheck disable=SC2086 # a list
	$words >/dev/full 2>stderr || status=$?
	is "$words to a full disk: exit status" $status 1
	grep -q 'standard output: No space left' stderr || fail "$words to a full disk: $(cat stderr)"
	status=0
	# shellcheck disable=SC2086 # a list
	$words >&- 2>stderr || status=$?
	is "$words to nobody: exit status" $status 1
	grep -q 'standard output: Bad file descriptor' stderr || fail "$words to nobody: $(cat stderr)"
done
# A verdict that nobody has got is none: not 1, which is that there are problems.
truncate -s 1M zeros.img
for to in /dev/full '&-'; do
	for words in 'check zeros.img' 'check --json zeros.img'; do
		status=0
		eval "imagefsctl $words >$to" 2>stderr || status=$?
		is "$words to $to: exit status" $status 2
		grep -q 'standard output: ' stderr || fail "$words to $to: $(cat stderr)"
	done
done
