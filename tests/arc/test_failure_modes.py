"""Every failure mode that users report of Azure Arc (arc_facts.md §9), and the tests that produce it.

A mode has the tests that produce it and read what the user is told; or, where it can't arise here, the reason.
This file only holds the list to what there is: tests that were renamed or removed are missed here.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[1]
COUNT: Final = 31


@dataclass(frozen=True)
class Mode:
    """One failure mode.

    Attributes:
        symptom: As users report it.
        tests: `file below tests::function`, each of which produces it.
        absent: Why it can't arise; only without tests.
    """

    symptom: str
    tests: tuple[str, ...] = ()
    absent: str = ""


AGENTS: Final = "emulator/test_agent_identity.py"
CHARTS: Final = "arc/test_charts.py"
CONFLICTS: Final = "arc/test_conflicts.py"
DOOR: Final = "arc/test_azure.py"
ERRORS: Final = "arc/test_arm_errors.py"
FAULTS: Final = "arc/test_onboarding_faults_life.py"
HELM: Final = "arc/test_agents_helm.py"
LIFE: Final = "arc/test_onboarding_life.py"
PRECHECKS: Final = "arc/test_prechecks.py"
RESOURCES: Final = "arc/test_resource_failures.py"
TRIAGE: Final = "arc/test_triage.py"
VALUES: Final = "arc/test_helm_values.py"

MODES: Final = {
    1: Mode(
        "helm install times out, the cluster stays Connecting",
        (
            f"{FAULTS}::test_agents_that_do_not_come_are_told_with_what_is_missing",
            f"{FAULTS}::test_agents_that_do_not_come_are_told_with_the_cause_that_the_cluster_shows",
            f"{FAULTS}::test_agents_whom_azure_does_not_hear_are_told",
            f"{TRIAGE}::test_a_cause_is_found_with_its_remedy",
        ),
    ),
    2: Mode(
        "agent pods Pending for want of memory",
        (
            f"{FAULTS}::test_agents_that_do_not_come_are_told_with_the_cause_that_the_cluster_shows",
            "arc/test_cluster_checks.py::test_too_little_memory_is_told_in_numbers_with_what_becomes_of_agents",
        ),
    ),
    3: Mode(
        "secret azure-identity-certificate not found",
        (
            f"{FAULTS}::test_agents_that_do_not_come_are_told_with_the_cause_that_the_cluster_shows",
            f"{TRIAGE}::test_a_cause_is_found_with_its_remedy",
            f"{CONFLICTS}::test_another_key_than_azures_is_refused_as_long_as_agents_have_no_identity",
            f"{AGENTS}::test_another_private_key_gets_none",
            f"{PRECHECKS}::test_a_machine_whose_clock_is_wrong_is_told",
        ),
    ),
    4: Mode(
        "clusteridentityoperator: failing to parse PEM block",
        (
            f"{FAULTS}::test_a_mangled_key_is_told_before_agents_crash_on_it",
            f"{AGENTS}::test_a_private_key_without_its_line_breaks_ends_the_operator_without_showing_it",
            f"{TRIAGE}::test_agents_that_only_wait_for_the_identity_are_not_the_cause",
        ),
    ),
    5: Mode(
        "a key pair whose public half is SPKI: CrashLoopBackOff",
        (
            "arc/test_keys.py::test_the_public_half_is_pkcs1_and_neither_a_certificate_nor_spki",
            f"{AGENTS}::test_a_public_key_of_the_wrong_form_ends_the_operator",
        ),
    ),
    6: Mode(
        "secret kube-aad-proxy-certificate not found (OpenShift)",
        (
            f"{FAULTS}::test_agents_that_do_not_come_are_told_with_the_cause_that_the_cluster_shows",
            f"{TRIAGE}::test_a_cause_is_found_with_its_remedy",
        ),
    ),
    7: Mode(
        "the network test before onboarding fails",
        (
            "arc/test_diagnosis_life.py::test_what_pods_do_not_reach_keeps_the_cluster_from_being_connected",
            "arc/test_diagnosis_life.py::test_a_pod_that_cannot_run_keeps_nobody",
        ),
    ),
    8: Mode(
        "pre-checks fail with an old client",
        absent="No chart is downloaded that could be older than its client: the job runs our own program.",
    ),
    9: Mode("chart path with two slashes", (f"{CHARTS}::test_a_chart_is_read",)),
    10: Mode(
        "the agents' chart can't be pulled",
        (
            f"{HELM}::test_a_pull_that_fails_for_a_moment_is_tried_again",
            f"{HELM}::test_a_chart_that_cannot_be_pulled_is_told_after_five_tries",
            f"{FAULTS}::test_a_chart_that_cannot_be_pulled_is_told",
        ),
    ),
    11: Mode(
        "GetLatestHelmPackagePath fails",
        (
            f"{PRECHECKS}::test_a_blocked_data_plane_is_told_and_can_be_done_without",
            f"{DOOR}::test_a_blocked_data_plane_is_named_with_its_remedy",
            f"{DOOR}::test_a_data_plane_that_refuses_is_told_with_the_way_to_do_without",
            f"{FAULTS}::test_a_chart_that_the_user_names_is_taken_without_asking_the_data_plane",
        ),
    ),
    12: Mode(
        "agents put on the wrong cluster",
        (
            "kubernetes/test_helm.py::test_values_come_on_standard_input_and_the_kubeconfig_from_memory",
            f"{LIFE}::test_another_name_for_a_connected_cluster_is_refused",
            f"{FAULTS}::test_agents_of_another_cluster_are_not_changed",
            f"{FAULTS}::test_a_resource_of_another_cluster_is_not_taken_over",
        ),
    ),
    13: Mode(
        "half removed: the release stands, namespace and ConfigMap don't",
        (
            f"{FAULTS}::test_a_half_removed_installation_is_refused_with_the_command",
            f"{CONFLICTS}::test_a_release_without_the_map_that_says_whose_it_is_is_refused_with_the_command",
        ),
    ),
    14: Mode(
        "the namespace azure-arc stays behind, or Terminating",
        (
            f"{FAULTS}::test_a_namespace_that_arcs_own_objects_hold_is_let_go",
            f"{FAULTS}::test_a_namespace_that_somebody_elses_object_holds_is_told",
            f"{FAULTS}::test_a_cluster_that_is_gone_leaves_nothing_in_azure_and_says_what_may_be_left_there",
        ),
    ),
    15: Mode(
        "custom locations: a service principal may not look up the object id",
        (f"{PRECHECKS}::test_what_custom_locations_need_is_told_with_the_command",),
    ),
    16: Mode(
        "extension: unable to get the status from the local CRD",
        (
            "emulator/test_agents_life.py::test_an_extension_whose_pods_are_never_scheduled_fails_with_helms_words",
            f"{RESOURCES}::test_an_extension_whose_pods_do_not_run_is_told_with_where_to_look",
            f"{ERRORS}::test_what_azure_only_words_has_its_own_remedy",
        ),
    ),
    17: Mode(
        "custom location: the extension's InstallState is Failed",
        (
            f"{RESOURCES}::test_a_custom_location_is_refused_as_long_as_its_extension_failed",
            "emulator/test_sdk.py::test_custom_location_needs_a_connected_cluster_and_its_extension",
        ),
    ),
    18: Mode(
        "extension: parent ResourceNotFound",
        (
            f"{RESOURCES}::test_an_extension_of_a_cluster_that_is_not_there_is_told",
            f"{ERRORS}::test_a_refusal_says_code_message_status_and_remedy",
        ),
    ),
    19: Mode(
        "China: registry resolved as mcr.microsoft.cn",
        (
            f"{VALUES}::test_no_registry_is_derived_from_a_clouds_suffix",
            f"{HELM}::test_a_chinese_registry_that_is_not_there_is_told_with_the_way_to_name_the_documented_one",
        ),
    ),
    20: Mode(
        "private link and custom locations",
        (
            f"{PRECHECKS}::test_what_custom_locations_need_is_told_with_the_command",
            f"{VALUES}::test_a_private_link_forces_cluster_connect_and_custom_locations_off",
        ),
    ),
    21: Mode(
        "Permission denied on a kubectl that was downloaded",
        absent="No client is downloaded: we use the Kubernetes API; helm is the bundle's or the machine's.",
    ),
    22: Mode(
        "wrong location chosen",
        (
            f"{PRECHECKS}::test_a_location_that_is_not_offered_is_told_with_those_that_are",
            f"{ERRORS}::test_a_wrong_location_is_known_by_its_wording",
            "engine/test_arc_prechecks.py::test_a_region_that_isnt_offered",
        ),
    ),
    23: Mode(
        "expired certificate",
        (
            f"{CONFLICTS}::test_an_expired_identity_is_not_adopted",
            f"{LIFE}::test_an_expired_identity_is_refused_and_a_reconnect_under_the_same_name_works",
            f"{AGENTS}::test_after_90_days_nothing_is_taken_and_nothing_renewed",
        ),
    ),
    24: Mode(
        "a second connect removes what the first made",
        (f"{LIFE}::test_connecting_again_changes_nothing",),
    ),
    25: Mode(
        "switching Azure RBAC on crashes the client",
        (f"{LIFE}::test_features_are_changed_by_helm_alone_and_can_be_taken_back",),
    ),
    26: Mode(
        "Operation returned an invalid status 'OK'",
        (
            f"{ERRORS}::test_a_failed_operation_that_came_with_http_200_tells_its_error",
            f"{ERRORS}::test_a_failed_operation_without_an_error_tells_its_resources_statuses",
            f"{RESOURCES}::test_an_extension_whose_pods_do_not_run_is_told_with_where_to_look",
        ),
    ),
    27: Mode(
        "the resource alone installs no agents",
        (
            f"{FAULTS}::test_a_resource_that_somebody_made_alone_brings_no_agents_and_says_so",
            f"{CONFLICTS}::test_a_resource_that_waits_for_agents_gets_them",
            "emulator/test_sdk.py::test_resource_without_agents_can_be_onboarded_later",
        ),
    ),
    28: Mode(
        "PodSecurityPolicy in the policy add-on",
        absent="The policy add-on is Microsoft's: the emulator serves a stand-in without such objects.",
    ),
    29: Mode(
        "helm's warnings hide its error",
        (
            f"{HELM}::test_helms_warnings_do_not_hide_why_an_installation_failed",
            f"{HELM}::test_warnings_alone_are_no_failure",
            "emulator/test_agent_helm.py::test_an_error_is_helms_without_its_warnings",
        ),
    ),
    30: Mode(
        "a proxy inspects TLS: CERTIFICATE_VERIFY_FAILED on this machine",
        (
            f"{DOOR}::test_where_a_proxy_inspects_tls_everything_that_is_asked_says_to_name_its_ca",
            f"{HELM}::test_a_chart_that_cannot_be_pulled_is_told_after_five_tries",
            "arc/endpoints/test_judge.py::test_what_blocks_is_told_by_stage_with_its_remedy",
        ),
    ),
    31: Mode(
        "extension: the registry has no such version",
        (
            f"{RESOURCES}::test_a_version_that_the_registry_lacks_is_told_with_the_way_to_do_without",
            "emulator/test_agents_life.py::test_an_extension_version_that_does_not_exist_fails_as_its_chart_is_missing",
        ),
    ),
}


@cache
def functions(file: str) -> frozenset[str]:
    """Return a file's test functions, without importing it; none where there is no such file."""
    path = FOLDER / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        one.name for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")
    )


def test_no_mode_is_left_out() -> None:
    assert sorted(MODES) == list(range(1, COUNT + 1))
    assert len({one.symptom for one in MODES.values()}) == COUNT


@pytest.mark.parametrize("number", MODES)
def test_a_mode_is_produced_by_tests_or_cannot_arise(number: int) -> None:
    mode = MODES[number]
    assert bool(mode.tests) != bool(mode.absent), "either tests or a reason"
    assert not mode.absent or mode.absent.endswith("."), "a sentence"
    assert [one for one in mode.tests if one.partition("::")[2] not in functions(one.partition("::")[0])] == []


def test_a_test_that_there_is_not_is_missed() -> None:
    assert "test_no_mode_is_left_out" in functions("arc/test_failure_modes.py")
    assert "test_that_nobody_wrote" not in functions("arc/test_failure_modes.py")
    assert functions("arc/test_nothing.py") == frozenset()
