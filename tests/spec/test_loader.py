import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.spec import Finding, SpecError, load_instance
from infra.spec.stack import StackConfig
from tests.instances import checked_addresses, cluster, files, host, infrastructure, write_files

ROOT = Path(__file__).parents[2]


def faults(folder: Path, stack: str = "lab") -> list[Finding]:
    with pytest.raises(SpecError) as caught:
        load_instance(stack, folder)
    assert caught.value.findings
    return caught.value.findings


def rules(folder: Path) -> list[tuple[str, str]]:
    return [(finding.rule, finding.path) for finding in faults(folder)]


@pytest.mark.parametrize("stack", ["local", "lab"])
def test_the_stacks_of_the_project_are_sound(stack: str) -> None:
    assert checked_addresses(load_instance(stack, ROOT)).ok


def test_every_fault_of_all_three_files_comes_at_once(tmp_path: Path) -> None:
    content = files([cluster(controlplane={}), {"name": "b"}])
    content["hosts"]["hosts"][0]["cpus"] = "many"
    content["netplan"]["infrastructure"]["gateway"] = "192.168.1.256"
    write_files(tmp_path, content)
    assert rules(tmp_path) == [
        ("unknown-key", "Pulumi.lab.yaml:12: config.azlocal:clusters[0].controlplane"),
        ("missing-key", "Pulumi.lab.yaml:13: config.azlocal:clusters[1].logicalNetwork"),
        ("missing-key", "Pulumi.lab.yaml:13: config.azlocal:clusters[1].agentPools"),
        ("wrong-type", "hosts/s.yaml:6: hosts[0].cpus"),
        ("bad-address", "netplans/s.yaml:3: infrastructure.gateway"),
    ]


@pytest.mark.parametrize(("drain", "live"), [(False, False), (True, False), ("live", True)])
def test_a_host_drains_by_making_machines_anew_or_live(tmp_path: Path, drain: object, live: bool) -> None:
    write_files(tmp_path, files(hosts=[host(drain=drain)]))
    (found,) = load_instance("lab", tmp_path).hosts.hosts
    assert (found.drain, found.drains_live) == (drain, live)


@pytest.mark.parametrize("drain", ["Live", "yes", 1, None])
def test_another_kind_of_drain_is_refused_with_those_there_are(tmp_path: Path, drain: object) -> None:
    write_files(tmp_path, files(hosts=[host(drain=drain)]))
    (fault,) = faults(tmp_path)
    assert (fault.rule, fault.path.rpartition(" ")[2]) == ("wrong-value", "hosts[0].drain")
    assert "is not one of true, false, live" in fault.message


def test_faults_of_yaml_and_of_values_come_together(tmp_path: Path) -> None:
    write_files(tmp_path, files())
    (tmp_path / "hosts/s.yaml").write_text("hosts: []\nhosts: []\nvmSizes: 3\n", encoding="utf-8")
    assert rules(tmp_path) == [
        ("duplicate-key", "hosts/s.yaml:2: hosts"),
        ("wrong-type", "hosts/s.yaml:3: vmSizes"),
    ]


