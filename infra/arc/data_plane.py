"""Arc's configuration data plane, as far as whoever connects a cluster asks it (facts §1.6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from infra.arc.arm_errors import mapped
from infra.arc.environment import AzureEnvironment
from infra.arc.errors import ArcError, ArmError
from infra.arc.transport import applied, pipeline, transport
from infra.model.work import Work

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

REGISTRY_VARIABLE: Final = "HELMREGISTRY"
"""Names the agents' chart as Azure's own client has it, for machines that the data plane can't be reached from."""

_AGENTS: Final = "azure-arc-k8sagents"
_LATEST_VERSION: Final = "2019-11-01-preview"
_VERSION: Final = "2024-07-01-preview"
_SECONDS: Final = 120.0
_WITHOUT: Final = f"{REGISTRY_VARIABLE}=REGISTRY/…/azure-arc-k8sagents:VERSION does without it"
_REMEDY: Final = (
    "let this machine reach it (`azlocal arc check` names all endpoints), or set HTTPS_PROXY and, where a proxy "
    f"inspects TLS, REQUESTS_CA_BUNDLE; {_WITHOUT}"
)


@dataclass(frozen=True)
class HelmSettings:
    """What the agents' release is to be.

    Attributes:
        chart: Repository and version, as the data plane writes them.
        values: Flat keys with dots; all values are strings.
    """

    chart: str
    values: Mapping[str, str]


class DataPlane:
    """The data plane of one region."""

    def __init__(self, environment: AzureEnvironment, location: str, credential: TokenCredential) -> None:
        self.url = environment.config_url(location)
        self._environment = environment
        self._authentication = BearerTokenCredentialPolicy(credential, environment.data_plane_token_scope)

    def check_health(self, work: Work) -> None:
        """Ask whether it is well.

        Raises:
            ArcError: It isn't, or doesn't answer, or doesn't take our token.
        """
        self._post("healthCheck", {"api-version": _VERSION}, None, work)

    def settings(self, cluster: Mapping[str, Any], train: str, work: Work) -> HelmSettings:
        """Return chart and values for a cluster.

        Args:
            cluster: As ARM shows it, with placeholders for what is protected.
            train: Of releases.
            work: Until when, and who may stop it.
        """
        query = {"api-version": _VERSION, "releaseTrain": train}
        try:
            answer = self._post("GetHelmSettings", query, cluster, work)
        except ArmError as error:
            if error.status != 404:
                raise
            answer = {}  # older ones only tell the chart
        values = answer.get("helmValuesContent") or {}
        chart = str(answer.get("repositoryPath") or "") or self.latest_chart(train, work)
        return HelmSettings(chart, {key: str(value) for key, value in values.items()})

    def latest_chart(self, train: str, work: Work) -> str:
        """Return the newest chart of agents; needs no token."""
        query = {"api-version": _LATEST_VERSION, "releaseTrain": train}
        answer = self._post("GetLatestHelmPackagePath", query, None, work, is_anonymous=True)
        chart = str(answer.get("repositoryPath") or "")
        if not chart:
            raise ArcError("data-plane", f"{self.url} names no chart of agents for the release train {train!r}")
        return chart

    def _post(
        self,
        call: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        work: Work,
        *,
        is_anonymous: bool = False,
    ) -> Mapping[str, Any]:
        doing = f"asking Arc's data plane {self.url} for {call}"
        policies = pipeline(None if is_anonymous else self._authentication)
        way = transport(self._environment.ca_file)
        client: PipelineClient[Any, Any] = PipelineClient(self.url, policies=policies, transport=way)
        content = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = HttpRequest(
            "POST", f"{self.url}/{_AGENTS}/{call}", params=dict(query), headers=headers, content=content
        )
        try:
            with client, applied(work.within(_SECONDS)):
                # None of the three calls changes anything, so each may be repeated.
                answer = client.send_request(request, retry_on_methods=["POST"])
                answer.raise_for_status()
                text = answer.text()
        except HttpResponseError as error:
            raise _refused(mapped(error, doing), doing) from error
        except AzureError as error:
            raise ArcError("data-plane-unreachable", mapped(error, doing).message, _REMEDY) from error
        try:
            parsed = json.loads(text) if text else {}
        except ValueError as error:
            raise ArcError("data-plane", f"{doing}: the answer isn't JSON; is a proxy in between?") from error
        return parsed if isinstance(parsed, Mapping) else {}


def _refused(error: ArcError, doing: str) -> ArcError:
    """Return a refusal with the way around it: who filters traffic refuses with pages of its own."""
    if not isinstance(error, ArmError):
        return error
    remedy = f"{error.remedy}; {_WITHOUT}" if error.code and error.remedy else _REMEDY
    return ArmError(doing, error.code, error.said, error.status, remedy)
