"""Labs for people: `python -m infra.lab up|down|show|run|off|on|cut|restore`; `make lab` calls it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from infra.lab import lab as labs
from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.lab.marks import LabError
from infra.lab.site import remove_site, write_site

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="KVM hosts on this one machine."
)
_ROOT = Path(__file__).resolve().parents[2]
_console = Console(highlight=False, soft_wrap=True)

_Answer = TypeVar("_Answer")
Name = Annotated[str, typer.Argument(help="The lab's name.")]
HostName = Annotated[str, typer.Argument(help="A host of it: node1, node2 …")]


@app.command()
def up(name: Name, hosts: Annotated[int, typer.Argument(help="How many.")] = 4) -> None:
    """Make a lab, and a site and a stack of its name for it."""
    made = _answer(lambda: labs.start(name, hosts))
    written = _answer(lambda: write_site(_ROOT, made))
    _print_hosts(made)
    _console.print(f"wrote {', '.join(str(path.relative_to(_ROOT)) for path in written)}")
    _console.print(f"log in to a host:  ssh {name}-node1")
    _console.print(f"build on them:     make up STACK={name}      (and make down STACK={name})")
    _console.print(f"cut the power:     sudo .venv/bin/python -m infra.lab off {name} node2   (see --help)")
    _console.print(f"take it all away:  make lab-down{'' if name == 'lab-local' else f' LAB={name}'}")


@app.command()
def down(name: Name) -> None:
    """Take a lab away, with all that was built on its hosts."""
    _answer(lambda: labs.remove(name))
    remove_site(_ROOT, name)
    _console.print(f"lab {name} is gone")


@app.command()
def show(name: Annotated[str | None, typer.Argument(help="One lab; all of them when absent.")] = None) -> None:
    """Show the labs that stand."""
    for lab in [name] if name else labs.known():
        _print_hosts(_existing(lab))


@app.command()
def run(name: Name, host: HostName, command: Annotated[list[str], typer.Argument(help="What to run.")]) -> None:
    """Run a command at a host's console, without its network."""
    done: subprocess.CompletedProcess[str] = _answer(lambda: _host(name, host).run(*command, check=False))
    typer.echo(done.stdout, nl=False)
    typer.echo(done.stderr, nl=False, err=True)
    raise typer.Exit(done.returncode)


@app.command()
def off(name: Name, host: HostName) -> None:
    """Cut a host's power: it and its machines are gone at once; its disk stays."""
    _answer(_host(name, host).power_off)


@app.command()
def on(name: Name, host: HostName) -> None:
    """Switch a host on."""
    _answer(_host(name, host).power_on)


@app.command()
def cut(name: Name, host: HostName) -> None:
    """Pull a host's network cable."""
    _answer(_host(name, host).cut_link)


@app.command()
def restore(name: Name, host: HostName) -> None:
    """Plug a host's network cable in again."""
    _answer(_host(name, host).restore_link)


def _answer(action: Callable[[], _Answer]) -> _Answer:
    try:
        return action()
    except LabError as error:
        typer.echo(f"azlocal: {error}", err=True)
        raise typer.Exit(1) from None


def _existing(name: str) -> Lab:
    lab = _answer(lambda: labs.find(name))
    if lab is None:
        typer.echo(f"azlocal: there is no lab {name}; make lab makes one", err=True)
        raise typer.Exit(1)
    return lab


def _host(name: str, host: str) -> LabHost:
    return _answer(lambda: _existing(name).host(host))


def _print_hosts(lab: Lab) -> None:
    table = Table(
        "host", "address", "power", box=None, pad_edge=False, title=f"lab {lab.name}", title_justify="left"
    )
    for host in lab.hosts:
        state = "off" if not host.is_on else "on" if host.answers() else "on, no SSH"
        table.add_row(host.name, str(host.address), state)
    _console.print(table)


if __name__ == "__main__":
    app()
