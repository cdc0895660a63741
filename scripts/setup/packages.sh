#!/usr/bin/env bash
# System packages: on Debian and Ubuntu, installs the ones of packages.tsv that are missing; elsewhere, names
# what is missing and leaves the installing to the user.
set -euo pipefail
# shellcheck source=scripts/setup/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
table=$ROOT/scripts/setup/packages.tsv

rows() { grep -v '^#' "$table"; }

missing_packages() {
  local wanted
  mapfile -t wanted < <(rows | cut -f1)
  comm -13 \
    <(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u) \
    <(printf '%s\n' "${wanted[@]}" | sort -u)
}

is_there() { if [[ $1 == /* ]]; then [[ -e $1 ]]; else PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; fi; }

name_what_is_missing() {
  local package probe purpose lacking=()
  while IFS=$'\t' read -r package probe purpose; do
    is_there "$probe" || lacking+=("  $probe  ($purpose; Debian's package: $package)")
  done < <(rows)
  ((${#lacking[@]} == 0)) && return
  # shellcheck disable=SC1091
  die "this machine runs $(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-an unknown system}"), and make setup installs packages on Debian and Ubuntu only." \
    "These are missing; install them with the system's package manager, then run make setup again:" \
    "${lacking[@]}"
}

install_packages() {
  local as_root=()
  local install=(apt-get install --yes --no-install-recommends "$@")
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "system packages are missing, and installing them needs root (there is no sudo). As root, run:" "  ${install[*]}"
    as_root=(sudo)
  fi
  say "system packages: installing $# that are missing${as_root[*]:+ (with sudo)}: $*"
  # env carries the settings through sudo, which clears the environment. Another apt may hold the lock.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get --quiet --yes
    --option DPkg::Lock::Timeout=600 --option Dpkg::Use-Pty=0 --option Acquire::Retries=3)
  quietly apt-update.log "${apt[@]}" update
  quietly apt-install.log "${apt[@]}" install --no-install-recommends "$@"
}

if ! command -v apt-get >/dev/null; then
  name_what_is_missing
  exit
fi
mapfile -t missing < <(missing_packages)
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