@pytest.mark.parametrize(
    ("part", "key", "value", "rule", "said"),
    [
        ("stack", "machineType", "docker", "wrong-value", "'docker' is not one of 'auto', 'vm'"),
        ("stack", "site", 5, "wrong-type", "expected a site's name: 1-63 letters, digits, - and _,"),
        ("stack", "location", None, "wrong-type", "expected text, found nothing"),
        ("stack", "clusters", {"a": 1}, "wrong-type", "expected a list, found a mapping"),
        ("stack", "sshPublicKeys", "~/.ssh/a.pub", "wrong-type", "expected a list, found '~/.ssh/a.pub'"),
        ("stack", "clusters", [3], "wrong-type", "expected a mapping, found 3"),
        ("stack", "clusters", [cluster(kubernetesVersion=1.34)], "wrong-type", "found 1.34"),
        ("stack", "clusters", [cluster(controlPlane={"count": True})], "wrong-type", "a whole number, found true"),
        ("stack", "clusters", [cluster(controlPlane={"count": "3"})], "wrong-type", "a whole number, found '3'"),
        ("stack", "clusters", [cluster(timeoutMinutes="10")], "wrong-type", "expected a number, found '10'"),
        ("stack", "clusters", [cluster(timeoutMinutes=True)], "wrong-type", "expected a number, found true"),
        ("stack", "clusters", [cluster(timeoutMinutes=0.2)], "wrong-value", "0.2 is no time to wait"),
        ("stack", "clusters", [cluster(arc={"timeoutMinutes": 0})], "wrong-value", "0 is no time to wait"),
        ("stack", "clusters", [cluster(controlPlane={"hostIP": "fe80::1"})], "bad-address", "an IPv6 address"),
        (
            "stack",
            "clusters",
            [cluster(controlPlane={"host_ip": "1.1.1.1"})],
            "unknown-key",
            "'host_ip' is unknown",
        ),
        (
            "stack",
            "clusters",
            [cluster(loadBalancer={"addresses": ["1.1.1.9-1.1.1.1"]})],
            "bad-range",
            "ends before",
        ),
        (
            "stack",
            "clusters",
            [cluster(loadBalancer={"addresses": ["1.1.1.1/40"]})],
            "bad-range",
            "is not a range",
        ),
        ("stack", "clusters", [cluster("a/b")], "bad-name", "'a/b' can't be a name"),
        ("stack", "azureLocalRelease", "2613", "wrong-value", "'2613' is not a release of Azure Local"),
        ("stack", "azureLocalRelease", "2600", "wrong-value", "'2600' is not a release of Azure Local"),
        ("stack", "sshPublicKeys", ["-----BEGIN RSA PRIVATE KEY-----"], "private-ssh-key", "a private key"),
        ("stack", "sshPublicKeys", ["ssh-ed25519 AAAA"], "bad-ssh-key", "is damaged or cut off"),
        (
            "hosts",
            "hosts",
            [{"name": "n", "connection": "xen://x"}],
            "bad-connection",
            "azlocal can't work with 'xen://x'",
        ),
        ("hosts", "vmSizes", {"X": {"vcpus": 0, "memoryGiB": 1}}, "wrong-value", "0 is less than 1"),
        (
            "netplan",
            "reservations",
            [{"address": "10.0.0.0/8", "owner": "x"}],
            "bad-address",
            "'10.0.0.0/8' is not",
        ),
        ("netplan", "reservations", [{"address": 5, "owner": "x"}], "bad-address", "5 is not an IPv4 address"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, part: str, key: str, value: Any, rule: str, said: str) -> None:
    content = files([cluster()])
    content[part][key] = value
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    assert (finding.rule, finding.severity) == (rule, "error")
    assert said in finding.message
    assert finding.remedy


@pytest.mark.parametrize(
    ("value", "said", "remedy"),
    [
        ("10.220.32.5:53", "is not an IPv4 address", "write 10.220.32.5"),
        (" 10.220.32.5", "is not an IPv4 address", "write 10.220.32.5"),
        ("10.220.032.005", "is not an IPv4 address", "write 10.220.32.5"),
        ("10.220.32.5/24", "is not an IPv4 address", "write 10.220.32.5"),
        ("::ffff:10.220.32.5", "is not an IPv4 address", "write 10.220.32.5"),
        ("::1", "is an IPv6 address", "give an IPv4 address"),
        ("dns:53", "is not an IPv4 address", "write four numbers from 0 to 255 with dots between"),
        ("10.220.32", "is not an IPv4 address", "write four numbers from 0 to 255 with dots between"),
        (172521477, "172521477 is not an IPv4 address", "write four numbers from 0 to 255 with dots between"),
    ],
)
def test_an_address_is_told_as_it_must_be_written(tmp_path: Path, value: Any, said: str, remedy: str) -> None:
    content = files([cluster()])
    content["netplan"]["infrastructure"]["gateway"] = value
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    assert (finding.rule, said in finding.message) == ("bad-address", True), finding
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("value", "said", "remedy"),
    [
        ("10.60.0.0/16 ", "is not an IPv4 prefix", "write 10.60.0.0/16"),
        ("10.60.0.0/255.255.0.0", "is not an IPv4 prefix", "write 10.60.0.0/16"),
        ("010.060.0.0/16", "is not an IPv4 prefix", "write 10.60.0.0/16"),
        ("10.60/16", "is not an IPv4 prefix", "write four numbers from 0 to 255 with dots between, a slash, and"),
        ("10.60.0.0", "its length is missing", "add a slash and the length, from 0 to 32"),
        ("fd00::/48", "is an IPv6 prefix", "give one IPv4 prefix"),
        ("10.60.0.0/16, fd00::/48", "has an IPv6 prefix", "give one IPv4 prefix"),
        (
            "10.60.0.0/16:80",
            "is not an IPv4 prefix",
            "write four numbers from 0 to 255 with dots between, a slash, and",
        ),
    ],
)
def test_a_prefix_is_told_as_it_must_be_written(tmp_path: Path, value: str, said: str, remedy: str) -> None:
    write_files(tmp_path, files([cluster(networkProfile={"podCidr": value})]))
    (finding,) = faults(tmp_path)
    assert (finding.rule, said in finding.message) == ("bad-prefix", True), finding
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("10.220.32.47-49", "write 10.220.32.47-10.220.32.49"),
        ("10.220.32.47\u201310.220.32.49", "write 10.220.32.47-10.220.32.49"),
        ("10.220.32.47..10.220.32.49", "write 10.220.32.47-10.220.32.49"),
        ("10.220.32.49-10.220.32.47", "write 10.220.32.47-10.220.32.49"),
        ("10.220.32.48/255.255.255.252", "write 10.220.32.48/30"),
        ("10.220.32.40,10.220.32.47-49", "write 10.220.32.40,10.220.32.47-10.220.32.49"),
        ("10.220.32.48/33", "write the first and the last address with a hyphen between"),
        ("10.220.32.47-", "write the first and the last address with a hyphen between"),
        ("fd00::1-fd00::9", "write the first and the last address with a hyphen between"),
    ],
)
def test_a_range_is_told_as_it_must_be_written(tmp_path: Path, value: str, remedy: str) -> None:
    write_files(tmp_path, files([cluster(loadBalancer={"addresses": [value]})]))
    (finding,) = faults(tmp_path)
    assert (finding.rule, finding.remedy.startswith(remedy)) == ("bad-range", True), finding


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("azureLocalRelease", "26.07", 'write "2607"'),
        ("azureLocalRelease", "202607", 'write "2607"'),
        ("azureLocalRelease", 2607, 'put it in quotes: "2607"'),
        ("azureLocalRelease", "newest", 'write it as "2602"'),
        ("placement", {"reservePercent": "0x10"}, "write 16, without quotes"),
        ("placement", {"reservePercent": "15"}, "write 15, without quotes"),
        ("placement", {"reservePercent": "1_0"}, "write 10, without quotes"),
        ("placement", {"reservePercent": "15 %"}, "write a whole number: 0 to 90, without quotes"),
        ("placement", {"reservePercent": "0x100"}, "write a whole number: 0 to 90, without quotes"),
        ("placement", {"reservePercent": 10**20}, "write a whole number: 0 to 90, without quotes"),
        ("machineType", "VM", "write vm"),
        ("machineType", "emulate", "write emulated"),
        ("machineType", "lxc", "write auto, vm, container or emulated"),
    ],
)
def test_a_value_is_told_as_it_must_be_written(tmp_path: Path, key: str, value: Any, remedy: str) -> None:
    write_files(tmp_path, files(stack={key: value}))
    (finding,) = faults(tmp_path)
    assert finding.remedy == remedy


