#!/usr/bin/env bash
# `make lock`: writes requirements.lock (from pyproject.toml, with its dev extra), the lock of what builds them and
# the one of what writes the locks, with hashes and for every Python and processor the project supports. Pass --upgrade for newer versions.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.azlocal/lock-tools
# Not from .venv: setup refuses to fill it while the lock is out of date, which is when this is called.
[[ -x $tools/bin/uv ]] || python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check --quiet install --require-hashes --requirement "$root/scripts/setup/uv.lock"

cd "$root"
compile=("$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header "$@")
"${compile[@]}" --extra dev --output-file requirements.lock pyproject.toml
printf 'pip\nsetuptools>=75\n' | "${compile[@]}" --no-annotate --output-file scripts/setup/bootstrap.lock -
# What writes the locks, for the next time; its version is raised here by hand.
printf 'uv==0.13.8\n' | "${compile[@]}" --no-annotate --output-file scripts/setup/uv.lock -
