#!/usr/bin/env bash
# `make setup`: brings this machine to where every other target works. Each step does only what is missing,
# says what it chose and why, and is silent when there is nothing to do.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/setup/lib.sh
source "$here/setup/lib.sh"

mkdir -p "$STAMPS"
# Two makes at once (two terminals, make -j) must not install into one .venv together.
exec 9>"$ROOT/.azlocal/setup.lock"
flock 9

for step in packages venv pulumi kubernetes-plugin; do
  "$here/setup/$step.sh" 9>&-
done
