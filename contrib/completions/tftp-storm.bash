# tftp-storm's options, for bash-completion. SPDX-License-Identifier: LGPL-2.1-or-later
_tftp-storm() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=
	COMPREPLY=()
	case $previous in
	-m|--model) words='3 4 5' ;;
	-i|--boards-in|-a|--against)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		compopt -o filenames 2>/dev/null
		return ;;
	-s|--sequence)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames 2>/dev/null
		return ;;
	-b|--board|-n|--boards|-p|--pattern|-f|--file|-B|--blksize|-r|--rounds|-w|--window|-t|--timeout) return ;;
	esac
	if [ -z "$words" ] && [[ $current == -* ]]; then
		words='-b --board -n --boards -p --pattern -i --boards-in -m --model -s --sequence -f --file -B --blksize
			-r --rounds -w --window -t --timeout -a --against -j --json -h --help -V --version'
	fi
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -A hostname -- "$current")
	fi
}
complete -F _tftp-storm tftp-storm
