# imagefsctl without a mount, and what boards asked for.
imagefs_e2e(tools_check HOSTILE)
imagefs_e2e(tools_check_oracles)
imagefs_e2e(tools_ls_cat HOSTILE)
imagefs_e2e(tools_status_requests HOSTILE)
imagefs_e2e(tools_status_problems HOSTILE)
imagefs_e2e(tools_status_follow HOSTILE)
imagefs_e2e(contrib_prometheus)
