#!/usr/bin/env bash
# The Pulumi CLI with its Python language host, linked into .azlocal/bin: the one on PATH if it is new enough,
# else Pulumi's own download where it can be reached, else built from Go modules.
set -euo pipefail
# shellcheck source=scripts/setup/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
readonly OLDEST=3.200.0     # the oldest CLI the provider's protocol is tested with
readonly DOWNLOAD=3.200.0   # the release to download: the one that build.sh builds, and CI runs
readonly TOOLS=(pulumi pulumi-language-python pulumi-language-python-exec)
here=$ROOT/scripts/setup/pulumi
bin=$ROOT/.azlocal/bin

on_path=$(command -v pulumi || true)
recipe=$(hash_of "$here/build.sh" "$here"/{cli,python-host}/go.{mod,sum})
key=$(hash_of "${BASH_SOURCE[0]}" <(printf '%s' "$recipe ${on_path:+$(stat --dereference --format '%n %s %Y' "$on_path")}"))
[[ -x $bin/pulumi ]] && stamp_holds pulumi "$key" && exit

# Shows that the CLI in folder $1 runs a Python program; what it said is in $problem otherwise.
works() {
  local folder
  folder=$(mktemp --directory)
  printf 'name: check\nruntime: {name: python, options: {virtualenv: %s}}\n' "$ROOT/.venv" >"$folder/Pulumi.yaml"
  printf 'import pulumi\npulumi.export("answer", 42)\n' >"$folder/__main__.py"
  local settings=(PATH="$1:$PATH" PULUMI_HOME="$folder/home" PULUMI_BACKEND_URL="file://$folder"
    PULUMI_CONFIG_PASSPHRASE=check PULUMI_SKIP_UPDATE_CHECK=true PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true)
  local result=0
  problem=$(cd "$folder" && env "${settings[@]}" pulumi stack init check 2>&1 </dev/null &&
    env "${settings[@]}" pulumi preview --non-interactive 2>&1 </dev/null) || result=$?
  rm -rf "$folder"
  return "$result"
}

use() { # use FOLDER SOURCE: links the tools; SOURCE is read by infra/stack/environment.py
  local tool found
  # An older layout had a link here, and a link to a folder would be written through.
  [[ -L $bin ]] && rm "$bin"
  mkdir -p "$bin"
  for tool in "${TOOLS[@]}"; do
    found=$(PATH="$1:$PATH" command -v "$tool") || continue
    # What PATH has may be a link itself, in another checkout's .azlocal/bin, or in this one's by another path.
    ln --symbolic --force --no-dereference "$(readlink --canonicalize-existing "$found")" "$bin/$tool"
  done
  printf '%s\n' "$2" >"$ROOT/.azlocal/pulumi-source"
  stamp_write pulumi "$key"
}

try_path() {
  [[ -n $on_path ]] || { why="none is on PATH" && return 1; }
  local version
  version=$("$on_path" version 2>/dev/null | sed 's/^v//')
  version_at_least "${version:-0}" "$OLDEST" || { why="$on_path is ${version:-broken}, older than $OLDEST" && return 1; }
  works "$(dirname "$on_path")" || { why="$on_path ($version) can't run a Python program: $(tail -n1 <<<"$problem")" && return 1; }
  say "Pulumi CLI: $on_path ($version), which is on PATH and new enough ($OLDEST)"
  use "$(dirname "$on_path")" path
}

# Pulumi's install.sh fetches this same archive and does not check it; we hold it against the sha256 sums
# that the release publishes elsewhere.
try_download() {
  local arch file folder=$CACHE/pulumi/release-$DOWNLOAD partial said
  local archives=${AZLOCAL_PULUMI_ARCHIVES:-https://get.pulumi.com/releases/sdk}   # a mirror may stand in for either
  local sums=${AZLOCAL_PULUMI_SUMS:-https://github.com/pulumi/pulumi/releases/download/v$DOWNLOAD}/pulumi-$DOWNLOAD-checksums.txt
  local fetch=(curl --fail --silent --show-error --location --connect-timeout 4 --retry 2)
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) why+="; Pulumi has no download for $(uname -m)" && return 1 ;;
  esac
  file=pulumi-v$DOWNLOAD-linux-$arch.tar.gz
  if [[ ! -x $folder/bin/pulumi ]]; then
    said=$(curl --silent --show-error --location --head --output /dev/null --max-time 4 "$archives/$file" 2>&1) ||
      { why+="; Pulumi's download can't be reached (${said#curl: })" && return 1; }
    say "Pulumi CLI: $why; downloading $DOWNLOAD from $archives"
    mkdir -p "$CACHE/pulumi"
    partial=$(mktemp --directory "$CACHE/pulumi/partial.XXXXXX")
    if ! { "${fetch[@]}" --output "$partial/$file" "$archives/$file" &&
      "${fetch[@]}" --output "$partial/sums" "$sums" &&
      (cd "$partial" && grep -E "[ *]$file\$" sums | sha256sum --check --status --strict) &&
      tar --extract --gzip --file "$partial/$file" --directory "$partial" &&
      [[ -x $partial/pulumi/pulumi ]]; }; then
      rm -rf "$partial"
      why="the download of $file failed, or its sha256 is not the one in $sums"
      return 1
    fi
    rm -rf "$folder"
    mkdir "$partial/done" && mv "$partial/pulumi" "$partial/done/bin" && mv -T "$partial/done" "$folder"
    rm -rf "$partial"
  fi
  works "$folder/bin" || { why="the downloaded CLI can't run a Python program: $(tail -n1 <<<"$problem")" && return 1; }
  say "Pulumi CLI: $DOWNLOAD in $folder/bin, Pulumi's own release, its sha256 checked"
  use "$folder/bin" download
}

build() {
  local folder=$CACHE/pulumi/$recipe
  if [[ -x $folder/bin/pulumi ]]; then
    say "Pulumi CLI: $why; taking the one built earlier, $folder/bin"
  else
    say "Pulumi CLI: $why; so building it from Go modules into $folder/bin (two to five minutes, once a machine)"
    "$here/build.sh" "$folder"
  fi
  works "$folder/bin" || die "the Pulumi CLI in $folder/bin can't run a Python program:" "$problem"
  use "$folder/bin" built
}

why=
try_path || try_download || build
