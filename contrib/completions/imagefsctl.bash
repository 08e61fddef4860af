# imagefsctl's commands, images and boards, for bash-completion. SPDX-License-Identifier: LGPL-2.1-or-later

# Every name that a control directory lists is an image; boards, and links that lead to nothing, stand in
# status.json, in which what has a backslash would have to be decoded, and is left out.
_imagefsctl_names() {
	local directory
	while read -r _ directory _; do
		directory=$(printf %b "$directory")
		ls "$directory" 2>/dev/null | grep -vxE 'status|status\.json|metrics'
		sed -nE -e 's/^    \{"name": "[^"]*", "boards": \["(.*)"\], "state": .*/\1/p' \
			-e 's/^    \{"kind": "link", "name": "([^"]*)", .*/\1/p' "$directory/status.json" 2>/dev/null |
			sed 's/", "/\n/g' | grep -v '[\\"]'
	done < <(grep ' fuse.imagefs-control ' /proc/self/mounts)
}

# Those that begin with $1. Names are anybody's: compgen -W would expand what looks like a command in one.
_imagefsctl_complete_names() {
	local name
	while IFS= read -r name; do
		[[ $name == "$1"* ]] && COMPREPLY+=("$name")
	done < <(_imagefsctl_names | sort -u)
}

_imagefsctl() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command=
	COMPREPLY=()
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in status|flush|metrics|check|ls|cat|cp|rm|mkdir|mv|edit|diff|boards|link|unlink) command=$word && break ;; esac
	done
	if [[ $previous == -c || $previous == --control || $previous == --images ]]; then
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		compopt -o filenames 2>/dev/null
	elif [[ $command == check && $previous == --pi ]]; then
		mapfile -t COMPREPLY < <(compgen -W '3 4 5' -- "$current")
	elif [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W 'status flush metrics check ls cat cp rm mkdir mv edit diff boards link unlink -c --control -h --help -V --version' -- "$current")
	elif [[ $current == -* ]]; then
		case $command in
		status) word='--json --problems --follow' ;;
		check) word='--json --nbd --pi' ;;
		flush) word=--all ;;
		ls) word=-l ;;
		boards) word='--images --json' ;;
		link) word='--images --move' ;;
		unlink) word=--images ;;
		cp|rm) word='-r --force' ;;
		mkdir) word='-p --force' ;;
		mv|edit) word=--force ;;
		*) word= ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$word -h --help" -- "$current")
	elif [ "$command" != metrics ] && [ "$command" != boards ]; then
		_imagefsctl_complete_names "$current"
		case $command in check|ls|cat|cp|rm|mkdir|mv|edit|diff) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current") ;; esac
		compopt -o filenames 2>/dev/null
	fi
}
complete -F _imagefsctl imagefsctl
