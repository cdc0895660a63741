#!/usr/bin/env bash
# help.sh MAKEFILE: prints the targets with their `##` texts, and the few words a newcomer needs.
set -euo pipefail
cat <<'TEXT'
azlocal: an Azure Local instance and its AKS clusters on plain KVM machines, from one `pulumi up`.

  make up       boots the instance described by Pulumi.local.yaml, hosts/local.yaml and netplans/local.yaml
  make down     takes it away again
TEXT
awk '
  /^##@/ { printf "\n%s\n", substr($0, 5); next }
  /^[a-z0-9-]+:.*## / {
    target = $0; sub(/:.*/, "", target)
    text = $0; sub(/^[^#]*## /, "", text); gsub(/\$\$/, "$", text)
    if (target == "help") printf "\nFirst steps\n"
    printf "  make %-12s %s\n", target, text
  }
' "$1"
cat <<'TEXT'

Settings, after any target
  STACK=lab                           another instance: Pulumi.lab.yaml and its site's files
  PULUMI_FLAGS=--expect-no-changes    handed to pulumi as it is
  PYTEST_FLAGS='-k network -x'        handed to pytest as it is
TEXT
