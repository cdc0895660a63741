"""`azlocal image`: build, list, verify and prune node images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from infra.image import cache as image_cache
from infra.image.build import build_node_image
from infra.image.cache import default_cache
from infra.image.model import ImageError
from infra.image.recipe import MIB, current_recipe

app = typer.Typer(help="The node image that every machine boots.", no_args_is_help=True)


@app.command()
def build() -> None:
    """Build the current node image, unless it is there already."""
    with _errors():
        image = build_node_image(typer.echo)
    typer.echo(f"{image.name} is in {image.vm.path.parent}")


@app.command(name="list")
def list_images() -> None:
    """List the images in the cache."""
    from rich.console import Console
    from rich.table import Table

    current = current_recipe()
    entries = image_cache.entries(default_cache())
    table = Table("NAME", "DIGEST", "SIZE", "CREATED (UTC)", "IN USE", box=None)
    for entry in entries:
        in_use = "yes" if entry.image.digest == current.digest else "no"
        size = f"{entry.disk_usage / MIB:.0f} MiB"
        table.add_row(
            entry.image.name, entry.image.digest[:12], size, entry.created[:16].replace("T", " "), in_use
        )
    if entries:
        Console().print(table)
    if all(entry.image.digest != current.digest for entry in entries):
        typer.echo(f"{current.image_name}, the current recipe's image, isn't built: `azlocal image build`")


@app.command()
def verify() -> None:
    """Read every image again and compare it with its checksums."""
    damaged = 0
    with _errors():
        for entry in image_cache.entries(default_cache()):
            for artifact in (entry.image.container, entry.image.vm):
                started = time.monotonic()
                fault = image_cache.verify(artifact)
                damaged += fault is not None
                seconds = time.monotonic() - started
                typer.echo(f"{entry.image.name} {artifact.path.name}: {fault or 'sound'} ({seconds:.1f} s)")
    if damaged:
        typer.echo("Delete a damaged image's folder; `azlocal image build` makes it again.", err=True)
        raise typer.Exit(1)


@app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove the current image, too.")] = False,
) -> None:
    """Remove images and package trees that the current recipe doesn't need."""
    recipe, cache = current_recipe(), default_cache()
    keep = (None, None) if everything else (recipe.digest, recipe.tree_digest)
    freed = 0
    with _errors(), image_cache.locked(cache, typer.echo):
        image_cache.clear_workplace(cache)
        for path in image_cache.prunable(cache, *keep):
            size = image_cache.remove(path)
            freed += size
            typer.echo(f"removed {path} ({size / MIB:.0f} MiB)")
    typer.echo(f"freed {freed / MIB:.0f} MiB")


@contextmanager
def _errors() -> Iterator[None]:
    """Turn an error into its message and exit code 1."""
    try:
        yield
    except (ImageError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
