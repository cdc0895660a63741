#!/usr/bin/env bash
# The project's Python environment, .venv: every dependency at the version and hash of requirements.lock, and
# the project itself editable.
set -euo pipefail
# shellcheck source=scripts/setup/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
readonly OLDEST=3.11
bootstrap=$ROOT/scripts/setup/bootstrap.lock
lock=$ROOT/requirements.lock
python=$ROOT/.venv/bin/python

# A virtual environment holds absolute paths: a moved checkout needs a new one.
key=$(hash_of "$bootstrap" "$lock" "$ROOT/pyproject.toml" <(printf '%s' "$ROOT"))
[[ -x $python ]] && stamp_holds venv "$key" && exit

usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < tuple(map(int, sys.argv[1].split("."))))' "$OLDEST" 2>/dev/null; }

find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
    candidate=$(command -v "$candidate") && usable "$candidate" && echo "$candidate" && return
  done
  die "no Python $OLDEST or newer with its venv module: $(command -v python3 || echo python3) is $(python3 --version 2>&1)." \
    "Install one (Debian 12 and Ubuntu 24.04 have it as python3) and run make setup again."
}

if ! usable "$python"; then
  base=$(find_python)
  say "Python: a new .venv on $base ($("$base" --version)), the first on PATH that is $OLDEST or newer"
  "$base" -m venv --clear "$ROOT/.venv"
fi

# --no-build-isolation: what is compiled here (libvirt's binding) builds with the pinned setuptools, too.
pip=("$python" -m pip --disable-pip-version-check --quiet --no-input)
say "Python: installing what requirements.lock pins into .venv"
"${pip[@]}" install --require-hashes --requirement "$bootstrap"
"${pip[@]}" install --require-hashes --no-build-isolation --requirement "$lock"
# setuptools warns that an editable install is editable.
PYTHONWARNINGS=ignore "${pip[@]}" install --no-deps --no-build-isolation --editable "$ROOT"
"${pip[@]}" check ||
  die "requirements.lock no longer fits pyproject.toml (above): run make lock and commit the result."
stamp_write venv "$key"
