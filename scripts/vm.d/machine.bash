# shellcheck shell=bash disable=SC2154  # scripts/vm shares its variables
# A running machine: its directory holds the process id, the port of its ssh and what it says.

boot_seconds_max=300

start() {
  mkdir -p "$1"
  directory=$(cd "$1" && pwd -P)
  ! is_running || fail "a machine of $directory runs already. Run: scripts/vm stop $directory"
  find_image
  ln -sfn "$image" "$directory/image"
  free_port >"$directory/port"
  boot
  # Whoever waits for a start that fails must not have to look for what is left.
  trap 'stop "$directory"' EXIT
  await_login root || fail "the machine did not come up; the end of its console:" \
    "$(tail -n 20 "$directory/console.log")"
  # Everything that starts with the machine has started, or is known to have failed.
  local state
  state=$(run_inside "$directory" root systemctl is-system-running --wait) ||
    fail "the machine came up $state: $(run_inside "$directory" root systemctl --failed --plain)"
  await_login ada || fail 'the user ada cannot log in.'
  trap - EXIT
}

# A disk of its own that is written to a temporary file, and no way out but its ssh.
boot() {
  local port
  port=$(<"$directory/port")
  emulate -kernel "$image/kernel" -initrd "$image/initrd" \
    -append 'root=/dev/vda rw console=ttyS0 quiet' \
    -drive "file=$image/disk,format=raw,if=virtio,snapshot=on" \
    -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22"
}

# A computer without a disk, started from a stick.
boot_stick() {
  mkdir -p "$1"
  directory=$(cd "$1" && pwd -P)
  ! is_running || fail "a machine of $directory runs already. Run: scripts/vm stop $directory"
  [[ -r $2 ]] || fail "there is no image $2. Build it: scripts/live-image $2"
  emulate -drive "file=$2,format=raw,if=virtio,snapshot=on" -netdev user,id=net
}

# Always emulated: a /dev/kvm inside of a virtual machine may be there and hang. -cx16: without it the
# guest's kernel panics under emulation.
emulate() {
  qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu qemu64,-cx16 \
    -smp 2 -m 3072 -display none -monitor none -parallel none -no-reboot \
    -device virtio-net-pci,netdev=net -device virtio-rng-pci "$@" \
    -serial "file:$directory/console.log" -pidfile "$directory/pid" -daemonize \
    2>"$directory/qemu.log" || fail "qemu did not start: $(cat "$directory/qemu.log")"
}

free_port() {
  node -e 'const probe = require("node:net").createServer();
    probe.listen(0, "127.0.0.1", () => { console.log(probe.address().port); probe.close(); });'
}

# One connection that later commands share: a handshake costs a second under emulation.
await_login() {
  local until=$((SECONDS + boot_seconds_max))
  while ((SECONDS < until)) && is_running; do
    if ssh_to "$1" -o ConnectTimeout=30 -o ControlMaster=yes -o ControlPersist=yes -fN \
      >"$directory/ssh.log" 2>&1; then return; fi
    sleep 0.5
  done
  cat "$directory/ssh.log" >&2
  return 1
}

# run_inside DIRECTORY USER COMMAND [ARGUMENT]...
run_inside() {
  directory=$(cd "$1" && pwd -P)
  local words
  printf -v words '%q ' "${@:3}"
  ssh_to "$2" "$words"
}

# Standard error of ssh itself is the command's: -q keeps its own remarks out of it.
ssh_to() {
  local user=$1
  shift
  ssh -q -i "$directory/image/key" -p "$(<"$directory/port")" -l "$user" -F none \
    -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=podmesh-vm \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$directory/image/known_hosts" \
    -o ControlPath="$directory/%r.ssh" 127.0.0.1 "$@"
}

# What podmesh needs at run time, of what "scripts/setup" made here: the machine has no network, and
# npm and the compiler would take it minutes.
install_checkout() {
  [[ -e $root/packages/cli/dist/main.js ]] || fail 'this checkout is not built. Run: scripts/setup'
  local path modules=()
  while IFS= read -r path; do
    path=${path#"$root"/}
    # What a workspace has for itself comes with it; the workspaces themselves are links here.
    if [[ $path == node_modules/* ]]; then modules+=("$path"); fi
  done < <(cd "$root" && npm ls --loglevel=error --all --omit=dev --parseable --workspace packages/cli)
  ((${#modules[@]} > 0)) || fail 'npm finds no packages here. Run: scripts/setup'
  tar -c -C "$root" package.json README.md packages podman scripts "${modules[@]}" |
    run_inside "$1" ada bash -c 'mkdir -p podmesh && tar -x -C podmesh'
}

stop() {
  [[ -e $1/pid ]] || return 0
  directory=$(cd "$1" && pwd -P)
  local pid
  pid=$(<"$directory/pid")
  # Nothing of it is kept, so nothing is gained by letting it shut down.
  while is_running; do
    kill "$pid" 2>/dev/null || true
    sleep 0.1
  done
  rm -f "$directory/pid"
}

# A number is used again by other processes; only ours names this directory.
is_running() {
  [[ -e $directory/pid ]] && tr '\0' ' ' 2>/dev/null <"/proc/$(<"$directory/pid")/cmdline" |
    grep -q -F -- "-pidfile $directory/pid "
}
