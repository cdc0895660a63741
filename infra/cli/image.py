"""`azlocal image`: build, list, verify and prune node images and the bundles in them."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import directory_of
from infra.counting import counted
from infra.image import cache as image_cache
from infra.image.build import build_node_image
from infra.image.bundle import store as bundle_store
from infra.image.bundle.build import SourceChoice
from infra.image.bundle.model import SBOM_FILE
from infra.image.bundle.recipe import tree_digests
from infra.image.bundle.store import find_bundle_in
from infra.image.folders import clear, disk_usage, locked, remove
from infra.image.needs import ImageNeeds, needs_of
from infra.image.places import Cache, default_cache
from infra.image.recipe import MIB, current_recipe
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion, built_version
from infra.spec.kubernetes_versions import BUILT_VERSIONS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The node image that every machine boots.",
)


@app.command()
def build(
    context: typer.Context,
    stack: Annotated[
        str | None,
        typer.Argument(help="Build what this stack's machines boot; without it, the image with Kubernetes."),
    ] = None,
    *,
    source: Annotated[
        SourceChoice,
        typer.Option(
            help="Where Kubernetes and its add-ons come from: the projects' downloads (release), compiled here "
            "from Go modules (modules), or whichever is in use or can be had (auto)."
        ),
    ] = "auto",
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="The image without Kubernetes, which needs no bundle: for stacks that say `nodeImage: plain`.",
        ),
    ] = False,
    kubernetes_version: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Build the image with this version; may be repeated. One of {', '.join(BUILT_VERSIONS)}.",
            metavar="VERSION",
        ),
    ] = None,
    vm_disk: Annotated[
        bool | None,
        typer.Option(
            "--vm-disk/--no-vm-disk",
            help="Whether the disk that VMs boot is made, too; containers need none. By default it is, except "
            "where the stack's machines can be nothing but containers.",
        ),
    ] = None,
) -> None:
    """Build the current bundle and node image, unless they are there already.

    What is finished is kept: an interrupted build goes on where it was.

    \b
    Mirrors, by environment variable:
        AZLOCAL_DEBIAN_MIRROR       Debian's packages; a second address is for security updates
        AZLOCAL_KUBERNETES_MIRROR   instead of https://dl.k8s.io (release)
        AZLOCAL_HELM_MIRROR         instead of https://get.helm.sh (release)
        AZLOCAL_GITHUB_MIRROR       instead of https://github.com (release)
        AZLOCAL_IMAGE_MIRROR        a registry that has every image under its own name, as in
                                    mirror.example:5000/registry.k8s.io/pause:3.10.1 (release)
        GOPROXY                     Go modules (both)
    """
    for option, value in (("--plain", plain), ("--kubernetes-version", kubernetes_version)):
        if stack and value:
            raise typer.BadParameter("the stack says which image it is", param_hint=option)
    if plain and kubernetes_version:
        raise typer.BadParameter("the plain image has no Kubernetes", param_hint="--kubernetes-version")
    versions = tuple(map(_version, kubernetes_version)) if kubernetes_version else (DEFAULT,)
    needs = ImageNeeds("plain" if plain else "kubernetes", vm_disk=True, versions=versions)
    if stack:
        needs = needs_of(stack, directory_of(context))
    wanted = needs.vm_disk if vm_disk is None else vm_disk
    images = [
        build_node_image(typer.echo, source, needs.kind, version, vm_disk=wanted) for version in needs.versions
    ]
    for image, version in zip(images, needs.versions, strict=True):
        typer.echo("\n".join(image.places()))
        if image.bundle and (note := version.support_note(date.today())):
            typer.echo(f"note: {note}")


def _version(text: str) -> KubernetesVersion:
    try:
        return built_version(text)
    except KeyError:
        message = f"azlocal builds {', '.join(BUILT_VERSIONS)}, not {text!r}"
        raise typer.BadParameter(message, param_hint="--kubernetes-version") from None


@app.command(name="list")
def list_images() -> None:
    """List the bundles and images in the cache."""
    from rich.console import Console
    from rich.table import Table

    cache = default_cache()
    in_use = {*_with_bundle(cache), current_recipe("").digest}
    table = Table("NAME", "DIGEST", "SIZE", "CREATED (UTC)", "IN USE", box=None)
    rows = [
        (entry.image.name, entry.image.digest, entry.disk_usage, entry.created)
        for entry in image_cache.entries(cache)
    ] + [
        (entry.name, entry.digest, disk_usage(entry.folder), entry.created)
        for entry in bundle_store.entries(cache)
    ]
    for name, digest, size, created in rows:
        table.add_row(
            *(name, digest[:12], f"{size / MIB:.0f} MiB", created[:16].replace("T", " ")),
            "yes" if digest in in_use else "no",
        )
    if rows:
        Console().print(table)
    default = _current(cache, DEFAULT)
    if not default or not default <= {row[1] for row in rows}:
        typer.echo(
            "The current recipe's image or bundle isn't built: `azlocal image build` (--plain: without both)"
        )


@app.command()
def verify() -> None:
    """Read every image and bundle again, compare them with their checksums, and name their known security holes.

    Holes are known by the versions in a bundle's bill of materials and of an image's Debian packages, and by a
    list that is a part of this version of azlocal, with its day. It is short: what nodes run containers with, the
    bundle's own programs, and some of their libraries. It ends with exit code 1 where something is damaged or has
    a hole that a newer bundle hasn't; what even that has is told with the reason.
    """
    # Only this command needs to compare versions.
    from infra.image.known_holes import known_holes, parts_of_bill, parts_of_packages

    damaged = 0
    cache = default_cache()
    parts = {}
    for entry in image_cache.entries(cache):
        for artifact in entry.image.artifacts:
            started = time.monotonic()
            fault = image_cache.verify(artifact)
            damaged += fault is not None
            seconds = time.monotonic() - started
            typer.echo(f"{entry.image.name} {artifact.path.name}: {fault or 'sound'} ({seconds:.1f} s)")
        parts[entry.image.name] = parts_of_packages(entry.packages)
    for bundle in bundle_store.entries(cache):
        started = time.monotonic()
        faults = bundle_store.verify(bundle)
        damaged += len(faults)
        seconds = time.monotonic() - started
        for line in faults or [f"{counted(len(bundle.files), 'file')} sound"]:
            typer.echo(f"{bundle.name}: {line} ({seconds:.1f} s)")
        if not faults:
            bill = (bundle.folder / SBOM_FILE).read_text(encoding="utf-8")
            parts[bundle.name] = parts_of_bill(bill)
    holes, open_holes = known_holes(), 0
    for name, made_of in parts.items():
        present = holes.found_in(made_of)
        open_holes += sum(not occurrence.hole.stays for occurrence in present)
        for line in map(str, present) if present else [f"no hole that was known on {holes.as_of}"]:
            typer.echo(f"{name}: {line}")
    if damaged:
        typer.echo("Delete a damaged folder; `azlocal image build` makes it again.", err=True)
    if open_holes:
        typer.echo(
            "`azlocal image build` makes what this version of azlocal has, and `azlocal image prune` removes what "
            "is older. Nodes that stand keep the containerd and runc that they have: re-create their cluster.",
            err=True,
        )
    if damaged or open_holes:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove the current ones, too.")] = False,
) -> None:
    """Remove images, bundles, compiled programs and package trees that the current recipe doesn't need."""
    cache = default_cache()
    freed = 0
    with (
        locked(cache.bundle_lock, "building the bundle", typer.echo),
        locked(cache.image_lock, "building the node image", typer.echo),
    ):
        clear(cache.bundle_work)
        clear(cache.work)
        for path in _prunable(cache, everything):
            size = remove(path)
            freed += size
            typer.echo(f"removed {path} ({size / MIB:.0f} MiB)")
    typer.echo(f"freed {freed / MIB:.0f} MiB")


def _current(cache: Cache, version: KubernetesVersion) -> set[str]:
    """Return the digests of a version's current bundle and of the image with it; none where it isn't built."""
    bundle = find_bundle_in(cache, version)
    return {bundle.digest, current_recipe(bundle.digest).digest} if bundle else set()


def _with_bundle(cache: Cache) -> set[str]:
    """Return the digests of each version's current bundle and image, where they are built."""
    return set().union(*(_current(cache, version) for version in BUILT))


def _prunable(cache: Cache, everything: bool) -> list[Path]:
    keep: set[str] = set()
    trees: set[str] = set()
    if not everything:
        plain, with_bundle = current_recipe(""), _with_bundle(cache)
        keep = {plain.digest, *with_bundle}
        # Both images grow from one tree; the others are the bundle's.
        trees = {plain.tree_digest, *(tree_digests() if with_bundle else ())}
    return image_cache.prunable(cache, keep, trees) + bundle_store.prunable(cache, keep, components=everything)
