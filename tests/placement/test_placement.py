from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.placement import place

HOSTS = [f"node{number}" for number in range(1, 6)]
groups = st.dictionaries(
    st.sampled_from(["a-cp", "a-np", "b-cp", "b-np", "rb"]), st.integers(1, 12), min_size=1
).map(lambda sizes: {name: [f"{name}-{number}" for number in range(size)] for name, size in sizes.items()})


@given(groups, st.lists(st.sampled_from(HOSTS), min_size=1, unique=True))
def test_each_group_spreads_evenly(wanted: dict[str, list[str]], hosts: list[str]) -> None:
    placed = place(wanted, hosts)
    assert placed.keys() == {machine for machines in wanted.values() for machine in machines}
    for machines in wanted.values():
        counts = Counter(placed[machine] for machine in machines)
        assert max(counts.values()) == -(-len(machines) // len(hosts))


@given(groups, st.permutations(HOSTS))
def test_neither_order_nor_other_groups_nor_growth_move_a_machine(
    wanted: dict[str, list[str]], hosts: list[str]
) -> None:
    placed = place(wanted, HOSTS)
    assert place(dict(reversed(wanted.items())), hosts) == placed
    for name, machines in wanted.items():
        alone = place({name: [*machines, f"{name}-{len(machines)}"]}, hosts)
        assert {machine: placed[machine] for machine in machines}.items() <= alone.items()


def test_without_hosts_there_is_no_placement() -> None:
    with pytest.raises(ValueError, match="no host"):
        place({"a": ["a-0"]}, [])
