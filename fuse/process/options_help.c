/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/options_help.h"

#include <stdio.h>

void options_print_help(void)
{
	printf("usage: imagefs [options] SOURCE MOUNTPOINT\n"
	       "\n"
	       "Show the boot partitions of live disk images as a read-only filesystem.\n"
	       "SOURCE is a directory of images, or one image (a file, a block device, or a URI: nbd://HOST/EXPORT).\n"
	       "\n"
	       "  -f               stay in the foreground\n"
	       "  -v, --verbose    say more in the log\n"
	       "  -d, --debug      follow everything in detail (implies -f)\n"
	       "  --debug=WHAT,... of it requests, files, images, changes\n"
	       "  -h, --help       this text\n"
	       "  -V, --version    the version\n"
	       "\n"
	       "  -o uid=U,gid=G   owner of all files, names or numbers (default: root, or who mounts)\n"
	       "  -o umask=M       permission bits to leave out, octal; fmask=M, dmask=M for\n"
	       "                   files and directories (default: 0444 and 0555 remain)\n"
	       "  -o time_offset=M minutes the boards' clocks are ahead of UTC; tz=UTC is 0\n"
	       "  -o partition=N   the boot partition is number N (default: by content)\n"
	       "  -o settle=MS     new content must have lasted this long (default: 200, at most 400)\n"
	       "  -o changes=WHAT  how changes are noticed: kernel, events, none (default: auto, the best there is)\n"
	       "  -o keep=MIB      memory for the content of open files (default: 64)\n"
	       "  -o nbd=HOSTS     block servers that links may name: any (default), none, or unix (sockets)\n"
	       "                   and names of hosts, with colons between them\n"
	       "  -o control=DIR   where servers report their writes, or none (default for root:\n"
	       "                   /run/imagefs/NAME, the last part of MOUNTPOINT)\n"
	       "  -o control_group=G  group of the files in it (default: each image's)\n"
	       "  -o run_as=USER   who the daemon is when it has mounted (default for root: imagefs,\n"
	       "                   if there is such a user)\n"
	       "  -o allow_other   let other users in (default for root)\n"
	       "\n"
	       "In fstab:  /srv/images /srv/boot fuse.imagefs ro,nofail 0 0\n"
	       "Unmount:   umount MOUNTPOINT, or fusermount3 -u MOUNTPOINT\n"
	       "See imagefs(8).\n");
}
