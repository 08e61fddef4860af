# A Ceph cluster of one monitor and one OSD, in the namespaces of the test; sourced after lib.sh. Bash.
#
# All of it is on 127.0.0.1, in $T and in memory (memstore), and ends with the test, however that ends: several
# tests can have one each at a time. It is there after 2 s. It has no manager, which RBD does not need.
#
# Gives: $CEPH, the cluster's directory, with what its daemons said in *.txt; $CEPH_CONF, exported, by which rbd,
# rados, ceph, qemu and librbd find the cluster; $CEPH_MON and $CEPH_OSD, processes, for kill; the functions
# below. An image is POOL/NAME for rbd, and rbd:POOL/NAME (raw) for qemu.
# shellcheck shell=bash
requires root netns ceph ceph-mon ceph-osd monmaptool rados rbd
CEPH=$T/ceph
export CEPH_CONF=$CEPH/ceph.conf CEPH_ARGS=

# start_ceph [POOL...]: returns when images can be made in each pool (rbd).
start_ceph() {
	local id pool
	id=$(cat /proc/sys/kernel/random/uuid)
	mkdir "$CEPH" "$CEPH/mon" "$CEPH/osd"
	ceph_configuration "$id" >"$CEPH_CONF"
	monmaptool --create --fsid "$id" --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$CEPH/monmap" >"$CEPH/start.txt"
	ceph-mon -i a --mkfs --monmap "$CEPH/monmap" >>"$CEPH/start.txt" 2>&1 || ceph_failed
	ceph-mon -i a -f >>"$CEPH/mon.txt" 2>&1 &
	CEPH_MON=$!
	PIDS+=("$CEPH_MON")
	ceph --connect-timeout 30 osd new "$id" 0 >>"$CEPH/start.txt" 2>&1 || ceph_failed
	ceph-osd -i 0 --mkfs --osd-uuid "$id" >>"$CEPH/start.txt" 2>&1 || ceph_failed
	start_osd
	for pool in "${@:-rbd}"; do ceph_pool "$pool"; done
}
ceph_failed() { tail -n 5 "$CEPH"/*.txt && fail "no Ceph cluster"; }

ceph_configuration() { # ceph_configuration FSID
	cat <<-CONF
		[global]
		fsid = $1
		mon_host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
		mon_initial_members = a
		public_network = 127.0.0.0/8
		auth_cluster_required = none
		auth_service_required = none
		auth_client_required = none
		run_dir = $CEPH
		admin_socket =
		log_file =
		mon_cluster_log_file =
		log_to_stderr = true
		err_to_stderr = true
		pid_file =
		osd_pool_default_size = 1
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
		osd_data = $CEPH/osd
		admin_socket = $CEPH/osd.asok
		osd_objectstore = memstore
		memstore_device_bytes = 4294967296
		osd_fast_shutdown = false
		# Its lease is 0.8 of this, and renewed at half of that: of 20 s, the default, 8 to 16 are left to an OSD that is stopped, and
		# when it goes on after that it may keep requests waiting ("waiting for readable").
		osd_heartbeat_grace = 300
	CONF
}

# start_osd: again, too, after stop_osd, with all that it had. One that was killed had it in its memory.
start_osd() {
	ceph-osd -i 0 -f >>"$CEPH/osd.txt" 2>&1 &
	CEPH_OSD=$!
	PIDS+=("$CEPH_OSD")
	wait_until 60 osd_is_up
}
osd_is_up() { ceph --connect-timeout 10 osd stat | grep -q '1 up'; }
stop_osd() { kill "$CEPH_OSD" && wait_until 30 gone "$CEPH_OSD"; }

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
