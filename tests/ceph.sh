# A Ceph cluster of one monitor and one OSD, in the namespaces of the test; sourced after lib.sh. Bash.
#
# All of it is on 127.0.0.1, in $T and in memory (memstore), and ends with the test, however that ends: several
# tests can have one each at a time. It is there after 2 s. It has no manager, which RBD does not need.
#
# CEPH_LIKE=farm: as clusters are, if small: two OSDs with bluestore (each of a file of 1 GiB in $T), each object in both, and cephx, by
# which imagefs-rbd may read the pool rbd only (contrib/rbd/README.md). Then stop_osd is for both.
#
# Gives: $CEPH, the cluster's directory, with what its daemons said in *.txt; $CEPH_CONF, exported, by which rbd,
# rados, ceph, qemu and librbd find the cluster; $CEPH_MON and $CEPH_OSD, processes, for kill; the functions
# below. An image is POOL/NAME for rbd, and rbd:POOL/NAME (raw) for qemu.
# shellcheck shell=bash
requires root netns ceph ceph-mon ceph-osd monmaptool rados rbd
CEPH=$T/ceph CEPH_LIKE=${CEPH_LIKE:-} CEPH_OSDS=1
[ "$CEPH_LIKE" != farm ] || CEPH_OSDS=2
export CEPH_CONF=$CEPH/ceph.conf CEPH_ARGS=

