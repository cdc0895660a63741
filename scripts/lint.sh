#!/usr/bin/env bash
# `make lint`: every check of the code that needs no run of it. All of them run; one that fails fails the whole.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
PATH=$PWD/.venv/bin:$PATH
# Outside the checkout, so that a fresh clone checks only what changed; mypy goes by the files' contents.
export MYPY_CACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/azlocal/mypy
failed=()

check() { "$@" || failed+=("$1"); }

check ruff check .
check ruff format --check .
check mypy
check lint-imports
check python -m scripts.words
check shellcheck --external-sources .ci/run scripts/*.sh scripts/setup/*.sh scripts/setup/pulumi/*.sh infra/kvm/preparation/files/*.sh infra/kubernetes/files/*.sh

if ((${#failed[@]})); then
  echo "lint: failed: ${failed[*]}" >&2
  exit 1
fi
