"""What holds for every instance, however odd."""

import random
from ipaddress import IPv4Address
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infra.plan.addresses import Lock, next_lock
from infra.plan.addresses.plan import Vrrp
from infra.plan.instance import Plan
from tests.instances import checked_addresses, cluster, host, make_spec, network

SUBNETS = {"aks": "10.220.32", "other": "10.9.0"}
NAMES = ["a", "b", "c1", "dd", "e-e"]
POOL_NAMES = ["nodepool1", "zoo", "gpu"]


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a cluster; what people choose once (hostIP, ranges) belongs to its name, as it does in life."""
    pools = draw(st.lists(st.sampled_from(POOL_NAMES), min_size=1, max_size=3, unique=True))
    name, home = draw(st.sampled_from(NAMES)), draw(st.sampled_from(["aks", "other"]))
    start = SUBNETS[home]
    ranges = {"addresses": [f"{start}.210-{start}.212", f"{start}.208/31"]}
    return cluster(
        name,
        controlPlane={
            "count": draw(st.sampled_from([1, 3, 5])),
            **({"hostIP": f"{start}.200"} if name == "dd" else {}),
        },
        agentPools=[_pool(name, draw(st.integers(1, 4)), draw(st.integers(0, 3))) for name in pools],
        logicalNetwork=home,
        loadBalancer=ranges if name == "c1" else draw(st.sampled_from([{}, {"count": 2}, {"count": 5}])),
    )


def _pool(name: str, count: int, more: int) -> dict[str, Any]:
    scaling = {"enableAutoScaling": True, "minCount": 1, "maxCount": count + more}
    return {"name": name, "count": count, **(scaling if more else {})}


instances = st.lists(clusters(), max_size=4, unique_by=lambda one: one["name"])
NETWORKS = [
    network("10.220.32.20", "10.220.32.90"),
    network("10.9.0.20", "10.9.0.99", name="other", addressPrefix="10.9.0.0/24", gateway="10.9.0.1", vlan=9),
]


def plan_of(wanted: list[dict[str, Any]], lock: Lock | None = None) -> Plan:
    return checked_addresses(make_spec(*wanted, networks=NETWORKS), lock)


def owners(plan: Plan) -> dict[str, int]:
    return {one.owner: one.value for net in plan.addresses.networks for one in net.allocations if one.is_recorded}


def check(plan: Plan) -> None:
    addresses = [one.value for net in plan.addresses.networks for one in net.allocations]
    assert len(addresses) == len(set(addresses)), "no address twice"
    for net in plan.addresses.networks[1:]:
        given = GIVEN[net.name]
        in_pool = [one for one in net.allocations if one.use in POOL_USES and one.value != given]
        assert all(POOLS[net.name][0] <= one.value <= POOLS[net.name][1] for one in in_pool)
        assert not plan.ok or len(in_pool) == net.pool.required, "the official formula, met"
        assert not plan.ok or net.pool.free == net.pool.size - net.pool.required
        services = [one for one in net.allocations if one.use == "loadBalancer"]
        assert not any(POOLS[net.name][0] <= one.value <= POOLS[net.name][1] for one in services)
        assert all(one.value >> 8 == given >> 8 for one in net.allocations), "inside their network"
        assert len({(one.vlan, one.id) for one in plan.addresses.vrrp_ids}) == len(plan.addresses.vrrp_ids)
        assert len(services) == net.load_balancer.required == net.load_balancer.size


POOL_USES = {"controlPlaneNode", "workerNode", "upgradeSpare", "controlPlaneVip"}
GIVEN = {"aks": int(IPv4Address("10.220.32.200")), "other": int(IPv4Address("10.9.0.200"))}
POOLS = {
    "aks": ((10 << 24) + (220 << 16) + (32 << 8) + 20, (10 << 24) + (220 << 16) + (32 << 8) + 90),
    "other": ((10 << 24) + (9 << 16) + 20, (10 << 24) + (9 << 16) + 99),
}


@settings(max_examples=40, deadline=None)
@given(instances)
def test_no_address_twice_all_in_their_pools_and_the_formula_met(wanted: list[dict[str, Any]]) -> None:
    check(plan_of(wanted))


@settings(max_examples=30, deadline=None)
@given(instances, st.randoms(use_true_random=False))
def test_the_order_of_the_files_means_nothing(wanted: list[dict[str, Any]], chance: random.Random) -> None:
    shuffled = [{**one, "agentPools": chance.sample(one["agentPools"], len(one["agentPools"]))} for one in wanted]
    chance.shuffle(shuffled)
    assert [net.to_json() for net in plan_of(wanted).addresses.networks] == [
        net.to_json() for net in plan_of(shuffled).addresses.networks
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(instances, min_size=2, max_size=5))
def test_through_every_change_nobody_is_renumbered(history: list[list[dict[str, Any]]]) -> None:
    homes: dict[str, str] = {}
    first: dict[str, dict[str, Any]] = {}
    for wanted in history:  # a cluster keeps its network for life; the first one drawn is it
        for one in wanted:
            if homes.setdefault(one["name"], one["logicalNetwork"]) != one["logicalNetwork"]:
                one.update(first[one["name"]])
            first.setdefault(one["name"], one)
    lock = Lock()
    before: dict[str, int] = {}
    ids: dict[str, Vrrp] = {}
    for wanted in history:
        plan = plan_of(wanted, lock)
        assume(plan.ok)
        check(plan)
        after = owners(plan)
        assert {name: before[name] for name in before.keys() & after.keys()}.items() <= after.items()
        now = {one.owner: one for one in plan.addresses.vrrp_ids}
        assert {name: ids[name] for name in ids.keys() & now.keys()}.items() <= now.items(), "VRRP ids stay"
        ids = now
        fresh = {value for name, value in after.items() if name not in before and "-lb-" not in name}
        reused = {value for value in fresh & lock.freed.keys() if lock.freed[value].was not in _full(after, value)}
        for value in reused:
            assert _is_used_up(value, lock, after), "a freed address only where no other is left"
        lock, before = next_lock(plan.addresses, lock), after
        assert not lock.given.keys() & lock.freed.keys()


def _full(after: dict[str, int], value: int) -> set[str]:
    return {f"lab/{name}" for name, address in after.items() if address == value}


def _is_used_up(value: int, lock: Lock, after: dict[str, int]) -> bool:
    # What this very change frees is on record as given, and comes last of all.
    known = {*after.values(), *lock.freed, *lock.given}
    return any(first <= value <= last and set(range(first, last + 1)) <= known for first, last in POOLS.values())


IN_POOLS = [f"{SUBNETS[name]}.{last}" for name in SUBNETS for last in range(20, 40)]
KEYS = ["connection", "tunnelAddress", "emulator", "proxy", "endpoint", "dns", "hostDns", "reservation", "git"]


@settings(max_examples=60, deadline=None)
@given(instances, st.dictionaries(st.sampled_from(KEYS), st.sampled_from(IN_POOLS)))
def test_an_address_that_any_file_names_is_given_to_no_machine(
    wanted: list[dict[str, Any]], named: dict[str, str]
) -> None:
    flux = [{"name": "f", "gitRepository": {"url": f"https://{named.get('git', 'git.example')}/x"}}]
    keys: dict[str, Any] = {"connection": f"qemu+ssh://root@{named.get('connection', '192.0.2.1')}/system"}
    keys |= {"tunnelAddress": named["tunnelAddress"]} if "tunnelAddress" in named else {}
    keys |= {"dnsServers": [named["hostDns"]]} if "hostDns" in named else {}
    servers = [named[key] for key in ("dns", "hostDns") if key in named]
    first, second = NETWORKS
    spec = make_spec(
        *({**one, "arc": {"fluxConfigurations": flux}} for one in wanted),
        hosts=[host(**keys)],
        networks=[{**first, "dnsServers": ["10.220.32.5", *servers[:1]]}, second],
        stack={"arc": {"cloud": "emulator", "emulatorAddress": named.get("emulator", "10.0.0.9")}},
        netplan={
            "proxy": {"httpProxy": f"http://{named.get('proxy', '10.0.0.8')}:3128", "noProxy": ["*"]},
            "privateEndpoints": [{"name": "v", "privateIPAddress": named.get("endpoint", "10.0.0.7")}],
        },
        reservations=[{"address": named["reservation"], "owner": "printer"}] if "reservation" in named else [],
    )
    plan = checked_addresses(spec)
    taken = {int(IPv4Address(address)) for address in named.values()}
    assert not taken & set(owners(plan).values())
    in_pool = {"connection", "tunnelAddress"} & named.keys()
    assert not (plan.ok and in_pool), "a host's own address in a pool is refused"
