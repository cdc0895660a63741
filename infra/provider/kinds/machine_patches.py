"""What a machine that runs is told over SSH, and not by a new machine: its login keys, how many pods it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from infra.guest.authorized_keys import with_keys
from infra.kvm.errors import HostError
from infra.model.first_boot import FirstBoot
from infra.plugin.operation import Operation
from infra.resources.changes.patches import KUBELETS_MAX_PODS, lowered_max_pods, too_many_pods
from infra.ssh import MachineTarget, Shell, ShellError

_KUBELET_SECONDS: Final = 90.0
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
for _ in $(seq 300); do
    ! curl --silent --fail --max-time 2 --output /dev/null http://127.0.0.1:10248/healthz || exit 0
    sleep 0.2
done
journalctl --unit kubelet --lines 5 --output cat >&2
exit 1
"""


def patch_machine(
    op: Operation,
    name: str,
    target: MachineTarget,
    old: FirstBoot,
    new: FirstBoot,
    pods_on: Callable[[], int | None],
) -> None:
    """Bring a machine that runs what it was told otherwise at its first boot.

    Labels and taints are no part of it: they are on the Node object (infra.kubernetes.node_marks).

    Args:
        op: The operation.
        name: The machine's.
        target: How it is logged in to.
        old: What it was told.
        new: What it would be told now.
        pods_on: Returns how many pods run on the node; None where nobody says.

    Raises:
        HostError: It can't be done; login keys are as they were.
    """
    most = new.node.max_pods or KUBELETS_MAX_PODS if new.node else KUBELETS_MAX_PODS
    has_other_number = old.node is not None and old.node.max_pods != (new.node.max_pods if new.node else None)
    has_other_login = set(old.authorized_keys) != set(new.authorized_keys)
    if not (has_other_number or has_other_login):
        return
    if lowered_max_pods(old.to_wire(), new.to_wire()):
        _see_that_pods_fit(name, most, pods_on())
    try:
        with target.shell() as shell:
            if has_other_number:
                op.status(f"maxPods becomes {most}")
                command = ["sudo", "sh", "-euc", _SET_MAX_PODS, "set-max-pods", str(most)]
                shell.run(command, timeout=_KUBELET_SECONDS)
            if has_other_login:
                op.status("the login keys change")
                _change_keys(name, shell, target, old.authorized_keys, new.authorized_keys)
    except ShellError as error:
        raise HostError(
            f"{name} can't be changed as it runs: {error}. See that it runs, and that `ssh` logs in there with a "
            "key that it has; the next `pulumi up` goes on"
        ) from error


def _see_that_pods_fit(name: str, most: int, running: int | None) -> None:
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
