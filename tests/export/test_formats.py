"""Every format, of many instances: other programs can read it, and it names only what upstream's files have."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from infra.export.export import export
from infra.export.facts import ExportFacts, Format
from infra.export.output import Export
from infra.plan.addresses.numbers import range_text
from infra.spec import InstanceSpec
from tests.export.exporting import KEY, facts_of, parameter_faults, recorded, variable_faults
from tests.export.reading import az_faults, bicep_parameters, bicep_resources, read_log, write_stub
from tests.golden.instances import instance
from tests.instances import spec_of

NUMBERS = range(40)
NODE_USES = {"controlPlaneNode", "workerNode", "upgradeSpare", "controlPlaneVip"}


@cache
def spec(number: int) -> InstanceSpec:
    """Return a generated instance; Azure's sizes stand for the site's own, which one of them has."""
    made = instance(number)
    return spec_of(made.content, made.name)


@cache
def exported(number: int, to: Format) -> tuple[ExportFacts, Export]:
    """Return what an instance is exported from and to, whatever its secrets are called."""
    one = spec(number)
    clusters = {
        cluster.name: {
            "storageProfile": {"nfsCsiDriver": {"enabled": False}},
            "tags": {"o'clock": "${x} %{y} \\ '"},
        }
        for cluster in one.stack.clusters
    }
    sizes: dict[str, Any] = {"vmSizes": {"Small": "Standard_A4_v2"}} if "Small" in one.vm_sizes() else {}
    facts = facts_of(one, to, clusters=clusters, tags={"a b": 'say "hi"'}, **sizes)
    return facts, export(facts)[0]


def sound(to: Format) -> Iterator[tuple[ExportFacts, Export]]:
    made = [exported(number, to) for number in NUMBERS]
    yield from ((facts, one) for facts, one in made if one.files)


def test_most_of_the_instances_are_sound() -> None:
    """Else the tests below would show nothing."""
    for to in Format:
        assert len(list(sound(to))) > len(NUMBERS) / 3, to


def networks_of(facts: ExportFacts) -> list[str]:
    return [network.name for _, network in facts.networks]


def test_bicep_has_each_network_and_cluster_and_only_parameters_of_the_modules() -> None:
    modules = {(one["module"], one["version"]): one["parameters"] for one in recorded("bicep")}
    for facts, made in sound(Format.BICEP):
        names = {name for name in made.files if name.endswith(".bicepparam")}
        assert names == {f"network-{name}.bicepparam" for name in networks_of(facts)} | {
            f"cluster-{cluster.name}.bicepparam" for _, cluster in facts.clusters
        }
        for name in names:
            using, values = bicep_parameters(made.files[name])
            module, _, version = using.removeprefix("br/public:").partition(":")
            assert list(parameter_faults(values, modules[module, version])) == []


def test_bicep_parameters_are_those_of_the_modules_next_version_too() -> None:
    """0.3.0 of the cluster's module is in the repository, and isn't published."""
    (newer,) = (
        one for one in recorded("bicep") if one["version"] == "0.3.0" and "cluster-instance" in one["module"]
    )
    for _, made in sound(Format.BICEP):
        for name, text in made.files.items():
            if name.startswith("cluster-") and name.endswith(".bicepparam"):
                assert list(parameter_faults(bicep_parameters(text)[1], newer["parameters"])) == []


def test_bicep_installs_what_the_stack_has_and_each_secret_is_a_secure_parameter() -> None:
    for facts, made in sound(Format.BICEP):
        for _, cluster in facts.clusters:
            text = made.files.get(f"cluster-{cluster.name}-above.bicep", "")
            secrets, resources = bicep_resources(text)
            bodies = [body for kind, body in resources.values() if "KubernetesConfiguration/extensions" in kind]
            written = {extension.name for extension in cluster.arc.all_extensions()}
            assert written <= {body["name"] for body in bodies} <= written | {"arcnetworking"}
            assert sum("fluxConfigurations" in kind for kind, _ in resources.values()) == len(
                cluster.arc.flux_configurations
            )
            used = set(re.findall(r"\bsecret_\w+", text))
            assert used == set(secrets)
            for _, body in resources.values():
                assert all(symbol in resources for symbol in body.get("dependsOn", []))


def test_terraform_has_only_variables_of_the_modules() -> None:
    modules = {one["module"]: one for one in recorded("terraform")}
    for facts, made in sound(Format.TERRAFORM):
        content = json.loads(made.files["azlocal.tf.json"])
        blocks = content.get("module", {})
        assert len(blocks) == len(facts.networks) + len(facts.clusters)
        for block in blocks.values():
            module = modules[block.pop("source")]
            assert block.pop("version") == module["version"]
            assert list(variable_faults(block, module["variables"])) == []
        for resource in content.get("resource", {}).get("azapi_resource", {}).values():
            assert resource["type"].partition("@")[0] in {
                "Microsoft.KubernetesConfiguration/extensions",
                "Microsoft.KubernetesConfiguration/fluxConfigurations",
                "Microsoft.KubernetesRuntime/loadBalancers",
            }
            for name in resource["depends_on"]:
                kind, _, label = name.partition(".")
                assert label in (blocks if kind == "module" else content["resource"][kind])


def test_terraform_takes_every_text_as_it_is() -> None:
    for facts, made in sound(Format.TERRAFORM):
        if facts.clusters:
            assert '"$${x} %%{y} \\\\ \'"' in made.files["azlocal.tf.json"]


def test_the_script_calls_az_by_its_reference_whatever_is_in_the_values(tmp_path: Path) -> None:
    stub = write_stub(tmp_path / "bin")
    runs = list(sound(Format.AZ))[:12]
    for number, (facts, made) in enumerate(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in made.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        log = folder / "log"
        secrets = dict.fromkeys(re.findall(r"\$\{(\w+):\?", made.files["azlocal.sh"]), "a 'secret' $x")
        for part in ("networks", "validate", "clusters"):
            subprocess.run(
                ["bash", folder / "azlocal.sh", part],
                env={**os.environ, "PATH": f"{stub}:{os.environ['PATH']}", "AZ_LOG": str(log), **secrets},
                cwd=tmp_path,
                check=True,
            )
        calls = read_log(log)
        assert [fault for words in calls for fault in az_faults(words)] == []
        creates = [words for words in calls if words[1:3] == ["aksarc", "create"]]
        assert len(creates) == 2 * len(facts.clusters)
        assert sum("--validate" in words for words in creates) == len(facts.clusters)
        assert sum(words[1] == "stack-hci-vm" for words in calls) == len(facts.networks)
        pools = sum(len(cluster.agent_pools) for _, cluster in facts.clusters)
        assert sum(words[1:4] == ["aksarc", "nodepool", "add"] for words in calls) == pools - len(facts.clusters)
        assert all("o'clock=${x} %{y} \\ '" in words for words in creates)


def test_the_script_is_bash_and_says_how_it_is_used(tmp_path: Path) -> None:
    for _, made in sound(Format.AZ):
        script = tmp_path / "azlocal.sh"
        script.write_text(made.files["azlocal.sh"], encoding="utf-8")
        subprocess.run(["bash", "-n", script], check=True)
    run = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "networks | validate | clusters" in run.stderr


def test_arm_has_only_parameters_of_the_template_and_lacks_but_the_passwords() -> None:
    parameters: Mapping[str, Any] = recorded("arm")["parameters"]
    for _, made in sound(Format.ARM):
        values = {
            key: one["value"]
            for key, one in json.loads(made.files["azuredeploy.parameters.json"])["parameters"].items()
        }
        assert values["deploymentMode"] == "Validate"
        needed = {key: one for key, one in parameters.items() if one["type"] != "securestring"}
        assert list(parameter_faults(values, needed)) == []


def test_odin_takes_the_design_and_knows_every_key_and_choice() -> None:
    known = recorded("odin")
    validator = Draft7Validator(known["schema"])
    for _, made in sound(Format.ODIN):
        design = json.loads(made.files["odin.json"])
        assert list(validator.iter_errors(design)) == []
        assert set(design["state"]) <= set(known["schema"]["properties"]["state"]["properties"])
        for key, choices in known["choices"].items():
            assert design["state"].get(key) in {*choices, None}


@pytest.mark.parametrize("to", Format)
def test_no_format_has_a_nodes_address_or_a_chosen_virtual_one(to: Format) -> None:
    for facts, made in sound(to):
        pinned = {str(cluster.control_plane.host_ip) for _, cluster in facts.clusters}
        written = set(re.findall(r"\d+\.\d+\.\d+\.\d+", "\n".join(made.files.values())))
        ends = {
            str(end)
            for _, network in facts.networks
            for pool in network.ip_pools
            for end in (pool.start, pool.end)
        }
        for network in facts.plan.addresses.networks:
            for allocation in network.allocations:
                if allocation.use in NODE_USES:
                    assert allocation.address not in written - pinned - ends


@pytest.mark.parametrize("to", [Format.BICEP, Format.TERRAFORM, Format.AZ])
def test_services_get_the_planned_ranges(to: Format) -> None:
    for facts, made in sound(to):
        text = "\n".join(made.files.values())
        for _, cluster in facts.clusters:
            if cluster.add_ons.metallb.enabled:
                for span in cluster.load_balancer.ranges:
                    first, last = facts.services_of(cluster)[0].first, facts.services_of(cluster)[-1].last
                    assert (first, last) == (span.first, span.last)
                for span in facts.services_of(cluster):
                    assert range_text(span) in text


def test_the_key_is_the_targets() -> None:
    for facts, made in sound(Format.BICEP):
        if facts.clusters:
            assert KEY in "\n".join(made.files.values())