@pytest.mark.parametrize("minutes", [1, 10, 0.25, 1.5, 100_000])
def test_a_cluster_is_waited_for_as_long_as_written(tmp_path: Path, minutes: float) -> None:
    content = files([cluster(timeoutMinutes=minutes, arc={"timeoutMinutes": minutes})])
    write_files(tmp_path, content)
    (found,) = load_instance("lab", tmp_path).stack.clusters
    for kept in (found.timeout_minutes, found.arc.timeout_minutes):
        # A whole number stays one: the engine is told `10m`, as before there were fractions.
        assert (kept, type(kept)) == (minutes, type(minutes))


def test_no_cluster_is_waited_for_for_ever(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(timeoutMinutes=7777)]))
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("7777", "1e999"), encoding="utf-8")
    (finding,) = faults(tmp_path)
    assert (finding.rule, finding.remedy) == ("wrong-value", "write 0.25 to 525600")


def test_an_unknown_key_comes_with_the_nearest_known_one(tmp_path: Path) -> None:
    content = files([cluster(loadbalancer={})], stack={"resourcebridge": {}})
    content["hosts"]["hosts"][0]["memoryGib"] = 3
    write_files(tmp_path, content)
    hints = [finding.remedy.partition("?")[0] for finding in faults(tmp_path)]
    assert hints == ["did you mean 'loadBalancer'", "did you mean 'resourceBridge'", "did you mean 'memoryGiB'"]


