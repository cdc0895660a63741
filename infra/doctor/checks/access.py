"""Can we get in, as somebody who may do things there?"""

from __future__ import annotations

from infra.doctor.checks.base import Skip, Subject, Verdict, check, failed, ok
from infra.doctor.facts import Access


@check("reachable")
def reachable(subject: Subject) -> Verdict:
    """Host answers."""
    access = subject.facts.access
    if access.stage == "unreachable":
        return failed(*_split(access))
    return ok("over SSH" if access.over_ssh else "this machine")


@check("host-key")
def host_key(subject: Subject) -> Verdict:
    """Host key is the known one."""
    access = subject.facts.access
    if access.stage == "unreachable":
        raise Skip("the host doesn't answer")
    if access.stage in ("hostKeyUnknown", "hostKeyChanged", "hostKeyRevoked"):
        return failed(*_split(access))
    return ok("known" if access.over_ssh else "no SSH is needed")


@check("login")
def login(subject: Subject) -> Verdict:
    """Login without a password."""
    access = subject.facts.access
    if access.stage == "loginRefused":
        return failed(*_split(access))
    _reached(access)
    return ok(f"as {access.user}")


@check("root")
def root(subject: Subject) -> Verdict:
    """Root, or sudo without a password."""
    access = subject.facts.access
    _reached(access)
    if access.is_root:
        return ok("root")
    if access.can_sudo:
        return ok(f"{access.user} becomes root by sudo")
    return failed(
        f"{access.user} isn't root, and `sudo --non-interactive true` is refused",
        f"let {access.user} become root without a password: a line `{access.user} ALL=(ALL) NOPASSWD: ALL` "
        f"in /etc/sudoers.d/azlocal on the host; or name root in {subject.host.where}.connection",
    )


@check("ssh-forwarding")
def ssh_forwarding(subject: Subject) -> Verdict:
    """sshd lets connections through."""
    access = subject.facts.access
    _reached(access)
    if not access.over_ssh:
        raise Skip("no SSH is needed")
    if access.forwarding is not None:
        return failed(
            "sshd forbids connections through it, and azlocal checks machines that way",
            "set `AllowTcpForwarding yes` in /etc/ssh/sshd_config, then `systemctl reload ssh`",
        )
    return ok("allowed")


def _reached(access: Access) -> None:
    if access.stage != "reached":
        raise Skip("the host can't be logged in to")


def _split(access: Access) -> tuple[str, str]:
    """Part an error of infra.ssh into what was seen and what to do, which it says in its last sentence."""
    seen, _, remedy = access.message.rpartition(". ")
    return (seen, remedy) if seen else (access.message, "see what the ssh command says to it: `ssh -v`")
