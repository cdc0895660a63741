"""A pytest plugin: an instance of its own for a run of tests, by `azlocal ci`, proven gone afterwards.

    def test_a_service_gets_an_address(azlocal_cluster):
        api = kubernetes.config.new_client_from_config(str(azlocal_cluster.kubeconfig), azlocal_cluster.context)
        ...
        assert address in azlocal_cluster.load_balancer

It is there wherever azlocal is installed; from a checkout alone, `pytest -p infra.testing`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_OPTIONS = (
    ("project", ".", "The folder of the project, which has Pulumi.yaml."),
    ("stack", "local", "The stack that the instance is made from."),
    ("run", "", "The run's name; absent: one of its own for each process of pytest's."),
    ("lease", "2h", "How long the hosts stay the run's, should pytest be killed."),
    ("wait", "30m", "How long to wait for hosts that another run has."),
)


@dataclass(frozen=True)
class Cluster:
    """A cluster of the instance.

    Attributes:
        name: As the stack's file has it.
        context: Its context in the kubeconfig.
        kubeconfig: The file; all clusters of the instance are in it.
        endpoint: The URL of its API servers.
        load_balancer: The addresses that its services of type LoadBalancer get.
    """

    name: str
    context: str
    kubeconfig: Path
    endpoint: str
    load_balancer: tuple[str, ...]


@dataclass(frozen=True)
class Instance:
    """An instance that stands for this run of tests.

    Attributes:
        name: The instance's.
        clusters: Its clusters with Kubernetes, by name.
    """

    name: str
    clusters: dict[str, Cluster]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what `azlocal ci up` needs to know."""
    group = parser.getgroup("azlocal", "an instance of Azure Local for the run")
    for name, default, text in _OPTIONS:
        group.addoption(f"--azlocal-{name}", default=default, help=text)
    group.addoption("--azlocal-keep", action="store_true", help="Leave the instance standing.")


@pytest.fixture(scope="session")
def azlocal_instance(request: pytest.FixtureRequest) -> Iterator[Instance]:
    """Yield an instance that is made when a test first asks for it, and is gone at the end."""
    option = request.config.getoption
    run = option("--azlocal-run") or f"pytest-{os.getpid()}"
    base = ["azlocal", "-C", option("--azlocal-project"), "ci"]
    waits = ("--lease", option("--azlocal-lease"), "--wait", option("--azlocal-wait"))
    made = _run(*base, "up", option("--azlocal-stack"), "--run", run, *waits, "--format", "json")
    try:
        if made.returncode:
            pytest.fail(
                f"no instance: `azlocal ci up` ended with {made.returncode}, and said why above", pytrace=False
            )
        yield _instance(json.loads(made.stdout))
    finally:
        if not option("--azlocal-keep"):
            gone = _run(*base, "down", "--run", run, "--format", "json")
            if gone.returncode and not made.returncode:
                pytest.fail(f"`azlocal ci down` ended with {gone.returncode}: something is left", pytrace=False)


@pytest.fixture(scope="session")
def azlocal_cluster(azlocal_instance: Instance) -> Cluster:
    """Return the instance's first cluster."""
    if not azlocal_instance.clusters:
        pytest.fail("the stack has no cluster that Kubernetes is on", pytrace=False)
    return next(iter(azlocal_instance.clusters.values()))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    return done


def _instance(content: dict[str, Any]) -> Instance:
    kubeconfig = Path(content["kubeconfig"] or os.devnull)
    return Instance(
        content["instance"],
        {
            name: Cluster(
                name, cluster["context"], kubeconfig, cluster["endpoint"], tuple(cluster["loadBalancer"])
            )
            for name, cluster in content["clusters"].items()
        },
    )
