#!/bin/zsh -f
# known.zsh DIRECTORY LINE: what zsh completes at the end of LINE with the functions in
# DIRECTORY, a line each. A zsh of its own at a terminal, whose compadd tells.
zmodload zsh/zpty
out=$(mktemp)
trap 'zpty -d shell; rm -f $out' EXIT
said() { repeat 200; do grep -qx "$1" $out && return; sleep 0.05; done; exit 1 }
zpty shell zsh -f -i
zpty -w shell "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D
compadd() {
	local -a hits
	if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
		builtin compadd -A hits \"\$@\"
		print -rl -- \$hits >>$out
	fi
	builtin compadd \"\$@\"
}
finish() { print DONE >>$out; }; zle -N finish; bindkey '^X' finish; setopt no_beep; print READY >>$out"
said READY
zpty -n -w shell "$2"$'\t\x18'
said DONE
grep -vxE 'READY|DONE|' $out | sort -u
