# shellcheck shell=bash disable=SC2154,SC2034  # scripts/rootless shares its variables
# How the user's processes see cgroups and mounts, and the one namespace that all of them share.

# Decides once per boot how this user's processes see cgroups:
#   own     a private mount and cgroup namespace whose /sys/fs/cgroup is a cgroup v2 subtree that
#           belongs to the user. crun refuses hybrid hierarchies; here it finds a pure one, and may
#           make a cgroup for each container.
#   shared  the machine's own cgroups: systemd delegates them, or nothing else is possible.
prepare_layout() {
  local layout=''
  read -r layout 2>/dev/null <"$state/$user.layout" || true
  if [[ $layout == own ]] && ! { is_pinned mount && is_pinned cgroup; }; then layout=''; fi
  if [[ -z $layout ]]; then
    layout=$(choose_layout)
    printf '%s\n' "$layout" >"$state/$user.layout"
  fi
  if is_pinned mount; then enter=(nsenter "--mount=$state/$user.mount"); fi
  oci_runtime=crun
  if [[ $layout == own ]]; then
    # shellcheck disable=SC2016  # expanded by the inner shell
    enter+=("--cgroup=$state/$user.cgroup" --
      sh -c 'echo $$ >/sys/fs/cgroup/shell/cgroup.procs && exec "$@"' sh)
    retire_stray_pause
  elif ! is_unified; then
    oci_runtime=runc
  fi
}

is_pinned() { [[ $(stat -f -c %T "$state/$user.$1" 2>/dev/null) == nsfs ]]; }

is_unified() { [[ $(stat -f -c %T /sys/fs/cgroup 2>/dev/null) == cgroup2fs ]]; }

choose_layout() {
  if is_unified && [[ -d /run/systemd/system ]]; then printf 'shared\n'; return; fi
  local log=$state/$user.log status
  # Not "if make_own_namespace": bash ignores set -e in all that a condition runs.
  set +e
  (set -e; make_own_namespace) 9>&- >"$log" 2>&1
  status=$?
  set -e
  if ((status == 0)); then printf 'own\n'; return; fi
  unpin
  is_unified || warn 'no cgroup v2 view could be made here, so containers run with runc and' \
    "without limits. Why: $(tail -n 1 "$log")"
  printf 'shared\n'
}

# One pitfall each: the kernel pins a mount namespace only on a private mount; the user's cgroup
# must be entered before the cgroup namespace is made, as it becomes its root, and left before it
# may hand controllers on; "slave" lets later mounts of the machine in, and ours not out.
make_own_namespace() {
  unpin
  retire_pause
  make_state_private
  delegate_cgroup
  : >"$state/$user.mount"
  : >"$state/$user.cgroup"
  drop_controllers "$cgroup"
  echo "$BASHPID" >"$cgroup/cgroup.procs"
  unshare "--mount=$state/$user.mount" "--cgroup=$state/$user.cgroup" --propagation slave \
    sh -ec 'umount -R /sys/fs/cgroup
      mount -t cgroup2 cgroup2 /sys/fs/cgroup
      mount --make-rshared /'
  echo "$BASHPID" >"$cgroup/shell/cgroup.procs"
  enable_controllers "$cgroup"
}

unpin() {
  local kind
  for kind in mount cgroup; do
    while is_pinned "$kind"; do umount "$state/$user.$kind"; done
  done
}

make_state_private() {
  mountpoint -q "$state" || mount --bind "$state" "$state"
  mount --make-private "$state"
}

# Gives the user a cgroup of its own, the way the kernel documents delegation: the directory and the
# three files that move processes and controllers, not the limits that hold the user itself.
delegate_cgroup() {
  local root part file
  root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  if [[ -z $root ]]; then
    root=$state/cgroup2
    mkdir -p "$root"
    mount -t cgroup2 cgroup2 "$root"
  fi
  cgroup=$root/podmesh/$user
  mkdir -p "$cgroup/shell"
  for part in "$root" "$root/podmesh"; do enable_controllers "$part"; done
  for part in "$cgroup" "$cgroup/shell"; do
    chown "$uid:$gid" "$part"
    for file in procs threads subtree_control; do chown "$uid:$gid" "$part/cgroup.$file"; done
  done
}

# One by one, because a container may forbid some, and a hybrid machine keeps most in v1.
enable_controllers() {
  local controller
  for controller in $(<"$1/cgroup.controllers"); do
    echo "+$controller" >"$1/cgroup.subtree_control" || true
  done
}

# An earlier namespace may have left some on, and then no process may enter.
drop_controllers() {
  local controller
  for controller in $(<"$1/cgroup.subtree_control"); do
    echo "-$controller" >"$1/cgroup.subtree_control" || true
  done
}

# All rootless Podman processes of a user join the namespaces of one pause process. One that was
# started elsewhere (su, an earlier set-up) would pull every container out of ours.
retire_stray_pause() {
  local pid
  pid=$(pause_pid) || return 0
  [[ $(stat -L -c %i "/proc/$pid/ns/cgroup") == $(stat -c %i "$state/$user.cgroup") ]] ||
    retire_pause
}

retire_pause() {
  local pid
  pid=$(pause_pid) || return 0
  # Podman's own way; it stops the user's containers first, whose mounts are in the old namespace.
  setpriv "${become[@]}" env -C / -i "PATH=$PATH" "HOME=$home" "XDG_RUNTIME_DIR=$runtime_dir" \
    timeout 60 podman system migrate >/dev/null 2>&1 </dev/null 9>&- || true
  [[ $(pause_pid) != "$pid" ]] || kill -KILL "$pid" || true
}

# Prints the id of the user's pause process, or fails when none lives.
pause_pid() {
  local pid=''
  read -r pid 2>/dev/null <"$runtime_dir/libpod/tmp/pause.pid" || [[ -n $pid ]] || return 1
  [[ $(stat -c %u "/proc/$pid" 2>/dev/null) == "$uid" ]] || return 1
  printf '%s\n' "$pid"
}
