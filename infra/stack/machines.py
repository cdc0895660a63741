"""What a stack's machines are and how to log in.

Logging in checks the host key that the stack names, and uses the key that `make up` put on the machines.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.guest import LOGIN_USER

OWN = Path(".azlocal")


def show_stack(outputs: Mapping[str, Any]) -> None:
    """Print what a stack has: machines, clusters, connections."""
    show(outputs.get("machines", {}), outputs.get("hosts", {}))
    show_clusters(outputs.get("clusters", {}))
    show_connections(outputs.get("connectedClusters", {}), outputs.get("azure", {}))


def log_in(outputs: Mapping[str, Any], arguments: list[str]) -> int:
    """Log in to a machine, or run a command there: its name, and the command's words; return the exit code."""
    machines: dict[str, dict[str, str]] = outputs.get("machines", {})
    if not arguments or arguments[0] not in machines:
        known = ", ".join(sorted(machines)) or "none; run make up first"
        sys.stderr.write(f"make ssh MACHINE=…: one of {known}\n")
        return 2
    machine = machines[arguments[0]]
    known_hosts = OWN / "known_hosts"
    OWN.mkdir(exist_ok=True)
    known_hosts.write_text(
        "".join(f"{entry['address']} {entry['sshHostKey']}\n" for entry in machines.values()), encoding="ascii"
    )
    command = ["ssh", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    made = os.environ.get("AZLOCAL_SSH_PUBLIC_KEY_FILE", "")
    if made:
        command += ["-i", made.removesuffix(".pub")]
    if machine.get("jump"):
        command += ["-J", machine["jump"]]
    return subprocess.call([*command, f"{LOGIN_USER}@{machine['address']}", *arguments[1:]])


def show(machines: dict[str, dict[str, str]], hosts: dict[str, dict[str, str]]) -> None:
    """Print one line a machine, and why machines run the way they do on each host."""
    table = Table(box=None, pad_edge=False)
    for column in ("machine", "address", "host", "runs as"):
        table.add_column(column)
    for name, machine in machines.items():
        table.add_row(name, machine["address"], machine["host"], hosts[machine["host"]]["machineType"])
    console = Console()
    console.print(table)
    for name, host in hosts.items():
        console.print(f"{name} runs {host['machineType']}s: {host['reason']}", highlight=False)
    if machines:
        console.print(f"log in: make ssh MACHINE={next(iter(machines))}", highlight=False)


def show_clusters(clusters: dict[str, dict[str, Any]]) -> None:
    """Print one line a cluster, and how to use them."""
    if not clusters:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("cluster", "Kubernetes", "API server", "load balancer"):
        table.add_column(column)
    for name, cluster in clusters.items():
        table.add_row(
            name, cluster["kubernetesVersion"], cluster["endpoint"], ", ".join(cluster["loadBalancer"]) or "-"
        )
    console = Console()
    console.print(table)
    console.print("use them: make kubeconfig, then kubectl get nodes", highlight=False)


def show_connections(connected: dict[str, dict[str, Any]], azure: dict[str, Any]) -> None:
    """Print one line a connected cluster, and whether that is Azure or its emulator."""
    where = "the emulator, which stands in for Azure" if azure.get("isEmulated") else azure.get("cloud")
    for name, connection in connected.items():
        resource, status = connection["id"].rpartition("/")[2], connection["connectivityStatus"]
        text = f"Azure Arc: cluster {name} is {status}, as {resource} of {where}"
        Console().print(text, highlight=False, soft_wrap=True)