def test_a_private_key_is_never_repeated(tmp_path: Path) -> None:
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"
    write_files(tmp_path, files(stack={"sshPublicKeys": [secret]}))
    assert "c2VjcmV0" not in str(faults(tmp_path))


def test_what_belongs_to_pulumi_is_left_alone(tmp_path: Path) -> None:
    write_files(tmp_path, files())
    path = tmp_path / "Pulumi.lab.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["config"]["aws:region"] = "x"
    content["config"]["other:password"] = {"secure": "v1:abc"}
    path.write_text(
        yaml.safe_dump({"encryptionsalt": "v1:x", "secretsprovider": "p", **content}), encoding="utf-8"
    )
    assert load_instance("lab", tmp_path).site == "s"


def test_an_encrypted_key_of_ours_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, files(stack={"location": {"secure": "v1:abc"}}))
    (finding,) = [one for one in faults(tmp_path) if one.rule == "encrypted-key"]
    assert finding.path.endswith("config.azlocal:location")
    assert "--plaintext" in finding.remedy


@pytest.mark.parametrize("stack", ["../x", "a/b", "", "x" * 100, "-x"])
def test_a_stack_name_is_no_path(tmp_path: Path, stack: str) -> None:
    assert [finding.rule for finding in faults(tmp_path, stack)] == ["bad-name"]


def test_a_site_name_is_no_path(tmp_path: Path) -> None:
    write_files(tmp_path, files(stack={"site": "../../etc/passwd"}))
    (finding,) = faults(tmp_path)
    assert finding.path == "Pulumi.lab.yaml:2: config.azlocal:site"


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_text("config: {azlocal:site: s}\n", encoding="utf-8")
    assert rules(tmp_path) == [("missing-file", "hosts/s.yaml"), ("missing-file", "netplans/s.yaml")]


@pytest.mark.parametrize("text", ["a: 1\n", "config: 3\n", "config: {}\n"])
def test_a_stack_without_our_keys(tmp_path: Path, text: str) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_text(text, encoding="utf-8")
    assert [finding.rule for finding in faults(tmp_path)] == ["missing-key"]


def test_host_bits_in_metallb_prefixes_are_ignored() -> None:
    ranges = cluster(loadBalancer={"addresses": ["192.168.50.51/28, 10.0.0.1-10.0.0.3", "10.0.0.9"]})
    content = files([ranges])
    found = StackConfig.model_validate(content["stack"]).clusters[0].load_balancer.ranges
    assert [len(one) for one in found] == [16, 3, 1]


# ---- garbage: always findings, never a traceback

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["10.0.0.1", "10.0.0.0/24", "10.0.0.1-10.0.0.9", "aks", "a", "Static", "qemu:///system"]),
)
keys = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "azlocal:site",
            "azlocal:clusters",
            "name",
            "controlPlane",
            "count",
            "hostIP",
            "agentPools",
            "hosts",
            "connection",
            "vmSizes",
            "infrastructure",
            "addressPrefix",
            "gateway",
            "pool",
            "start",
            "end",
            "logicalNetworks",
            "ipPools",
            "reservations",
            "config",
        ]
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
texts = st.one_of(values.map(lambda value: yaml.safe_dump(value, allow_unicode=True)), st.text(), st.binary())


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stack=texts, hosts=texts, netplan=texts)
def test_garbage_is_findings(tmp_path: Path, stack: Any, hosts: Any, netplan: Any) -> None:
    write_files(tmp_path, files([cluster()]))
    for name, text in (("hosts/s.yaml", hosts), ("netplans/s.yaml", netplan), ("Pulumi.lab.yaml", stack)):
        (tmp_path / name).write_bytes(as_bytes(text))
        try:
            checked_addresses(load_instance("lab", tmp_path))
        except SpecError as error:
            assert error.findings
            assert all(
                finding.path.startswith(("Pulumi.lab.yaml", "hosts/", "netplans/")) for finding in error.findings
            )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


