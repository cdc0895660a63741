"""The door to ARM, against the emulator: bodies, waits, throttling, cancellation, refusals, secrets."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport

from infra.arc.azure import EXTENDED_LOCATION, KUBERNETES, Azure
from infra.arc.bodies import cluster_body, patch_body
from infra.arc.credentials import credential_for
from infra.arc.data_plane import DataPlane
from infra.arc.environment import environment_of
from infra.arc.errors import ArcError, ArmError, CredentialError, NotInTime
from infra.arc.keys import make_key_pair
from infra.arc.model import AzureRbac, AzureScope, Features, OidcIssuer
from infra.arc.transport import applied
from infra.errors import Interrupted
from infra.model.azure_regions import short_location
from infra.model.work import Work
from tests.arc.living import Lab
from tests.waiting import waits_less_than

pytestmark = pytest.mark.engine

KEY = make_key_pair().public
CANARY = "canary-77aa"
GUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def azure(emulated_lab: Lab) -> Iterator[Azure]:
    with emulated_lab.azure() as found:
        found.ensure_resource_group("eastus", {})
        yield found


@pytest.fixture(autouse=True)
def sound(emulated_lab: Lab) -> Iterator[None]:
    yield
    emulated_lab.admin("DELETE", "faults")
    emulated_lab.said.clear()


@pytest.fixture
def waits(emulated_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for Azure, each of which passed at once, by the emulator's clock."""
    seen: list[float] = []

    def wait(work: Work, seconds: float, doing: str) -> None:
        work.check(doing)
        seen.append(seconds)
        emulated_lab.admin("POST", "clock", {"advanceSeconds": seconds})

    monkeypatch.setattr(Work, "wait", wait)
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _, seconds: seen.append(seconds))  # azure-identity's
    return seen


at_once = pytest.mark.usefixtures("waits")


def put(azure: Azure, lab: Lab, name: str, **more: Any) -> dict[str, Any]:
    return azure.put_cluster(name, cluster_body(lab.wanted(name=name, **more), KEY), work=lab.work())


@at_once
def test_a_cluster_is_made_read_changed_listed_and_deleted(azure: Azure, emulated_lab: Lab) -> None:
    assert azure.get_cluster("a") is None
    made = put(azure, emulated_lab, "a")
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["properties"]["agentPublicKeyCertificate"] == KEY
    changed = emulated_lab.wanted(name="a", tags={"team": "x"}, azure_hybrid_benefit="True")
    assert azure.patch_cluster("a", patch_body(changed), work=emulated_lab.work())["tags"] == {"team": "x"}
    azure.delete_cluster("a", work=emulated_lab.work())
    assert azure.get_cluster("a") is None
    azure.delete_cluster("a", work=emulated_lab.work())  # nothing there is fine


@at_once
def test_every_feature_is_a_request_that_azures_published_shapes_allow(azure: Azure, emulated_lab: Lab) -> None:
    link = f"{azure.scope.group_id}/providers/Microsoft.HybridCompute/privateLinkScopes/s"
    azure.put_resource(link, "2024-07-10", {"location": "eastus"}, work=emulated_lab.work())
    features = Features(
        private_link_scope_id=link,
        oidc_issuer=OidcIssuer(True, "https://issuer"),
        workload_identity=True,
        azure_rbac=AzureRbac(True),
    )
    made = put(azure, emulated_lab, "full", features=features, auto_upgrade=False, agent_version="1.36.1")
    assert made["properties"]["privateLinkState"] == "Enabled"
    azure.delete_cluster("full", work=emulated_lab.work())


def test_a_request_that_azure_would_not_take_is_refused_by_name(azure: Azure, emulated_lab: Lab) -> None:
    body = cluster_body(emulated_lab.wanted(name="odd"), KEY)
    body["properties"]["infrastructure"] = 7
    with pytest.raises(ArmError, match="infrastructure") as caught:
        azure.put_cluster("odd", body, work=emulated_lab.work())
    assert caught.value.status == 400


def test_a_missing_resource_group_is_no_cluster_and_a_missing_subscription_no_place_for_one(
    emulated_lab: Lab,
) -> None:
    credential, environment = credential_for(emulated_lab.environment), emulated_lab.environment
    elsewhere = dataclasses.replace(emulated_lab.scope, resource_group="nowhere")
    with Azure(environment, elsewhere, credential) as azure:
        assert azure.get_cluster("a") is None
        assert azure.resource_group() is None
        with pytest.raises(ArmError, match="ResourceGroupNotFound"):
            put(azure, emulated_lab, "a")
        stranger = AzureScope("00000000-0000-0000-0000-000000000000", "rg")
        assert azure.get_cluster("a", scope=stranger) is None, "an emulator's subscription goes with its store"
    with (
        Azure(environment, stranger, credential) as azure,
        pytest.raises(ArmError, match="SubscriptionNotFound") as caught,
    ):
        azure.subscription()
    assert "tenant" in caught.value.remedy


