"""What is done with a stack: the engine's runs and what goes around them, once the environment is chosen.

Imports inside the functions are deliberate: what is true already costs no import, and the program's come while
the engine starts.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.stack.messages import say
from infra.stack.state import EngineFailed, Stack

if TYPE_CHECKING:
    from pathlib import Path

    from infra.model.encryption_keys import EncryptionKeys
    from infra.model.run import PoolSizes, RunSettings
    from infra.model.versions import Stage
    from infra.provider.standing import Standing
    from infra.stack.backup import ScheduleReport, StoredBackup
    from infra.stack.clusters import StackCluster
    from infra.stack.engine import Program


def up(stack: Stack, *options: str) -> int:
    """Make the instance."""
    if not (stack.directory / f"Pulumi.{stack.name}.yaml").is_file():
        from infra.spec.loader import stack_names

        names = " ".join(stack_names(stack.directory))
        raise UserError(f"there is no Pulumi.{stack.name}.yaml. The stacks here: {names}")
    build_image(stack)
    start_hypervisor()
    stack.select()
    settle(stack)
    return _made(stack, *options) or show(stack)


def resize(stack: Stack, pool_sizes: PoolSizes, *options: str) -> int:
    """Give pools with autoscaling other sizes, by an `up`; nobody is shown at its end what stands."""
    build_image(stack)
    start_hypervisor()
    settle(stack)
    return _made(stack, *options, pool_sizes=pool_sizes)


def adopt(stack: Stack, *options: str, yes: bool = False) -> int:
    """Write a new state from what stands, as an `up` that re-creates nothing."""
    from infra.stack import adoption

    start_hypervisor()
    to_adopt = adoption.find(stack)
    adoption.confirm(stack, to_adopt, yes=yes)
    build_image(stack)
    adoption.take(stack, to_adopt)
    stack.select()
    settle(stack)
    code = _made(stack, *options, standing=to_adopt.standing, pool_sizes=to_adopt.pool_sizes)
    return code or show(stack)


def _made(
    stack: Stack, *options: str, standing: Standing | None = None, pool_sizes: PoolSizes | None = None
) -> int:
    from infra.stack.stages import runs_of, step_of

    flags = ("--yes", "--skip-preview", "--suppress-outputs", *options)
    for settings in runs_of(stack, pool_sizes):
        if settings.versions:
            say(step_of(settings.versions))
            build_images(stack, settings.versions)
        code = engine(stack, "up", *flags, standing=standing, settings=settings)
        if code:
            return code
    from infra.stack import contexts
    from infra.stack.drills import journal

    journal.end(stack.directory, stack.name)
    contexts.update(stack)
    return 0


def down(stack: Stack, *options: str) -> int:
    """Take everything of the instance away again, and prove it."""
    if not stack.exists():
        say(f"there is no stack '{stack.name}', so there is nothing to take down")
        return 0
    from infra.kvm import daemon
    from infra.stack import contexts
    from infra.stack.auditing.run import Before

    standing = contexts.contexts_of(stack)
    start_hypervisor()
    settle(stack, before_destroy=True)
    before = Before.of(stack, stack.deployment(), standing)
    # A host that doesn't answer keeps only what stands on itself.
    flags = ("--yes", "--skip-preview", "--suppress-outputs", "--continue-on-error")
    code = engine(stack, "destroy", *flags, *options)
    if code == 0:
        from infra.stack.drills import journal

        journal.end(stack.directory, stack.name)
        contexts.remove(standing)
    left = before.prove()  # libvirt is asked, so before it ends
    if code == 0:
        daemon.stop(say)
    return code or left


def preview(stack: Stack, *options: str) -> int:
    """Show what `up` would change."""
    from infra.stack.stages import runs_of, step_of

    build_image(stack)  # the plan of the machines names the image they boot by its content
    stack.select()
    settings, *later = runs_of(stack)
    if later:
        step = step_of(settings.versions)
        say(f"{step}. This is the first of {len(later) + 1} runs of `azlocal up`, which does them all")
        build_images(stack, settings.versions)
    return engine(stack, "preview", "--diff", *options, settings=settings)


def refresh(stack: Stack, *options: str) -> int:
    """Look at the real machines."""
    stack.require()
    start_hypervisor()
    return engine(stack, "refresh", "--yes", "--skip-preview", "--diff", *options)


def outputs(stack: Stack, *options: str) -> int:
    """Print the stack's outputs."""
    from infra.stack.command import started

    stack.require()
    with started("stack", "output", "--stack", stack.name, *options, directory=stack.directory) as run:
        return run.exit_code


def show(stack: Stack) -> int:
    """Print what was made."""
    from infra.stack.machines import show_stack

    show_stack(stack.outputs())
    return 0


def ssh(stack: Stack, *arguments: str) -> int:
    """Log in to a machine."""
    from infra.stack.machines import log_in

    return log_in(stack.outputs(), list(arguments))


def settle(stack: Stack, *, before_destroy: bool = False) -> int:
    """Put the stack in order after a killed run."""
    from infra.stack.settle import settle

    settle(stack, before_destroy=before_destroy)
    return 0


def backup(stack: Stack, clusters: Sequence[str], file: Path | None) -> int:
    """Take a snapshot of clusters of a stack, of all where none is named; bring it here, where it is one."""
    from infra.stack.backup import StackBackups
    from infra.stack.clusters import cluster_of, clusters_of

    backups = StackBackups(stack)
    chosen = [cluster_of(stack, name) for name in clusters] or clusters_of(stack)
    if not chosen:
        raise UserError(f"stack {stack.name} has no cluster that Kubernetes is on")
    if file is not None and len(chosen) > 1:
        raise UserError("-o takes one snapshot: name its cluster with --cluster")
    for cluster in chosen:
        taken = backups.take(cluster)
        say(f"cluster {cluster.name}: {taken.name}, {taken.size >> 20} MiB, revision {taken.revision}, is kept")
        if file is not None:
            fetch(stack, cluster.name, taken.name, file)
    return 0


