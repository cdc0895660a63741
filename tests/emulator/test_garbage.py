"""Whatever a client sends, ARM's front answers as Azure would: never by a fault of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.emulator import daemon, operations
from infra.emulator.arm.dispatch import action_of, answer
from infra.emulator.connectivity import CERTIFICATE_LIFE, find_cluster, record_certificate, record_heartbeat
from infra.emulator.http import Answer, Refusal, Request
from infra.emulator.server import make_world
from infra.emulator.settings import Folder
from infra.emulator.world import World
from tests.emulator.azure_sdk import cluster_body, extension_body, flux_body

WORDS = (
    *("subscriptions", "{s}", "resourceGroups", "g", "providers", "resources", "tenants", "locations"),
    *("Microsoft.Kubernetes", "connectedClusters", "a", "Microsoft.KubernetesConfiguration", "extensions"),
    *(
        "fluxConfigurations",
        "x",
        "Microsoft.ExtendedLocation",
        "customLocations",
        "operations",
        "operationresults",
    ),
    *(
        "Microsoft.HybridCompute",
        "settings",
        "Default",
        "Microsoft.KubernetesRuntime",
        "loadBalancers",
        "register",
    ),
    *("00000000-0000-0000-0000-000000000000", "", "ü", "%", "listClusterUserCredential"),
)
CLUSTER = "/subscriptions/{s}/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/a"
CONFIGURATION = f"{CLUSTER}/providers/Microsoft.KubernetesConfiguration"
TARGETS = {
    CLUSTER: cluster_body(),
    f"{CONFIGURATION}/extensions/x": extension_body(),
    f"{CONFIGURATION}/fluxConfigurations/x": flux_body(),
    "/subscriptions/{s}/resourceGroups/g": {"location": "eastus"},
    "/subscriptions/{s}/resourceGroups/g/providers/Microsoft.ExtendedLocation/customLocations/x": {
        "location": "eastus",
        "properties": {"hostResourceId": CLUSTER, "clusterExtensionIds": []},
    },
    f"{CLUSTER}/providers/Microsoft.HybridCompute/settings/Default": {"properties": {"gatewayProperties": {}}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
METHODS = st.sampled_from(("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"))
VERSIONS = (
    "2024-01-01",
    "2026-05-01",
    "2023-05-01",
    "2025-04-01",
    "2021-08-15",
    "2021-04-01",
    "2025-02-19-preview",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("emulator")
    daemon.initialise(folder)
    world = make_world(Folder(folder), Folder(folder).settings())
    yield world
    world.store.close()


def ask(world: World, method: str, path: str, version: str, body: bytes) -> Answer:
    """Ask as the server does."""
    own = world.settings
    token = world.tokens.issue("https://management.azure.com", own.client_id, own.client_id)
    request = Request(
        method, path.replace("{s}", own.subscription_id), {}, {"api-version": version},
        {"authorization": f"Bearer {token}"}, body, own.url, on_loopback=True,
    )  # fmt: skip
    action_of(request)
    try:
        with world.store.transaction():
            operations.settle(world.store, world.clock)
            return answer(world, request)
    except Refusal as refusal:
        assert 400 <= refusal.status < 500
        return refusal.answer()


def connected(world: World) -> None:
    """Let there be a group with a connected cluster, and nothing under way."""
    world.store.clear()
    body = {name: json.dumps(one).encode() for name, one in TARGETS.items()}
    group = "/subscriptions/{s}/resourceGroups/g"
    assert ask(world, "PUT", group, "2021-04-01", body[group]).status == 201
    assert ask(world, "PUT", CLUSTER, "2024-01-01", body[CLUSTER]).status == 201
    cluster = find_cluster(world.store, CLUSTER.replace("{s}", world.settings.subscription_id))
    assert cluster is not None
    cluster = record_certificate(world.store, cluster, world.clock.now() + CERTIFICATE_LIFE)
    record_heartbeat(world.store, world.clock, cluster, {})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.sampled_from(WORDS), max_size=12), method=METHODS, version=st.sampled_from(VERSIONS),
    body=JSON,
)  # fmt: skip
def test_any_path(world: World, parts: list[str], method: str, version: str, body: object) -> None:
    found = ask(world, method, "/" + "/".join(parts), version, json.dumps(body).encode())
    json.dumps(found.body)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), target=st.sampled_from(sorted(TARGETS)), method=st.sampled_from(("PUT", "PATCH")))
def test_any_change_of_a_sound_body(world: World, data: st.DataObject, target: str, method: str) -> None:
    connected(world)
    body = json.loads(json.dumps(TARGETS[target]).replace("{s}", world.settings.subscription_id))
    # One place of it gets something else.
    place = body
    while True:
        name = data.draw(st.sampled_from([*sorted(place), "tags", "properties"]))
        if isinstance(place.get(name), dict) and place[name] and data.draw(st.booleans()):
            place = place[name]
            continue
        place[name] = data.draw(JSON)
        break
    for version in VERSIONS:
        found = ask(world, method, target, version, json.dumps(body).encode())
        json.dumps(found.body)