# start_ceph [POOL...]: returns when images can be made in each pool (rbd).
start_ceph() {
	local id pool keyring=()
	id=$(cat /proc/sys/kernel/random/uuid)
	mkdir "$CEPH" "$CEPH/mon"
	ceph_configuration "$id" >"$CEPH_CONF"
	if [ "$CEPH_LIKE" = farm ]; then
		keyring=(--keyring "$CEPH/keyring")
		ceph-authtool --create-keyring "$CEPH/keyring" --gen-key -n mon. --cap mon 'allow *' >"$CEPH/start.txt"
		ceph-authtool "$CEPH/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' >>"$CEPH/start.txt"
	fi
	monmaptool --create --fsid "$id" --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$CEPH/monmap" >>"$CEPH/start.txt"
	ceph-mon -i a --mkfs --monmap "$CEPH/monmap" "${keyring[@]}" >>"$CEPH/start.txt" 2>&1 || ceph_failed
	ceph-mon -i a -f >>"$CEPH/mon.txt" 2>&1 &
	CEPH_MON=$!
	PIDS+=("$CEPH_MON")
	for ((id = 0; id < CEPH_OSDS; id++)); do ceph_osd_new $id; done
	start_osd
	for pool in "${@:-rbd}"; do ceph_pool "$pool"; done
	[ "$CEPH_LIKE" != farm ] || ceph auth get-or-create client.imagefs mon 'profile rbd-read-only' osd 'profile rbd-read-only pool=rbd' \
		>"$CEPH/client.imagefs.keyring"
}
ceph_osd_new() { # ceph_osd_new NUMBER
	local uuid
	uuid=$(cat /proc/sys/kernel/random/uuid)
	mkdir "$CEPH/osd$1"
	ceph --connect-timeout 30 osd new "$uuid" "$1" >>"$CEPH/start.txt" 2>&1 || ceph_failed
	[ "$CEPH_LIKE" != farm ] ||
		ceph auth get-or-create "osd.$1" mon 'allow profile osd' osd 'allow *' -o "$CEPH/osd$1/keyring" || ceph_failed
	ceph-osd -i "$1" --mkfs --osd-uuid "$uuid" >>"$CEPH/start.txt" 2>&1 || ceph_failed
}
ceph_failed() { tail -n 5 "$CEPH"/*.txt && fail "no Ceph cluster"; }

ceph_configuration() { # ceph_configuration FSID
	cat <<-CONF
		[global]
		fsid = $1
		mon_host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
		mon_initial_members = a
		public_network = 127.0.0.0/8
		$(printf 'auth_%s_required = '"$([ "$CEPH_LIKE" = farm ] && echo cephx || echo none)"'\n' cluster service client)
		run_dir = $CEPH
		admin_socket =
		log_file =
		mon_cluster_log_file =
		log_to_stderr = true
		err_to_stderr = true
		pid_file =
		osd_pool_default_size = $CEPH_OSDS
		osd_pool_default_min_size = 1
		osd_pool_default_pg_autoscale_mode = off
		osd_crush_chooseleaf_type = 0
		[mon]
		mon_data = $CEPH/mon
		mon_allow_pool_size_one = true
		mon_allow_pool_delete = true
		mon_data_avail_crit = 0
		mon_data_avail_warn = 0
		paxos_propose_interval = 0.05
		[osd]
		osd_data = $CEPH/osd\$id
		keyring = $CEPH/osd\$id/keyring
		admin_socket = $CEPH/osd\$id.asok
		osd_objectstore = $([ "$CEPH_LIKE" = farm ] && echo bluestore || echo memstore)
		memstore_device_bytes = 4294967296
		bluestore_block_size = 1073741824
		osd_fast_shutdown = false
		# Its lease is 0.8 of this, and renewed at half of that: of 20 s, the default, 8 to 16 are left to an OSD that is stopped, and
		# when it goes on after that it may keep requests waiting ("waiting for readable").
		osd_heartbeat_grace = 300
		[client.admin]
		keyring = $CEPH/keyring
		[client.imagefs]
		keyring = $CEPH/client.imagefs.keyring
	CONF
}

# start_osd: again, too, after stop_osd, with all that it had. One that was killed had it in its memory.
start_osd() {
	local id
	for ((id = CEPH_OSDS - 1; id >= 0; id--)); do
		ceph-osd -i $id -f >>"$CEPH/osd$id.txt" 2>&1 &
		CEPH_OSD=$! CEPH_OSD_PIDS[id]=$!
		PIDS+=("$CEPH_OSD")
	done
	wait_until 60 osd_is_up
}
CEPH_OSD_PIDS=()
osd_is_up() { ceph --connect-timeout 10 osd stat | grep -q "$CEPH_OSDS up"; }
stop_osd() {
	local pid
	for pid in "${CEPH_OSD_PIDS[@]}"; do kill "$pid" && wait_until 30 gone "$pid"; done
}

# ceph_pool POOL [POLICY]: a pool for images. By default no writer keeps what it acknowledged to itself.
ceph_pool() {
	ceph osd pool create "$1" 8 >>"$CEPH/start.txt" 2>&1 || ceph_failed
	rbd pool init --force "$1" >>"$CEPH/start.txt" 2>&1 || ceph_failed
	rbd config pool set "$1" rbd_cache_policy "${2:-writethrough}"
}

# --- the server of images to readers (contrib/rbd) --------------------------------------

RBD_PLUGIN=$(realpath -m "${RBD_PLUGIN:-$TOP/build/contrib/rbd/nbdkit-imagefs-rbd-plugin.so}")

# start_imagefs_rbd POOL [parameters]: sets $SOCKET and $SERVER.
start_imagefs_rbd() {
	requires nbdkit
	[ -e "$RBD_PLUGIN" ] || skip "needs $RBD_PLUGIN (librbd-dev, nbdkit-plugin-dev)"
	SOCKET=$T/imagefs-rbd.sock
	rm -f "$T/imagefs-rbd.pid" "$SOCKET"
	[ "$CEPH_LIKE" != farm ] || set -- "$@" user=imagefs
	nbdkit -f -U "$SOCKET" -P "$T/imagefs-rbd.pid" "$RBD_PLUGIN" "$@" 2>>"$T/imagefs-rbd.log" &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_until 10 test -s "$T/imagefs-rbd.pid"
}
stop_imagefs_rbd() { kill "$SERVER" && wait_until 20 gone "$SERVER" && wait "$SERVER"; }

# rbd_uri NAME: of that image, or of NAME@writes.
rbd_uri() { echo "nbd+unix:///$1?socket=$SOCKET"; }

# on_ceph <<<PYTHON: `pool` is the pool rbd, and `librbd` a writer's; with connect, Page of writes_page.py, and uri(NAME).
on_ceph() {
	PYTHONPATH=$TOOLS "$PYTHON" -c 'import os, subprocess, sys, threading, time
import rados, rbd
from writes_page import *
cluster = rados.Rados(conffile=os.environ["CEPH_CONF"])
cluster.connect()
pool, librbd = cluster.open_ioctx("rbd"), rbd.RBD()
def uri(name): return "nbd+unix:///%s?socket=%s" % (name, sys.argv[1])
def fails(what, *arguments):
    try: what(*arguments)
    except libnbd.Error as error: return error
    raise AssertionError("no error")
exec(sys.stdin.read())' "$SOCKET"
}
