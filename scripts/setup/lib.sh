# shellcheck shell=bash
# What the setup steps share: where things are, how they speak, and their stamps. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STAMPS=$ROOT/.azlocal/stamps
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/azlocal
# make puts these two folders of ours ahead on PATH; what the machine itself has is found without them.
PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF -e "$ROOT/.azlocal/bin" -e "$ROOT/.venv/bin" | paste -sd:)
export ROOT STAMPS CACHE PATH

say() { printf 'setup: %s\n' "$*"; }

die() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# quietly LOG COMMAND...: keeps a long command's talk in .azlocal/log/LOG, and shows its end only if it fails.
quietly() {
  local log=$ROOT/.azlocal/log/$1
  mkdir -p "${log%/*}"
  "${@:2}" >"$log" 2>&1 </dev/null && return
  tail -n 30 "$log" >&2
  die "failed: ${*:2}" "all it said: $log"
}

# A stamp holds the hash of everything a step depends on, so that an unchanged step costs milliseconds.
stamp_holds() { [[ -f $STAMPS/$1 && $(<"$STAMPS/$1") == "$2" ]]; }
stamp_write() { printf '%s\n' "$2" >"$STAMPS/$1"; }
hash_of() { cat -- "$@" | sha256sum | cut -c1-16; }

# version_at_least HAVE WANT: compares dotted numbers.
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1) == "$2" ]]; }