def backups(stack: Stack, cluster: str | None) -> tuple[list[StoredBackup], list[ScheduleReport]]:
    """Return the snapshots that are kept of a stack's clusters, or of one, the oldest first; and schedules."""
    from infra.stack.backup import StackBackups
    from infra.stack.clusters import cluster_of, clusters_of

    of = [cluster_of(stack, cluster)] if cluster else clusters_of(stack)
    stacks = StackBackups(stack)
    return (
        [stored for each in of for stored in stacks.listed(each)],
        [report for each in of for report in stacks.schedules(each)],
    )


def fetch(stack: Stack, cluster: str, name: str, file: Path) -> int:
    """Bring a snapshot here."""
    from infra.stack.backup import StackBackups, named
    from infra.stack.clusters import cluster_of

    backups, of = StackBackups(stack), cluster_of(stack, cluster)
    backups.fetch(of, named(backups.listed(of), name), file)
    say(f"{file} has {name}, and {file}.json what is known of it. Whoever can read it can read the cluster's data")
    return 0


def restore(stack: Stack, cluster: str, snapshot: str | None, *, yes: bool = False) -> int:
    """Restore a cluster's etcd."""
    from infra.stack.restore.flow import restore as run

    start_hypervisor()
    run(
        stack,
        cluster,
        snapshot,
        lambda of, machine: _found_again(stack, of, machine),
        lambda of, keys: _tell_keys(stack, of, keys),
        yes=yes,
    )
    return 0


def rotate_keys(stack: Stack, cluster: str | None, *, only_due: bool = False) -> int:
    """Give a cluster's Secrets another key; all clusters' where none is named."""
    from infra.stack.rotation.flow import rotate

    start_hypervisor()
    settle(stack)
    rotate(stack, cluster, lambda of, keys: _tell_keys(stack, of, keys), only_due=only_due)
    return 0


def _tell_keys(stack: Stack, cluster: StackCluster, keys: EncryptionKeys) -> None:
    """Have state say other keys of a cluster's Secrets, by a run that looks at nothing else."""
    from infra.stack.engine import run

    flags = ("--yes", "--skip-preview", "--suppress-outputs", "--target", cluster.urns[cluster.identity])
    code = run(stack.name, "up", *flags, load=load_program, rotating={cluster.identity: keys})
    if code:
        raise EngineFailed(f"state can't be told the keys of cluster {cluster.name}: the engine says why", code)


def _found_again(stack: Stack, cluster: StackCluster, machine: str) -> None:
    """Make a control plane that founds its cluster again, with the keys in state, and nothing else."""
    from infra.stack.engine import run

    settle(stack)
    urns = [cluster.urns[cluster.key], cluster.urns[machine]]
    if not cluster.machines[machine].lost:
        stack.refresh("--target", urns[1])
    targets = [word for urn in urns for word in ("--target", urn)]
    flags = ("--yes", "--skip-preview", "--suppress-outputs", *targets)
    code = run(stack.name, "up", *flags, load=load_program, refounded=[cluster.key])
    if code:
        raise EngineFailed(f"{machine} can't be made again: the engine says why", code)


def engine(
    stack: Stack,
    verb: str,
    *options: str,
    standing: Standing | None = None,
    settings: RunSettings | None = None,
) -> int:
    """Run the engine, with the program where it runs one.

    Args:
        stack: The stack.
        verb: The engine's command.
        options: Its options.
        standing: What stands of an adopted instance.
        settings: What the program has in this run that the files don't say; None: it looks itself.
    """
    from infra.stack.engine import run

    return run(stack.name, verb, *options, load=partial(load_program, settings), standing=standing)


def build_image(stack: Stack) -> None:
    """Have the image that the stack's machines boot; building one is another command's."""
    from infra.image.needs import needs_of
    from infra.spec import SpecError

    try:
        images = needs_of(stack.name, stack.directory).find()
    except SpecError:
        images = None  # the command says what is wrong with the files
    if images is None:
        _build(stack.name)
        return
    for image in images:
        print("\n".join(image.places()))  # noqa: T201


def build_images(stack: Stack, stage: Stage) -> None:
    """Have the images of versions that clusters only pass."""
    from infra.image.needs import needs_of

    needed = {version for of in stage.values() for version in (of.planes, of.workers)}
    disk = "--vm-disk" if needs_of(stack.name, stack.directory).vm_disk else "--no-vm-disk"
    _build(disk, *(word for version in sorted(needed) for word in ("--kubernetes-version", version)))


def _build(*words: str) -> None:
    code = subprocess.call(["azlocal", "image", "build", *words])
    if code:
        raise EngineFailed("", code)


def start_hypervisor() -> None:
    """Make libvirt answer; silent where it does already."""
    from infra.kvm import daemon

    daemon.start(say)


def load_program(settings: RunSettings | None = None) -> Program:
    """Return what declares an instance; a second of imports.

    Args:
        settings: What the run has that the files don't say; None: the program looks into state, as it does for a
            user of the bare command.
    """
    from infra.program import main, project_directory

    if settings is not None:
        return partial(main, settings)
    from infra.stack.pool_sizes import settings_of_bare_run

    return lambda: main(settings_of_bare_run(project_directory()))
