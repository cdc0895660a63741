"""targets/<site>.yaml: what is wrong in it is named with file, line and remedy, as in the other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra.spec import SpecError
from infra.spec.reading import load_target
from infra.spec.schema import json_schemas
from tests.export.exporting import TARGET
from tests.project import ROOT

SCHEMA = Draft202012Validator(json_schemas()["target.schema.json"])
INSTANCE = TARGET["instance"]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"subscriptionID": "x"}, "unknown-key", "subscriptionID"),
    ({"subscriptionId": "mine"}, "wrong-value", "subscriptionId"),
    ({"resourceGroup": "ends."}, "wrong-value", "resourceGroup"),
    ({"customLocationResourceId": "site-1"}, "wrong-value", "customLocationResourceId"),
    ({"vmSwitchName": " "}, "wrong-value", "vmSwitchName"),
    ({"logicalNetworks": {"aks": "aks"}}, "wrong-value", "logicalNetworks.aks"),
    ({"sshKeyVault": {"name": "a--b"}}, "wrong-value", "sshKeyVault.name"),
    ({"adminGroupObjectIDs": ["admins"]}, "wrong-value", "adminGroupObjectIDs[0]"),
    ({"kubernetesVersion": "v1.33.5"}, "wrong-value", "kubernetesVersion"),
    ({"vmSizes": {"Lab_Small": "Lab_Small"}}, "wrong-value", "vmSizes.Lab_Small"),
    ({"clusters": {"Upper": {}}}, "wrong-value", "clusters.Upper"),
    ({"clusters": {"a": {"name": "-a"}}}, "wrong-value", "clusters.a.name"),
    ({"clusters": {"a": {"authorizedIPRanges": ["192.0.2.1"]}}}, "bad-prefix", "authorizedIPRanges[0]"),
    ({"instance": {**INSTANCE, "clusterName": "ab"}}, "wrong-value", "instance.clusterName"),
    ({"instance": {**INSTANCE, "namingPrefix": "ninechars"}}, "wrong-value", "instance.namingPrefix"),
    ({"instance": {**INSTANCE, "domainFqdn": "flat"}}, "wrong-value", "instance.domainFqdn"),
    ({"instance": {**INSTANCE, "networkIntents": []}}, "wrong-value", "instance.networkIntents"),
    (
        {"instance": {**INSTANCE, "storageNetworks": [{"name": "s", "adapter": "a", "vlan": 4095}]}},
        "wrong-value",
        "storageNetworks[0].vlan",
    ),
]


def read(folder: Path, content: str) -> Any:
    (folder / "targets").mkdir(exist_ok=True)
    (folder / "targets/s.yaml").write_text(content, encoding="utf-8")
    return load_target("s", folder)


def test_the_example_and_the_tests_own_can_be_read(tmp_path: Path) -> None:
    target, document = load_target("lab", ROOT)
    assert target.instance is not None
    assert document.where(("vmSizes", "Lab_Small")).startswith("targets/lab.yaml:")
    read(tmp_path, yaml.safe_dump(TARGET))
    SCHEMA.validate(TARGET)


@pytest.mark.parametrize(("content", "rule", "place"), WRONG)
def test_a_mistake_is_named_with_its_line_and_an_editor_sees_it(
    tmp_path: Path, content: dict[str, Any], rule: str, place: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, "\n" + yaml.safe_dump(content))
    (finding,) = caught.value.findings
    assert finding.rule == rule
    assert finding.path.startswith("targets/s.yaml:")
    assert finding.path.endswith(place)
    assert not SCHEMA.is_valid(content)


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, "sshPublicKey: '-----BEGIN OPENSSH PRIVATE KEY-----'")
    (finding,) = caught.value.findings
    assert finding.rule == "private-ssh-key"
    assert "BEGIN" not in str(finding)


def test_a_file_that_isnt_there_is_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_target("s", tmp_path)
    (finding,) = caught.value.findings
    assert (finding.rule, finding.path) == ("missing-file", "targets/s.yaml")
    assert "azlocal export --help" in finding.remedy
