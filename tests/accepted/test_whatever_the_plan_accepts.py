"""Whatever the plan accepts, those accept that read what `up` makes of it.

Every text and number of the three files is changed, many at once; what the plan accepts of it is rendered as `up`
would hand it over, and kubeadm, kubelet, libvirt, netplan, keepalived, nftables, cloud-init's schema and the
plugin's own contracts are asked. Two thousand values in the usual run, in a minute of processor time;
`AZLOCAL_ACCEPTED=100 pytest -m engine tests/accepted` tries 25,000, in some ten.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.image.bundle import find_bundle
from infra.image.places import default_cache
from infra.image.recipe import current_recipe
from tests.accepted.changes import Change, Content, accepted, changes, examples, fields
from tests.accepted.readers import SCHEMAS, Readers
from tests.accepted.rendered import documents

pytestmark = pytest.mark.engine

RUNS = int(os.environ.get("AZLOCAL_ACCEPTED", "8"))
EXAMPLES = examples()


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    bundle, tree = find_bundle(), default_cache().tree(current_recipe("").tree_digest)
    if bundle is None or not tree.exists():
        pytest.skip("the node image isn't built on this machine; run `azlocal image build`")
    for program in (SCHEMAS / "domain.rng", shutil.which("nft"), shutil.which("unshare")):
        if program is None or not Path(program).exists():
            pytest.skip(f"libvirt's schemas, nft and unshare are needed; {program or 'one of them'} isn't here")
    folder = tmp_path_factory.mktemp("readers")
    yield Readers(bundle, tree, folder)
    shutil.rmtree(folder / "tree")


def refusals(readers: Readers, base: Content, made: list[Change], folder: Path) -> tuple[list[Change], list[str]]:
    """Return the changes that the plan accepts together, and who refuses what comes of them."""
    found = accepted(base, made, folder)
    assert found is not None, "the example isn't sound"
    said = ((one, readers.refusal(one)) for one in documents(found.spec, found.plan))
    return found.changes, [f"{one.form} refuses {one.about}: {why}" for one, why in said if why is not None]


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_up_hands_over_is_accepted(readers: Readers, name: str, tmp_path: Path) -> None:
    base = EXAMPLES[name]
    assert refusals(readers, base, [], tmp_path)[1] == []
    counts: Counter[str] = Counter()

    @settings(max_examples=RUNS, deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.lists(changes(base), min_size=40, max_size=90, unique_by=lambda one: one.where))
    def whatever_is_accepted(made: list[Change]) -> None:
        left, refused = refusals(readers, base, made, tmp_path)
        counts.update(made=len(made), accepted=len(left))
        assert refused == [], left

    whatever_is_accepted()
    assert counts["made"] > 35 * RUNS
    assert counts["accepted"] > 6 * RUNS


def test_every_text_and_number_of_the_files_is_changed() -> None:
    found = {str(placed) for content in EXAMPLES.values() for placed, _ in fields(content)}
    assert len(found) > 150
    for one in ("hosts-hosts[0].uplink", "netplan-underlayMtu", "stack-clusters[0].agentPools[0].nodeTaints[0]"):
        assert one in found
