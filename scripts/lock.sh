#!/usr/bin/env bash
# `make lock`: writes requirements.lock (from pyproject.toml, with its dev extra) and the lock of what builds
# them, with hashes and for every Python and processor the project supports. Pass --upgrade for newer versions.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.azlocal/lock-tools
# Not from .venv: setup refuses to fill it while the lock is out of date, which is when this is called.
[[ -x $tools/bin/uv ]] || python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check --quiet install uv==0.13.8

cd "$root"
compile=("$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header "$@")
"${compile[@]}" --extra dev --output-file requirements.lock pyproject.toml
printf 'pip\nsetuptools>=75\n' | "${compile[@]}" --no-annotate --output-file scripts/setup/bootstrap.lock -
