#!/usr/bin/env bash
# build.sh FOLDER: builds the Pulumi CLI and its Python language host from Go modules into FOLDER/bin. The
# modules' hashes are in go.sum, so nothing but the module proxy is asked. FOLDER appears whole or not at all.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/setup/lib.sh
source "$here/../lib.sh"
target=$1
readonly VERSION=3.200.0
readonly HOST_VERSION=3.68.0 # the last release whose language host is part of a published module
readonly SDK=github.com/pulumi/pulumi/sdk/v3

mkdir -p "$(dirname "$target")"
# Another checkout on this machine may be building the same recipe.
exec 8>"$target.lock"
flock 8
[[ -x $target/bin/pulumi ]] && exit

# Our own caches, so that they can be dropped (make clean-cache) without touching the user's.
export GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
# As in infra/image/bundle/golang.py: no debug information that the linker's -w throws away, and less collecting
# of garbage in processes that live for seconds.
export GOFLAGS='-mod=readonly -trimpath -modcacherw -buildvcs=false -gcflags=all=-dwarf=false' GOGC=400
go=$("$here/../go.sh")

partial=$(mktemp --directory "$target.XXXXXX")
trap 'rm -rf "$partial"' EXIT
mkdir "$partial/bin"

build() { # build MODULE PACKAGE VERSION
  say "building ${2##*/} $3"
  (cd "$here/$1" && quietly "build-${2##*/}.log" nice "$go" build -o "$partial/bin/" \
    -ldflags "-s -w -X $SDK/go/common/version.Version=v$3" "$2")
}
build cli github.com/pulumi/pulumi/pkg/v3/cmd/pulumi "$VERSION"
build python-host "$SDK/python/cmd/pulumi-language-python" "$HOST_VERSION"
# The host's helper is a script; the CLI's version of it knows more of today's SDK and falls back by itself.
install --mode 755 "$GOMODCACHE/$SDK@v$VERSION/python/cmd/pulumi-language-python-exec" "$partial/bin/"

chmod 755 "$partial"
mv -T "$partial" "$target"
trap - EXIT
say "Go's caches are in $CACHE/go ($(du -sh "$CACHE/go" | cut -f1)); make clean-cache drops them"
