#!/usr/bin/env bash
# Pulumi's kubernetes plugin: the official one if it is installed, on PATH, or can be downloaded; else azlocal's
# stand-in for it (infra/kubernetes_plugin), linked into .azlocal/bin, where the engine finds it.
set -euo pipefail
# shellcheck source=scripts/setup/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
readonly NAME=pulumi-resource-kubernetes
readonly SECONDS_TO_DOWNLOAD=120
bin=$ROOT/.azlocal/bin
plugins=${PULUMI_HOME:-$HOME/.pulumi}/plugins

# The engine wants the version that the SDK in .venv names.
version=$(sed -n 's/^pulumi-kubernetes==\([0-9.]*\).*/\1/p' "$ROOT/requirements.lock")
installed=$plugins/resource-kubernetes-v$version

# on_path: the plugin on PATH, if it isn't a stand-in, which another checkout may have put there.
on_path() {
  local found
  while read -r found; do
    # infra/offline: where 0.1.0 has it
    [[ $(readlink -f "$found") == */infra/@(kubernetes_plugin|offline)/$NAME ]] || { printf '%s' "$found" && return; }
  done < <(type -aP "$NAME")
}

# What the choice rests on.
choice() { hash_of "${BASH_SOURCE[0]}" <(printf '%s' "$version $(on_path) $(ls -d "$installed" 2>/dev/null || true)"); }

key=$(choice)
stamp_holds kubernetes-plugin "$key" && { [[ ! -L $bin/$NAME ]] || [[ -x $bin/$NAME ]]; } && exit

step_aside() { # step_aside REASON: the official plugin is there
  rm -f "$bin/$NAME"
  say "kubernetes plugin: $1"
  # What was just downloaded is part of what the stamp holds.
  stamp_write kubernetes-plugin "$(choice)"
  exit
}

# The plugin comes from GitHub's releases, else from Pulumi's own server. Looking first keeps a machine without
# a way out from waiting for the CLI's retries.
reachable() {
  local url
  for url in https://api.github.com https://get.pulumi.com; do
    said=$(curl --silent --show-error --head --output /dev/null --connect-timeout 3 --max-time 4 "$url" 2>&1) && return
  done
  return 1
}

# said_by COMMAND...: keeps what a command says in $said.
said_by() { said=$("$@" 2>&1 </dev/null); }

[[ ! -d $installed ]] || step_aside "the official one, $version, which is installed in $installed"
official=$(on_path)
[[ -z $official ]] || step_aside "the official one, $official, which is on PATH"
if ! reachable; then
  why="Pulumi's downloads can't be reached (${said#curl: })"
elif PATH=$bin:$PATH said_by timeout "$SECONDS_TO_DOWNLOAD" pulumi plugin install resource kubernetes "v$version"; then
  step_aside "the official one, $version, downloaded by Pulumi into $installed"
else
  why="pulumi plugin install failed ($(tail -n1 <<<"$said"))"
fi

mkdir -p "$bin"
ln --symbolic --force --no-dereference "$ROOT/infra/kubernetes_plugin/$NAME" "$bin/$NAME"
say "kubernetes plugin: $why; so taking azlocal's stand-in for $version, $bin/$NAME. (To change over later: pulumi plugin install resource kubernetes v$version, then make setup)"
stamp_write kubernetes-plugin "$key"
