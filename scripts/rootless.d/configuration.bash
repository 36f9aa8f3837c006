# shellcheck shell=bash disable=SC2154,SC2034  # scripts/rootless shares its variables
# Podman's own configuration files. These functions also run alone in a shell of the user.

# Writes what Podman must be told: an argument names the OCI runtime, '' leaves Podman's choice.
write_configuration() {
  local runtime=$1 configuration=$HOME/.config/containers manager='' options=''
  local store=$HOME/.local/share/containers/storage
  # Podman may choose vfs, which copies every layer. A store cannot change its driver later.
  if [[ ! -e $configuration/storage.conf ]] &&
    { [[ -d $store/overlay-images ]] || ! compgen -G "$store/*-images" >/dev/null; }; then
    # The kernel cannot stack an overlay on the overlay that the root of a container is.
    [[ $(stat -f -c %T "$HOME") != overlayfs ]] ||
      options=$'[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n'
    write_once "$configuration/storage.conf" $'[storage]\ndriver = "overlay"\n'"$options"
  fi
  [[ -n $runtime ]] || return 0
  # Where systemd looks after the user, it makes the cgroups.
  [[ -S ${XDG_RUNTIME_DIR:-}/bus ]] || manager=$'cgroup_manager = "cgroupfs"\n'
  write_ours "$configuration/containers.conf" \
    $'[engine]\n'"$manager"$'events_logger = "file"\nruntime = "'"$runtime"$'"\n'
}

# Renames into place, so that a Podman that starts now never reads half a file.
write_once() {
  mkdir -p "${1%/*}"
  printf '%s' "$2" >"$1.$$"
  mv "$1.$$" "$1"
}

# Follows the machine when its cgroups change, but never touches what a person wrote.
write_ours() {
  local mark='# Kept by scripts/rootless of podmesh; without this line it is yours.' there=''
  if [[ -e $1 ]]; then
    there=$(<"$1")
    [[ $there == "$mark"* && $there$'\n' != "$mark"$'\n'"$2" ]] || return 0
  fi
  write_once "$1" "$mark"$'\n'"$2"
}
