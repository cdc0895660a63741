#!/usr/bin/env bash
# stack.sh VERB: what make's up, adopt, down, preview, refresh, outputs, ssh, kubeconfig and env do. STACK names the
# stack; PULUMI_FLAGS goes to the engine as it is. A user who is at home in Pulumi can run `eval "$(make env)"` and use it bare.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
stack=${STACK:-local}
stack_file=Pulumi.$stack.yaml
own=$root/.azlocal
unset PYTHONDONTWRITEBYTECODE # as the Makefile does: our code is compiled once
read -ra flags <<<"${PULUMI_FLAGS:-}"

say() { printf 'azlocal: %s\n' "$*" >&2; }

die() {
  printf 'azlocal: %s\n' "$@" >&2
  exit 1
}

logged_in_to() {
  sed -n 's/.*"current": *"\([^"]\{1,\}\)".*/\1/p' "${PULUMI_HOME:-$HOME/.pulumi}/credentials.json" 2>/dev/null || true
}

# Everything that is not azlocal's own choice stays as the user set it; what is chosen here is exported.
choose_backend() {
  if [[ -n ${PULUMI_BACKEND_URL:-}${PULUMI_ACCESS_TOKEN:-}$(logged_in_to) ]]; then
    return
  fi
  [[ -d $own/state ]] || say "state: in .azlocal/state, since no Pulumi backend is logged in to and PULUMI_BACKEND_URL is not set"
  mkdir -p "$own/state"
  export PULUMI_BACKEND_URL=file://$own/state
  choose_passphrase
}

# Only for our own state: a random passphrase in a state that is shared would lock the others out.
choose_passphrase() {
  [[ -z ${PULUMI_CONFIG_PASSPHRASE+set}${PULUMI_CONFIG_PASSPHRASE_FILE:-} ]] || return 0
  local file=$own/passphrase
  if [[ ! -s $file ]]; then
    ! grep -qs '^encryptionsalt:' "$stack_file" ||
      die "$stack_file has an encryptionsalt, so its secrets were encrypted with a passphrase that this checkout does not have." \
        "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to it; or, if the file has no 'secure:' values, remove the line."
    say "secrets: a new random passphrase in .azlocal/passphrase, since PULUMI_CONFIG_PASSPHRASE is not set"
    (umask 077 && head -c 32 /dev/urandom | base64 >"$file.new" && mv "$file.new" "$file")
  fi
  export PULUMI_CONFIG_PASSPHRASE_FILE=$file
}

# The program takes azlocal:sshPublicKeys, else the user's own key, else the file named here.
choose_ssh_key() {
  [[ -z ${AZLOCAL_SSH_PUBLIC_KEY_FILE:-} ]] || return 0
  ! grep -qs '^ *azlocal:sshPublicKeys:' "$stack_file" || return 0
  local name key=$own/ssh/id_ed25519
  for name in ed25519 ecdsa rsa; do
    [[ ! -f $HOME/.ssh/id_$name.pub ]] || return 0
  done
  if [[ ! -f $key.pub ]]; then
    say "SSH: a new key pair, .azlocal/ssh/id_ed25519, since there is none in ~/.ssh and $stack_file names none"
    (umask 077 && mkdir -p "$own/ssh")
    rm -f "$key"
    ssh-keygen -q -t ed25519 -N '' -C "azlocal@$(uname -n)" -f "$key"
  fi
  export AZLOCAL_SSH_PUBLIC_KEY_FILE=$key.pub
}

choose() {
  export PULUMI_SKIP_UPDATE_CHECK=true
  # Where Pulumi's downloads can't be reached, looking for plugins there costs seconds a run and finds nothing.
  if [[ $(cat "$own/pulumi-source" 2>/dev/null) == built ]]; then
    export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true
  fi
  choose_backend
  choose_ssh_key
}

print_environment() {
  local name
  # shellcheck disable=SC2016 # the shell that evaluates this expands PATH
  printf 'export PATH=%q:%q:"$PATH"\n' "$own/bin" "$root/.venv/bin"
  for name in PULUMI_BACKEND_URL PULUMI_CONFIG_PASSPHRASE_FILE AZLOCAL_SSH_PUBLIC_KEY_FILE \
    PULUMI_SKIP_UPDATE_CHECK PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION; do
    [[ -z ${!name:-} ]] || printf 'export %s=%q\n' "$name" "${!name}"
  done
}

# The engine writes the salt of the passphrase into the stack's file. With our own passphrase that line is worth
# nothing to anyone else and would leave every checkout with a changed file; the engine makes a new one at need.
keep_stack_file() {
  [[ -f $stack_file && ${PULUMI_CONFIG_PASSPHRASE_FILE:-} == "$own/passphrase" ]] || return 0
  ! grep -q '^encryptionsalt:\|^ *secure:' "$stack_file" || return 0
  stack_file_before=$(mktemp)
  cp --preserve "$stack_file" "$stack_file_before"
  trap restore_stack_file EXIT
}

restore_stack_file() {
  if cmp -s <(grep -v '^encryptionsalt:' "$stack_file") "$stack_file_before"; then
    cat "$stack_file_before" >"$stack_file"
  fi
  rm -f "$stack_file_before"
}

exists() { pulumi stack select --non-interactive --stack "$stack" >/dev/null 2>&1; }

must_exist() { exists || die "there is no stack '$stack' yet; make up STACK=$stack makes it"; }

# All that is done with a stack, in one process: infra/stack.
run() { python -m infra.stack "$1" "$stack" "${@:2}"; }

up() {
  [[ -f $stack_file ]] || die "there is no $stack_file. The stacks here: $(find . -maxdepth 1 -name 'Pulumi.*.yaml' -printf '%f ' | sed 's/Pulumi\.//g; s/\.yaml//g')"
  run up "${flags[@]}"
}

adopt() { run adopt "${flags[@]}"; }

down() { run down "${flags[@]}"; }

preview() { run preview "${flags[@]}"; }

refresh() {
  must_exist
  run refresh "${flags[@]}"
}

outputs() {
  must_exist
  pulumi stack output --stack "$stack" "${flags[@]}"
}

kubeconfig() {
  must_exist
  azlocal kubeconfig --stack "$stack" --merge ${CLUSTER:+"$CLUSTER"}
}

login() {
  must_exist
  run ssh "${MACHINE:-}"
}

choose
case ${1:-} in
  env) print_environment ;;
  up | adopt | down | preview | refresh | outputs | login | kubeconfig)
    keep_stack_file
    "$1"
    ;;
  *) die "usage: stack.sh up|adopt|down|preview|refresh|outputs|login|kubeconfig|env" ;;
esac
