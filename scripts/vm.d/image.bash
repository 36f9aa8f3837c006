# shellcheck shell=bash disable=SC2154  # scripts/vm shares its variables
# The disk of the machine, with its kernel and the key that opens it.

suite=trixie
# What a newcomer's machine has before podmesh: a system that boots, somebody's login, Node.
packages=systemd-sysv,dbus-user-session,libpam-systemd,linux-image-cloud-amd64,initramfs-tools
packages+=,openssh-server,nodejs

print_image() {
  find_image
  printf '%s\n' "$image"
}

# Sets $image, the directory of the disk, and builds it when it is not there. A half-built one never
# has that name.
find_image() {
  local recipe
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/podmesh-vm
  # What the disk is made from, and nothing else: another recipe is another disk.
  recipe=$(cat "$root/scripts/vm.d/image.bash" "$root/scripts/install-system" | sha256sum)
  image=$cache/${recipe:0:16}
  [[ ! -e $image/disk ]] || return 0
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ ! -e $image/disk ]]; then
    work=$(mktemp -d -p "$cache")
    trap 'give_up_work' EXIT
    say "building the disk (about two minutes; what is said about it: $cache/build.log)"
    # Not in a condition: there a command that fails would not end it.
    build_image "$work" >"$cache/build.log" 2>&1
    # Disks of older recipes: nobody would remove them, and each is more than half a gigabyte.
    find "$cache" -mindepth 1 -maxdepth 1 -type d ! -path "$work" -mmin +120 -exec rm -rf {} +
    rm -rf "$image"
    mv "$work" "$image"
    trap - EXIT
  fi
  exec 9>&-
}

give_up_work() {
  tail -n 20 "$cache/build.log" >&2
  say 'the disk could not be built; the last words about it are above.'
  as_owner rm -rf "$work"
}

build_image() {
  local work=$1 mirror
  mirror=$(debian_mirror)
  ssh-keygen -q -t ed25519 -N '' -C podmesh-vm -f "$work/key"
  # Proxies and whatever else this machine's own apt needs to reach its mirror.
  apt-config dump | grep '^Acquire::' >"$work/acquire.conf"
  write_set_up "$work"
  # shellcheck disable=SC2016  # mmdebstrap expands $1, not the shell
  mmdebstrap --variant=apt --include="$packages" \
    --setup-hook='mkdir -p "$1/etc/apt/apt.conf.d"' \
    --setup-hook="copy-in '$work/acquire.conf' /etc/apt/apt.conf.d" \
    --customize-hook="copy-in '$root/scripts/install-system' '$work/set-up' '$work/key.pub' /tmp" \
    --customize-hook='chroot "$1" sh /tmp/set-up' \
    "$suite" "$work/root.tar" "$mirror"
  # Permissions and owners are right only where several users exist.
  as_owner bash -euo pipefail -c "$(declare -f make_disk); make_disk \"\$1\"" bash "$work"
  printf 'podmesh-vm %s\n' "$(cat "$work/host-key.pub")" >"$work/known_hosts"
  rm -rf "$work"/{root.tar,acquire.conf,set-up,apt}
}

# Root may own files for everybody; others get a namespace in which they may, from Podman.
as_owner() {
  if ((EUID == 0)); then "$@"; else podman unshare "$@"; fi
}

# Of this machine's own sources, by the lists that apt has of them; where it keeps none, by new ones.
debian_mirror() {
  local lists=()
  if [[ -z $(mirrors) ]]; then
    mkdir -p "$work/apt/lists/partial"
    lists=(-o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt"
      -o Debug::NoLocking=true -o APT::Sandbox::User= -o APT::Update::Post-Invoke-Success::=)
    apt-get -q update "${lists[@]}" >&2
  fi
  mirrors "${lists[@]}" | sed -n 1p | grep . ||
    fail 'no package source of this machine is a Debian mirror, to build a Debian machine from.'
}

mirrors() {
  # shellcheck disable=SC2016  # apt expands this, not the shell
  apt-get indextargets --format '$(REPO_URI)' "$@" \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian'
}

make_disk() {
  local work=$1
  mkdir "$work/root"
  tar -x -C "$work/root" --numeric-owner --exclude='./dev/*' -f "$work/root.tar"
  cp "$work"/root/boot/vmlinuz-* "$work/kernel"
  cp "$work"/root/boot/initrd.img-* "$work/initrd"
  cp "$work"/root/etc/ssh/ssh_host_ed25519_key.pub "$work/host-key.pub"
  chmod 644 "$work"/{kernel,initrd,host-key.pub}
  # Sparse: it takes the room of what is in it.
  mkfs.ext4 -q -F -L podmesh-vm -d "$work/root" "$work/disk" 8G
  rm -rf "$work/root"
}

# What root does on the new machine, from the inside; the README's first command is one of it.
write_set_up() {
  cat >"$1/set-up" <<'SET_UP'
set -eu
/tmp/install-system
useradd --create-home --shell /bin/bash ada
# As "loginctl enable-linger ada" would, were systemd running already.
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/ada
for home in /root /home/ada; do
  install -d -m 700 "$home/.ssh"
  install -m 600 /tmp/key.pub "$home/.ssh/authorized_keys"
done
chown -R ada:ada /home/ada
printf 'podmesh-vm\n' >/etc/hostname
printf '127.0.0.1 localhost podmesh-vm\n' >/etc/hosts
printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' >/etc/systemd/network/vm.network
systemctl enable systemd-networkd
# Nothing here waits for a network, and time-outs would only make the start slow.
systemctl mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer
printf '[Unit]\nDescription=End of a machine that nobody stopped\n' >/etc/systemd/system/last-hour.timer
printf '[Timer]\nOnBootSec=60min\nUnit=poweroff.target\n' >>/etc/systemd/system/last-hour.timer
printf '[Install]\nWantedBy=timers.target\n' >>/etc/systemd/system/last-hour.timer
systemctl enable last-hour.timer
# How this machine reaches its mirror is nobody's business once it is made.
rm -rf /etc/apt/apt.conf.d/acquire.conf /etc/apt/sources.list /etc/apt/sources.list.d
rm /tmp/install-system /tmp/set-up /tmp/key.pub
SET_UP
}
