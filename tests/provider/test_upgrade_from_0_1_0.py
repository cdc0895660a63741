"""What `up` of today makes of a stack that stands by 0.1.0: only the machine that is no node is replaced.

resources_of_0_1_0.json is what the code of commit 7901163 declares for the stack `local`, completed by its checks.
Outputs that a resource takes from another are those below; the image and the bundle have other contents.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import program
from infra.components.instance import LoginKeys
from infra.components.node_image import BundleFiles, NodeImageFiles
from infra.image.bundle.images import CHARTS, images
from infra.image.bundle.model import Bundle
from infra.plan.instance import plan_instance
from infra.plan.locks import SiteLocks
from infra.provider.kinds import all_kinds
from infra.resources.arguments import ArtifactArgs
from infra.resources.changes import diff
from tests.project import ROOT
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation
from tests.taking import declared

BEFORE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "resources_of_0_1_0.json").read_text())
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB me"
KUBECONFIG = (
    "{clusters: [{name: local-a, cluster: {server: x}}], users: [], "
    "contexts: [{name: local-a, context: {cluster: local-a, user: u}}], current-context: local-a}"
)
OUTPUTS: dict[str, Any] = {
    "sshHostKey": "ssh-ed25519 HOST",
    "started": 1,
    "uid": "owner",
    "pool": "azlocal-local",
    "machineType": "container",
    "machineTypeReason": "r",
    "secureBoot": None,
    "tpm": None,
    "bootId": "b",
    "caCertificate": "CA\n",
    "caHash": "sha256:ab",
    "token": "abcdef.0123456789abcdef",
    "keys": {"ca.key": "K"},
    "kubeconfig": KUBECONFIG,
    "clusterUid": "uid",
    "version": "1.34.4",
    "publicKey": "PK",
    "workspaceKey": "W",
    "status": {"revision": 1},
    "volume": f"image-{'1' * 12}.raw",
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "url": "https://127.0.0.1:1",
    "tenantId": "00000000-0000-0000-0000-000000000002",
}
EXPECTED = {
    "Host node1": {"owner": "update"},
    "Image node1-image": {"volume": "replace"},
    "Machine local-rb-0": {"image": "replace"},
    "ControlPlane local-a-control-plane": {"members": "update", "images": "update", "vrrpVersion": "update"},
    "Cluster local-a-cluster": {"members": "update", "nodes": "update", "generatedSecrets": "update"},
}
"""What changes of azlocal's own resources; all others are as they were. rb-0 is no node, and holds no data."""


@pytest.fixture(scope="module")
def today() -> dict[str, dict[str, Any]]:
    """Return what today's program declares for the same files, by name."""
    folder = Path("/cache/new")
    bundle = Bundle(
        source="modules",
        digest="1" * 64,
        kubernetes_version="1.34.4",
        folder=folder,
        images={image.name: image.reference("modules") for image in images()},
        charts={chart.name: folder / "charts" / chart.name for chart in CHARTS},
    )
    image: dict[str, ArtifactArgs] = {
        kind: {"path": f"/cache/new/{kind}", "sha256": "1" * 64, "format": "raw", "virtualSize": 1 << 30}
        for kind in ("vm", "container")
    }
    files = NodeImageFiles(image["vm"], image["container"], BundleFiles(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_node_image", lambda kind: files)
        patch.setattr(program, "_login_keys", lambda spec: LoginKeys((KEY,), ("/k",)))
        patch.setattr(program, "_plan", lambda spec: plan_instance(spec, SiteLocks.of(spec).read()))
        patch.setattr(program, "project_directory", lambda: ROOT)
        patch.setattr(pulumi, "get_stack", lambda: "local")
        return declared(program.main, preview=False, **OUTPUTS)


def test_everything_of_0_1_0_is_declared_still(today: dict[str, dict[str, Any]]) -> None:
    assert {one["name"] for one in BEFORE} - today.keys() == set()


def test_no_node_and_no_cluster_is_replaced(today: dict[str, dict[str, Any]]) -> None:
    kinds, found, said = all_kinds(), {}, []
    for one in BEFORE:
        kind = kinds.get(one["type"])
        if kind is None:
            continue
        news, faults = kind.contract.check(today[one["name"]], frozenset())
        assert [*faults, *kind.check(news, frozenset())] == [], one["name"]
        state = one["inputs"] | {"certificatesEnd": "2999-01-01T00:00:00+00:00", "started": 0, "uuid": "u"}
        changes, log = diff(kind.contract, state, news), MemoryLog()
        name = one["type"].rpartition(":")[2]
        kind.refine(state, news, changes, operation(name, log))
        if changes.by_path:
            found[f"{name} {one['name']}"] = {path: change.value for path, change in changes.by_path.items()}
        said += [text for _, text in log.lines]
    assert found == EXPECTED
    starts = [line.partition(" stays on the node image")[0].partition(" are to hold")[0] for line in said]
    assert [line.partition(" unencrypted")[0] for line in starts] == [
        "cluster a keeps its Secrets in etcd",
        "local-a-cp-0",
        "local-a-nodepool1-0",
        "the control planes of cluster a",
    ]
