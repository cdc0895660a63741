"""Kubeconfigs put together, and into a user's own file without harm to what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infra.certificates import KeyPair
from infra.errors import UserError
from infra.kubernetes.kubeconfig import (
    merge_into_file,
    merge_kubeconfigs,
    merged_contexts,
    remove_from_file,
    select_cluster,
)
from infra.kubernetes.pki import kubeconfig


def config(name: str, server: str = "https://10.0.0.1:6443") -> str:
    return kubeconfig(name, server, "CA", KeyPair("CERT", "KEY"))


def names(text: str) -> dict[str, list[str]]:
    content = yaml.safe_load(text)
    return {key: [one["name"] for one in content[key]] for key in ("clusters", "users", "contexts")}


def test_several_clusters_share_one_file_and_the_first_is_current() -> None:
    both = merge_kubeconfigs([config("local-a"), config("local-b")])
    assert names(both)["contexts"] == ["local-a", "local-b"]
    assert yaml.safe_load(both)["current-context"] == "local-a"


def test_one_cluster_is_picked_out_with_its_user() -> None:
    one = select_cluster(merge_kubeconfigs([config("local-a"), config("local-b")]), "local-b")
    assert names(one) == {
        "clusters": ["local-b"],
        "users": ["local-b-administrator"],
        "contexts": ["local-b"],
    }
    assert yaml.safe_load(one)["current-context"] == "local-b"


def test_an_unknown_cluster_is_answered_with_those_that_are() -> None:
    with pytest.raises(UserError, match="there is no cluster 'local-c'; there are local-a"):
        select_cluster(config("local-a"), "local-c")


def test_merging_keeps_what_others_put_there_and_replaces_only_its_own(tmp_path: Path) -> None:
    file = tmp_path / "config"
    other = yaml.safe_load(config("work")) | {"preferences": {"colors": True}}
    file.write_text(yaml.safe_dump(other))
    merge_into_file(file, config("local-a", "https://10.0.0.1:6443"))
    merge_into_file(file, config("local-a", "https://10.0.0.2:6443"))
    content = yaml.safe_load(file.read_text())
    assert names(file.read_text())["contexts"] == ["work", "local-a"]
    assert content["clusters"][1]["cluster"]["server"] == "https://10.0.0.2:6443"
    assert (content["current-context"], content["preferences"]) == ("local-a", {"colors": True})


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config"
    merge_into_file(file, config("local-a"))
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    merge_into_file(tmp_path / "link", config("local-a"))
    assert (tmp_path / "link").is_symlink()
    assert names((tmp_path / "real").read_text())["contexts"] == ["local-a"]


@pytest.mark.parametrize("content", ["{", "just text"])
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(UserError, match="nothing was changed"):
        merge_into_file(file, config("local-a"))
    assert file.read_text() == content


def test_contexts_are_brought_up_to_date_and_taken_away_without_touching_others(tmp_path: Path) -> None:
    file = tmp_path / "config"
    assert merged_contexts(file, ["local-a"]) == []
    merge_into_file(file, config("local-a"))
    merge_into_file(file, config("work"))
    theirs = yaml.safe_load(file.read_text())
    theirs["contexts"].append({"name": "local-b", "context": {"cluster": "work", "user": "me"}})
    file.write_text(yaml.safe_dump(theirs))
    assert merged_contexts(file, ["local-a", "local-b", "local-c"]) == ["local-a"], "local-b is somebody's own"

    merge_into_file(file, config("local-a", "https://10.0.0.9:6443"), switch=False)
    content = yaml.safe_load(file.read_text())
    assert content["current-context"] == "work"
    assert content["clusters"][-1]["cluster"]["server"] == "https://10.0.0.9:6443"

    remove_from_file(file, ["local-a"])
    assert names(file.read_text())["contexts"] == ["work", "local-b"]
    assert yaml.safe_load(file.read_text())["current-context"] == "work"
    remove_from_file(file, ["work"])
    assert names(file.read_text())["users"] == []
    assert yaml.safe_load(file.read_text())["current-context"] == ""
    assert file.stat().st_mode & 0o777 == 0o600