WHOLE = files(
    [cluster(loadBalancer={"count": 2}), cluster("b", loadBalancer={"addresses": ["10.220.32.60/30"]})],
    reservations=[{"address": "10.220.32.5", "owner": "dns"}],
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_wrong_value_anywhere_is_findings(tmp_path: Path, data: st.DataObject) -> None:
    content = copy.deepcopy(WHOLE)
    place = data.draw(st.sampled_from([one for one in places(content) if len(one) > 1]))
    holder: Any = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = data.draw(values)
    write_files(tmp_path, content)
    try:
        checked_addresses(load_instance("lab", tmp_path))
    except SpecError as error:
        assert error.findings
        assert all(": " in finding.path or finding.path.endswith(".yaml") for finding in error.findings)


def test_other_sites_on_the_same_machine_are_seen(tmp_path: Path) -> None:
    local = {"name": "here", "connection": "qemu:///system"}
    write_files(tmp_path, files([cluster()], hosts=[local]))
    (hosts, netplan) = ((tmp_path / folder / "s.yaml").read_text("utf-8") for folder in ("hosts", "netplans"))
    sites = {
        "same": hosts.replace("qemu:///system", "qemu+ssh://root@localhost/system"),
        "uplink": hosts.replace("connection:", "uplink: eno1\n  connection:"),
        "far": hosts.replace("qemu:///system", "qemu+ssh://root@192.0.2.9/system"),
        "broken": "hosts: [1",
        "unplanned": hosts,
    }
    for site, text in sites.items():
        (tmp_path / "hosts" / f"{site}.yaml").write_text(text, "utf-8")
        if site != "unplanned":
            (tmp_path / "netplans" / f"{site}.yaml").write_text(netplan, "utf-8")
    (tmp_path / "hosts" / "same.lock.yaml").write_text("version: 1\nmachines: {}\n", "utf-8")
    (found,) = load_instance("lab", tmp_path).neighbours
    assert (found.site, found.host) == ("same", "here")
    assert [(name, str(prefix)) for name, prefix in found.prefixes] == [
        ("infrastructure", "192.168.1.0/24"),
        ("aks", "10.220.32.0/24"),
    ]


def test_other_sites_on_the_same_uplink_are_seen(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster()], hosts=[host(1), host(2, uplink="eno2")]))
    (hosts, netplan) = ((tmp_path / folder / "s.yaml").read_text("utf-8") for folder in ("hosts", "netplans"))
    sites = {
        "same": hosts,
        "one": hosts.replace("uplink: eno1", "uplink: 'eno9'"),
        "others": hosts.replace("uplink: eno", "uplink: ens"),
        "far": hosts.replace("192.0.2.", "198.51.100."),
        "nat": hosts.replace("uplink:", "storageDirectory: /srv #"),
    }
    for site, text in sites.items():
        (tmp_path / "hosts" / f"{site}.yaml").write_text(text, "utf-8")
        (tmp_path / "netplans" / f"{site}.yaml").write_text(netplan, "utf-8")
    (tmp_path / "netplans/same.lock.yaml").write_text(
        "version: 1\naddresses:\n  10.220.32.20: {owner: dev/a-cp-0, use: controlPlaneNode}\n  odd: 5\n"
        "vrrpIds:\n  dev/a: {vlan: 110, id: 7}\n  odd: {vlan: x}\n",
        "utf-8",
    )
    (tmp_path / "netplans/one.lock.yaml").write_text("addresses: [", "utf-8")
    found = load_instance("lab", tmp_path).neighbours
    assert [(one.given, one.vrrp_ids) for one in found[:2]] == [
        ({}, {}),
        ({"10.220.32.20": "dev/a-cp-0"}, {(110, 7): "dev/a"}),
    ]
    assert [(one.site, one.host, one.uplink, one.vlans) for one in found] == [
        ("one", "node2", "eno2", (0, 110)),
        ("same", "node1", "eno1", (0, 110)),
        ("same", "node2", "eno2", (0, 110)),
    ]


def test_a_list_of_numbers_is_told_with_a_number(tmp_path: Path) -> None:
    content = files([cluster()], infra=infrastructure(takenVrrpIds=5))
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    assert finding.remedy == "write a list, even of one: [5]"


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("relative", "is not an absolute path"),
        ("~/azlocal", "is not an absolute path"),
        ("/var/lib/../etc", "goes up by `..`"),
        ("/srv/a\tb", "has characters that can't be seen"),
        ("/proc/azlocal", "no file is kept under /proc"),
        ("//sys", "no file is kept under /sys"),
        ("/dev/shm", "no file is kept under /dev"),
    ],
)
def test_a_folder_that_keeps_nothing_is_refused_with_the_reason(tmp_path: Path, folder: str, why: str) -> None:
    content = files([cluster()])
    content["hosts"]["hosts"][0]["storageDirectory"] = folder
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    assert why in finding.message
    assert finding.remedy == "write it as /var/lib/azlocal"


