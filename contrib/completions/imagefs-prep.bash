# imagefs-prep's options and arguments, for bash-completion. SPDX-License-Identifier: LGPL-2.1-or-later
_imagefs-prep() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=
	COMPREPLY=()
	case $previous in
	--root) words='nbd iscsi nfs' ;;
	--export) words='nbd-server nbdkit tgt lio' ;;
	--initramfs) words='initramfs-tools dracut' ;;
	--images|--mountpoint)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		compopt -o filenames 2>/dev/null
		return ;;
	--server) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current") && return ;;
	-s|--size|--name|--set|--unset|--config|--initiator|--iqn|--network|--board|--boot-partition|--root-partition|-R|--remove) return ;;
	esac
	if [ -z "$words" ] && [[ $current == -* ]]; then
		words='--sha256 -s --size --grow-root -C --copy -R --remove --root --server --name --set --unset --cmdline --initramfs
			--initiator --iqn --config --ssh --user-data --meta-data --network-config --boot-partition --root-partition
			--board --move --images --export --dnsmasq --dns --network --mountpoint --install
			--clone -f --force -n --dry-run -q --quiet -h --help -V --version'
	fi
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames 2>/dev/null
	fi
}
complete -F _imagefs-prep imagefs-prep