def test_throttling_is_waited_out_as_azure_says(azure: Azure, emulated_lab: Lab, waits: list[float]) -> None:
    emulated_lab.fault(kind="throttle", method="GET", path="resourcegroups/", retryAfter=7, count=2)
    assert azure.resource_group() is not None
    assert waits == [7, 7]


@at_once
def test_a_server_that_is_busy_for_a_moment_is_asked_again(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="status", statusCode=503, code="ServerBusy", path="resourcegroups/", count=2)
    assert azure.resource_group() is not None


@at_once
def test_a_server_that_stays_busy_is_told(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="throttle", path="connectedClusters/busy", retryAfter=0)
    with pytest.raises(ArmError, match="TooManyRequests") as caught:
        azure.get_cluster("busy")
    assert "throttles" in caught.value.remedy


def test_an_operation_under_way_is_waited_for(azure: Azure, emulated_lab: Lab) -> None:
    busy = {"kind": "status", "method": "PUT", "statusCode": 409, "code": "AnotherOperationInProgress"}
    emulated_lab.fault(**busy, path="connectedClusters/c", count=2)
    assert put(azure, emulated_lab, "c")
    assert any("waiting for another operation" in one for one in emulated_lab.said)
    emulated_lab.fault(**busy, path="connectedClusters/c")
    with pytest.raises(ArmError, match="AnotherOperationInProgress") as caught:
        azure.put_cluster("c", cluster_body(emulated_lab.wanted(name="c"), KEY), work=emulated_lab.work(1))
    assert "run again" in caught.value.remedy


@at_once
def test_a_failed_operation_is_told_with_its_error(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="failOperation", code="QuotaExceeded", message="no more clusters", count=1)
    with pytest.raises(ArmError, match="QuotaExceeded: no more clusters"):
        put(azure, emulated_lab, "failed")


def test_a_slow_operation_ends_at_the_deadline_and_says_what_took_long(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="slowOperation", seconds=60)
    body = cluster_body(emulated_lab.wanted(name="slow"), KEY)
    with waits_less_than(60), pytest.raises(NotInTime, match="making connected cluster slow"):
        azure.put_cluster("slow", body, work=emulated_lab.work(1.5))
    assert any("making connected cluster slow" in one for one in emulated_lab.said)


def test_a_wait_can_be_stopped(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="slowOperation", seconds=60)
    cancelled = threading.Event()
    threading.Timer(0.7, cancelled.set).start()
    begun = time.monotonic()
    with waits_less_than(60), pytest.raises(Interrupted):
        azure.put_cluster(
            "stopped",
            cluster_body(emulated_lab.wanted(name="stopped"), KEY),
            Work(begun + 60, cancelled, emulated_lab.said.append),
        )


def test_throttling_can_be_stopped_too(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="throttle", method="PUT", retryAfter=60)
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    begun = time.monotonic()
    with waits_less_than(60), pytest.raises(Interrupted):
        azure.put_cluster("x", {"location": "eastus"}, Work(begun + 60, cancelled, print))


@at_once
def test_providers_are_registered_only_when_asked(azure: Azure, emulated_lab: Lab) -> None:
    unregister(azure, EXTENDED_LOCATION)
    assert azure.provider_state(EXTENDED_LOCATION) in ("NotRegistered", "Unregistered")
    azure.register(EXTENDED_LOCATION, work=emulated_lab.work())
    assert azure.provider_state(EXTENDED_LOCATION) == "Registered"


@at_once
def test_a_put_never_registers_a_provider_by_itself(azure: Azure, emulated_lab: Lab) -> None:
    unregister(azure, KUBERNETES)
    try:
        with pytest.raises(ArmError) as caught:
            put(azure, emulated_lab, "unregistered")
        assert "az provider register" in caught.value.remedy
        assert azure.provider_state(KUBERNETES) in ("NotRegistered", "Unregistered")
    finally:
        azure.register(KUBERNETES, work=emulated_lab.work())


def unregister(azure: Azure, namespace: str) -> None:
    azure._resources.providers.unregister(namespace)


def test_locations_are_arms_short_names(azure: Azure) -> None:
    found = azure.locations(KUBERNETES, "connectedClusters")
    assert "eastus" in found
    assert short_location("East US 2") == "eastus2"


@at_once
def test_the_data_plane_tells_chart_and_values(azure: Azure, emulated_lab: Lab) -> None:
    plane = DataPlane(azure.environment, "eastus", azure.credential)
    plane.check_health(Work())
    made = put(azure, emulated_lab, "plane")
    settings = plane.settings(made, "stable", Work())
    assert settings.chart.endswith("/azure-arc-k8sagents:1.36.1")
    assert settings.values["global.resourceName"] == "plane"
    assert plane.latest_chart("stable", Work()) == settings.chart
    azure.delete_cluster("plane", work=emulated_lab.work())