@pytest.mark.parametrize("value", [None, 5, True, 1.5, [], {}])
@pytest.mark.parametrize(
    ("place", "example"),
    [
        ("hosts[0].connection", "qemu+ssh://root@192.0.2.11/system, or qemu:///system for this machine"),
        ("hosts[0].storageDirectory", "/var/lib/azlocal"),
        ("proxy.httpProxy", "http://proxy.example:8080"),
        ("config.azlocal:sshPublicKeys[0]", "~/.ssh/id_ed25519.pub"),
        ("config.azlocal:clusters[0].loadBalancer.addresses[0]", "192.0.2.10-192.0.2.19"),
    ],
)
def test_what_is_no_text_is_told_one_that_is_taken(tmp_path: Path, place: str, example: str, value: Any) -> None:
    content = files([cluster(loadBalancer={"addresses": [value if "Balancer" in place else "10.220.32.99"]})])
    content["stack"] |= {"sshPublicKeys": [value]} if "Keys" in place else {}
    content["netplan"] |= {"proxy": {"httpProxy": value}} if "proxy" in place else {}
    if place.startswith("hosts"):
        content["hosts"]["hosts"][0] |= {place.rpartition(".")[2]: value}
    write_files(tmp_path, content)
    if value is None and place in {"hosts[0].storageDirectory", "proxy.httpProxy"}:
        load_instance("lab", tmp_path)
        return
    (finding,) = faults(tmp_path)
    assert (finding.path.partition(": ")[2], finding.remedy) == (place, f"write it as {example}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("proxy.example:3128", "http:// is missing"),
        ("", "http:// is missing"),
        ("socks5://proxy.example:1080", "only proxies of HTTP"),
        ("http://proxy example:3128", "a space"),
        ("http://proxy.example:99999", "its port is no number of 1-65535"),
        ("http://proxy.example:0", "0 is no port"),
        ("http://proxy.example:x", "its port is no number of 1-65535"),
        ("http://ann:a/b@proxy.example:3128", "must be encoded"),
        ("http://", "it names no host"),
    ],
)
def test_of_a_proxy_it_is_told_what_is_wrong_and_no_word_of_it(tmp_path: Path, url: str, why: str) -> None:
    content = files([cluster()])
    content["netplan"]["proxy"] = {"httpProxy": url}
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    assert why in finding.message
    assert "ann" not in finding.message


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("clusters", None, "write [] where it is empty, or leave the key out"),
        ("clusters", "a", "write a list, each entry with its keys: name, "),
        ("resourceBridge", None, "write its keys: vmSize"),
        ("placement", 3, "write its keys: reservePercent, headroom, pins"),
        ("sshPublicKeys", None, "write [] where it is empty, or leave the key out"),
    ],
)
def test_what_has_keys_or_entries_is_told_with_them(tmp_path: Path, key: str, value: Any, remedy: str) -> None:
    write_files(tmp_path, files(stack={key: value}))
    (finding,) = faults(tmp_path)
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("stack", "remedy"),
    [
        ("Lab", "name the stack lab"),
        ("lab.yaml", "name the stack lab"),
        ("Pulumi.lab.yaml", "name the stack lab"),
        ("nope", "create it, or name one of the stacks here: dev, lab"),
    ],
)
def test_a_stack_without_a_file_is_told_with_those_that_have_one(tmp_path: Path, stack: str, remedy: str) -> None:
    write_files(tmp_path, files())
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n", "utf-8")
    with pytest.raises(SpecError) as caught:
        load_instance(stack, tmp_path)
    assert [(one.rule, one.remedy) for one in caught.value.findings] == [("missing-file", remedy)]
    with pytest.raises(SpecError) as caught:
        load_instance(stack, tmp_path / "hosts")
    assert caught.value.findings[0].remedy == "create it, or name its folder with -C"


@pytest.mark.parametrize("written", ["true?", True, "TRUE", "yes"])
def test_a_text_that_yaml_would_take_for_true_is_advised_in_quotes(tmp_path: Path, written: object) -> None:
    content = files([cluster(arc={"azureHybridBenefit": written})])
    write_files(tmp_path, content)
    (finding,) = faults(tmp_path)
    advised = re.findall('"([^"]+)"', finding.remedy)
    assert advised, finding.remedy
    content["stack"]["clusters"][0]["arc"]["azureHybridBenefit"] = advised[0]
    write_files(tmp_path, content)
    assert load_instance("lab", tmp_path).stack.clusters[0].arc.azure_hybrid_benefit == advised[0]
