#!/usr/bin/env bash
# clean.sh: removes what setup and the tools made in the checkout. clean.sh cache: removes Go's build caches and the
# az CLI that tests use. Neither touches what a running instance needs: its state, passphrase and keys, and the images.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/azlocal
cd "$root"

if [[ ${1:-} == cache ]]; then
  rm -rf "$cache/go" "$cache"/azure-cli-*
  exit
fi
rm -rf .venv .azlocal/{bin,stamps,log,lock-tools,pulumi-source,setup.lock} build ./*.egg-info \
  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
find . -name __pycache__ -type d -prune -exec rm -rf {} +
for kept in .azlocal/* "$cache"/*; do
  [[ ! -e $kept ]] || printf 'kept: %s (%s)\n' "$kept" "$(du -sh "$kept" | cut -f1)"
done