def test_an_older_data_plane_only_tells_the_chart(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="status", statusCode=404, code="NotFound", path="GetHelmSettings", count=1)
    settings = DataPlane(azure.environment, "eastus", azure.credential).settings({"id": "x"}, "stable", Work())
    assert settings.values == {}
    assert "azure-arc-k8sagents" in settings.chart


def test_a_blocked_data_plane_is_named_with_its_remedy(azure: Azure) -> None:
    blocked = azure.environment.model_copy(update={"config_endpoint": "https://127.0.0.1:1"})
    with pytest.raises(ArcError, match=r"https://127\.0\.0\.1:1") as caught:
        DataPlane(blocked, "eastus", azure.credential).check_health(Work())
    assert caught.value.rule == "data-plane-unreachable"
    assert "azlocal arc check" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "", ("azlocal arc check", "HTTPS_PROXY", "HELMREGISTRY=")),
        (401, "AuthenticationFailed", ("clock", "HELMREGISTRY=")),
    ],
    ids=["a filter's page", "the service itself"],
)
def test_a_data_plane_that_refuses_is_told_with_the_way_to_do_without(
    azure: Azure, emulated_lab: Lab, status: int, code: str, words: tuple[str, ...]
) -> None:
    emulated_lab.fault(kind="status", statusCode=status, code=code, path="GetLatestHelmPackagePath", count=1)
    with pytest.raises(ArmError, match=f"GetLatestHelmPackagePath.*HTTP {status}") as caught:
        DataPlane(azure.environment, "eastus", azure.credential).latest_chart("stable", Work())
    assert all(word in caught.value.remedy for word in words)


@at_once
def test_where_a_proxy_inspects_tls_everything_that_is_asked_says_to_name_its_ca(
    azure: Azure, emulated_lab: Lab
) -> None:
    """The emulator's certificate is one that nobody vouches for, as an inspecting proxy's is."""
    environment = azure.environment.model_copy(update={"ca_file": None, "name": "custom"})
    with Azure(environment, emulated_lab.scope, azure.credential) as inspected, pytest.raises(ArcError) as arm:
        inspected.get_cluster("a")
    with pytest.raises(ArcError) as plane:
        DataPlane(environment, "eastus", azure.credential).check_health(Work())
    given = {f"AZURE_{name}": GUID for name in ("CLIENT_SECRET", "CLIENT_ID", "TENANT_ID")}
    with pytest.raises(ArcError) as entra:
        credential_for(environment, None, given).get_token(environment.token_scope)
    with pytest.raises(ArcError) as metadata:
        environment_of("custom", resource_manager=environment.resource_manager)
    for caught in (arm, plane, entra, metadata):
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.message
        assert "inspects TLS" in caught.value.remedy
        assert "CA" in caught.value.remedy
        assert "REQUESTS_CA_BUNDLE" in caught.value.remedy
    assert [one.value.rule for one in (arm, entra)] == ["azure-untrusted", "entra-untrusted"]


def test_a_credential_that_expired_in_between_is_told(emulated_lab: Lab) -> None:
    class Gone:
        def get_token(self, *_: str, **__: Any) -> Any:
            raise CredentialError("credential-refused", "no token", "log in", "AADSTS50173")

    with (
        Azure(emulated_lab.environment, emulated_lab.scope, Gone()) as azure,
        pytest.raises(CredentialError, match="no token"),
    ):
        azure.get_cluster("a")


def test_protected_settings_and_tokens_are_in_no_message_and_no_log(
    azure: Azure, emulated_lab: Lab, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "extensionType": "microsoft.flux",
            "configurationProtectedSettings": {"key": CANARY},
            "autoUpgradeMinorVersion": 7,
        },
    }
    with pytest.raises(ArmError) as refused:
        azure.put_extension("none", "x", body, work=emulated_lab.work())
    token = azure.credential.get_token(azure.environment.token_scope).token
    secret = emulated_lab.client["clientSecret"]
    out = capfd.readouterr()
    everything = f"{refused.value}{caplog.text}{out.out}{out.err}{emulated_lab.said}"
    for canary in (CANARY, token, secret):
        assert canary not in everything


def test_time_is_azures(azure: Azure, emulated_lab: Lab) -> None:
    before = azure.clock()
    emulated_lab.admin("POST", "clock", {"advanceSeconds": 86400})
    assert 86390 < (azure.clock() - before).total_seconds() < 86500


def test_reading_while_connecting_can_be_stopped_too(azure: Azure, emulated_lab: Lab) -> None:
    emulated_lab.fault(kind="throttle", method="GET", path="resourcegroups/", retryAfter=60)
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    begun = time.monotonic()
    with waits_less_than(60), applied(Work(begun + 60, cancelled)), pytest.raises(Interrupted):
        azure.resource_group()
