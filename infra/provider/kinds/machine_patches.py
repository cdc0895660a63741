"""What a machine that runs is told over SSH, and not by a new machine: its login keys, how many pods it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from infra.guest import LOGIN_USER, Seed
from infra.guest.authorized_keys import with_keys
from infra.kvm.errors import HostError
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS
from infra.plugin.operation import Operation
from infra.provider.lives import ClusterRun
from infra.resources.changes import Refused
from infra.resources.changes.patches import KUBELETS_MAX_PODS, lowered_max_pods, too_many_pods
from infra.resources.machine import MachineInputs, MachineState
from infra.ssh import Dial, MachineTarget, Shell, ShellError
from infra.unknown import UNKNOWN

_KUBELET_SECONDS: Final = 240.0
_READ: Final = 'cat "$HOME/.ssh/authorized_keys"'
_WRITE: Final = """
umask 077
cd "$HOME/.ssh"
cat >.authorized_keys.new
sync .authorized_keys.new
mv .authorized_keys.new authorized_keys
"""

# A machine that isn't a node yet finds the number in what its seed left. kubeadm hands it to kubelet by a flag.
_SET_MAX_PODS: Final = """
join=/etc/azlocal/node/join.yaml flags=/var/lib/kubelet/kubeadm-flags.env
[ ! -e "$join" ] || sed -i "/name: max-pods$/{n;s/value: .*/value: '$1'/}" "$join"
[ -e "$flags" ] || exit 0
if grep -q -e --max-pods= "$flags"; then
    sed -i "s/--max-pods=[0-9]*/--max-pods=$1/" "$flags"
else
    sed -i "s/^KUBELET_KUBEADM_ARGS=\\"/&--max-pods=$1 /" "$flags"
fi
sync "$flags"
systemctl is-active --quiet kubelet.service || exit 0
systemctl restart kubelet.service
for _ in $(seq 900); do
    ! curl --silent --fail --max-time 2 --output /dev/null http://127.0.0.1:10248/healthz || exit 0
    sleep 0.2
done
journalctl --unit kubelet --lines 5 --output cat >&2
exit 1
"""


def is_as_it_was_made(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether a machine would find in its seed what it found once, but for what it is patched with."""
    if news["seedDigest"] == UNKNOWN:
        return False
    old, new = (FirstBoot.model_validate(values["firstBoot"]) for values in (state, news))
    digest = Seed(news["name"], new.patched_as(old), TRAITS[news["machineType"]]).digest()
    return digest == state.get("seedDigest")


def see_that_pods_fit(
    op: Operation, state: Mapping[str, Any], news: Mapping[str, Any], cluster: ClusterRun
) -> None:
    """See that a node that is to take fewer pods doesn't run more, as far as its cluster says.

    Raises:
        Refused: It does.
    """
    most = lowered_max_pods(state["firstBoot"], news["firstBoot"])
    if most is None:
        return
    op.status("counting its pods")
    running = cluster.life.pods_on(state["name"])
    if running is not None and (refusal := too_many_pods(state["name"], most, running)):
        raise Refused(refusal)


def patch_machine(
    op: Operation,
    stands: MachineState,
    old: MachineState,
    inputs: MachineInputs,
    cluster: ClusterRun | None,
    dial: Dial,
) -> dict[str, Any]:
    """Bring a machine that runs what it was told otherwise at its first boot; return what its record says then.

    Labels and taints are no part of it: they are on the Node object (infra.kubernetes.node_marks).

    Args:
        op: The operation.
        stands: The machine.
        old: As it was known: the keys that log in to it are among those of then.
        inputs: What is wanted.
        cluster: Its cluster, if that is known in this run.
        dial: Opens a connection from the host that reaches it.

    Raises:
        HostError: It can't be done; login keys are as they were.
    """
    before, wanted, name = stands.first_boot, inputs.first_boot, inputs.name
    numbers = [(boot.node.max_pods if boot.node else None) or KUBELETS_MAX_PODS for boot in (before, wanted)]
    if numbers[1] < numbers[0]:
        _see_that_pods_fit_now(name, numbers[1], cluster)
    of_cluster = cluster.identity_files if cluster else ()
    files = dict.fromkeys((*inputs.identity_files, *old.identity_files, *of_cluster))
    target = MachineTarget(LOGIN_USER, before.host_address, stands.ssh_host_key, tuple(files), dial=dial)
    try:
        if numbers[0] != numbers[1]:
            op.status(f"maxPods becomes {numbers[1]}")
            with target.shell() as shell:
                command = ["sudo", "sh", "-euc", _SET_MAX_PODS, "set-max-pods", str(numbers[1])]
                shell.run(command, timeout=_KUBELET_SECONDS)
        if before.authorized_keys != wanted.authorized_keys:
            op.status("the login keys change")
            with target.shell() as shell:
                _change_keys(name, shell, target, before.authorized_keys, wanted.authorized_keys)
    except ShellError as error:
        raise HostError(
            f"{name} can't be changed as it runs: {error}. See that it runs, and that `ssh` logs in there with a "
            "key that it has; the next `pulumi up` goes on"
        ) from error
    record: dict[str, Any] = {"firstBoot": before.patched_as(wanted).to_wire()}
    if is_as_it_was_made(stands.to_wire(), inputs.to_wire()):
        record["seedDigest"] = inputs.seed_digest
    return record


def _see_that_pods_fit_now(name: str, most: int, cluster: ClusterRun | None) -> None:
    running = cluster.life.pods_on(name) if cluster else None
    if running is None:
        raise HostError(
            f"maxPods of {name} can't become {most} before it is known how many pods run there: kubelet would end "
            "those beyond. See that the cluster's API answers, and run without --target and --exclude"
        )
    if refusal := too_many_pods(name, most, running):
        raise HostError(refusal)


def _change_keys(
    name: str, shell: Shell, target: MachineTarget, old: Collection[str], new: Collection[str]
) -> None:
    """Change the login keys, each time in one step: none goes before one that is to be there has let us in.

    Raises:
        HostError: None does, as far as it can be tried from here; all are as they were.
    """
    first = shell.run(["sh", "-c", _READ]).stdout
    with_new, wanted = with_keys(first, (), new), with_keys(first, old, new)
    if with_new != first:
        _write(shell, with_new)
    if wanted == with_new:
        return
    try:
        lets_in = target.lets_in(new)
    except ShellError:
        _write(shell, first)
        raise
    if not lets_in:
        _write(shell, first)
        raise HostError(
            f"the login keys of {name} stay as they are: none of the new ones logs in from here, and nobody might "
            "after the others are gone. Have the private half of one of them beside its .pub file, or in the SSH "
            "agent, and run `pulumi up` again"
        )
    _write(shell, wanted)


def _write(shell: Shell, text: str) -> None:
    shell.run(["sh", "-euc", _WRITE], input=text.encode())
