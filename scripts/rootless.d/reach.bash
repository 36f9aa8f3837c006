# shellcheck shell=bash disable=SC2154,SC2034  # scripts/rootless shares its variables
# Makes this checkout and the caller's node reachable for a user who may not enter /root.

# One call as the user does all that only the user can do or see.
prepare_inside() {
  local node answer path unreachable
  node=$(command -v node || true)
  answer=$(as_user "$directory" "$node") ||
    fail "the home $home of $user could not be prepared; the reason is above."
  IFS='|' read -r path unreachable <<<"$answer"
  environment[0]=PATH=$path
  [[ $unreachable != *checkout* ]] || bind_checkout
  [[ $unreachable != *node* ]] || bind_node "$node"
}

as_user() {
  local functions
  functions=$(declare -f look_and_prepare reachable_path write_configuration write_once write_ours)
  "${enter[@]}" setpriv "${become[@]}" env -C / -i "${environment[@]}" \
    bash -euo pipefail -c "$functions; look_and_prepare \"\$@\"" bash "$1" "$2" "$oci_runtime" \
    </dev/null 9>&-
}

# Prints the PATH that is left, then what must be bound to where the user can reach it.
look_and_prepare() {
  write_configuration "$3"
  reachable_path
  printf '|'
  [[ -r $1 && -x $1 ]] || printf ' checkout'
  [[ -z $2 || -x $2 ]] || printf ' node'
}

# With a directory in PATH that may not be entered (below /root, say), a command that does not exist
# fails with "permission denied", and programs that look for "not found" are misled.
reachable_path() {
  local entry kept=''
  while IFS= read -r -d : entry; do
    if [[ ! -d $entry || ! -x $entry || ":$kept" == *":$entry:"* ]]; then continue; fi
    kept+=$entry:
  done <<<"$PATH:"
  printf '%s' "${kept%:}"
}

bind_checkout() {
  local old=$place
  bind_where_reachable checkout "$place"
  place=$bound
  directory=$place${directory#"$old"}
  [[ $(as_user "$directory" '') != *'| checkout'* ]] ||
    fail "$user may not read the checkout $old. Run: chmod -R go+rX $old"
}

# A node under /root (nvm, for example) is still the node the caller means.
bind_node() {
  local prefix
  prefix=$(dirname "$(dirname "$(realpath "$1")")")
  bind_where_reachable node "$prefix"
  environment[0]=PATH=$bound/bin:${environment[0]#PATH=}
}

# Shows a directory below one that the user may not enter (/root) at a path that it may. Only inside
# the namespace: nobody else sees it there. Sets bound.
bind_where_reachable() {
  local hash
  if ((${#enter[@]} == 0)); then pin_mount_namespace; fi
  hash=$(printf '%s' "$2" | sha256sum)
  bound=$state/$1-${hash:0:12}
  mkdir -p "$bound"
  # A checkout that was deleted and cloned again is another directory under the old name.
  # shellcheck disable=SC2016  # expanded by the inner shell
  nsenter "--mount=$state/$user.mount" -- sh -ec '
    [ "$(stat -c %d:%i "$1")" != "$(stat -c %d:%i "$2")" ] || exit 0
    ! mountpoint -q "$2" || umount -l "$2"
    mount --rbind "$1" "$2"' sh "$2" "$bound" 9>&- ||
    fail "$2 cannot be shown to $user. Move it to a directory that everybody may enter."
}

pin_mount_namespace() {
  retire_pause
  make_state_private
  : >"$state/$user.mount"
  unshare "--mount=$state/$user.mount" --propagation slave mount --make-rshared / 9>&- ||
    fail "this checkout lies where $user may not go, and no mount namespace can be made here to" \
      'show it elsewhere. Move it to a directory that everybody may enter.'
  enter=(nsenter "--mount=$state/$user.mount" --)
}
