"""The management clients behind `azure.py`: made once, called one way, every failure mapped, every wait bounded.

Bodies are handed over as bytes and read from the answers' text, so that nothing which a client's generated models
don't know is lost on the way.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.core.polling.arm_polling import ARMPolling

from infra.arc.arm_errors import is_missing, mapped
from infra.arc.environment import AzureEnvironment
from infra.arc.errors import ArcError, ArmError
from infra.arc.model import AzureScope
from infra.arc.transport import applied, current, pipeline, transport
from infra.model.work import Work

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.polling import LROPoller
    from azure.mgmt.extendedlocation import CustomLocations
    from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient
    from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
    from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
        KubernetesConfigurationFluxConfigurationsMgmtClient,
    )
    from azure.mgmt.resource.resources import ResourceManagementClient

Body = dict[str, Any]

_POLL_SECONDS: Final = 5.0
_EMULATOR_POLL_SECONDS: Final = 0.3
_REQUEST_SECONDS: Final = 180.0
_BUSY: Final = "AnotherOperationInProgress"
_ANYTHING: Final = "/metadata/endpoints?api-version=2022-09-01"  # needs no right


class Arm:
    """ARM, as one identity sees one resource group."""

    def __init__(self, environment: AzureEnvironment, scope: AzureScope, credential: TokenCredential) -> None:
        self.environment = environment
        self.scope = scope
        self.credential = credential

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections; the next call makes new ones."""
        for name in ("_clusters", "_extensions", "_flux", "_locations", "_resources"):
            client = self.__dict__.pop(name, None)
            if client is not None:
                client.close()

    @cached_property
    def _clusters(self) -> ConnectedKubernetesClient:
        from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient

        return ConnectedKubernetesClient(self.credential, self.scope.subscription_id, **self._settings())

    @cached_property
    def _extensions(self) -> KubernetesConfigurationExtensionsMgmtClient:
        from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient

        client = KubernetesConfigurationExtensionsMgmtClient
        return client(self.credential, self.scope.subscription_id, **self._settings())

    @cached_property
    def _flux(self) -> KubernetesConfigurationFluxConfigurationsMgmtClient:
        from azure.mgmt.kubernetesconfiguration import fluxconfigurations

        client = fluxconfigurations.KubernetesConfigurationFluxConfigurationsMgmtClient
        return client(self.credential, self.scope.subscription_id, **self._settings())

    @cached_property
    def _locations(self) -> CustomLocations:
        from azure.mgmt.extendedlocation import CustomLocations

        return CustomLocations(self.credential, self.scope.subscription_id, **self._settings())

    @cached_property
    def _resources(self) -> ResourceManagementClient:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(self.credential, self.scope.subscription_id, **self._settings())

    def _settings(self) -> Any:
        authentication = ARMChallengeAuthenticationPolicy(self.credential, self.environment.token_scope)
        return {
            "base_url": self.environment.resource_manager,
            "credential_scopes": [self.environment.token_scope],
            "policies": pipeline(authentication),
            "transport": transport(self.environment.ca_file),
        }

    def _call(self, doing: str, request: Callable[[], Any], work: Work | None = None) -> Any:
        try:
            with applied(work or current(_REQUEST_SECONDS)):
                return request()
        except AzureError as error:
            raise mapped(error, doing) from error

    def _maybe(self, doing: str, request: Callable[[], Any]) -> Body | None:
        """Return a resource, None where Azure says that there is none."""
        try:
            with applied(current(_REQUEST_SECONDS)):
                body: Body = request()
        except AzureError as error:
            if self._is_missing(error):
                return None
            raise mapped(error, doing) from error
        return body

    def _is_missing(self, error: AzureError) -> bool:
        return is_missing(error, is_emulator=self.environment.is_emulator)

    def _put(
        self,
        doing: str,
        begin: Callable[..., LROPoller[Any]],
        arguments: tuple[Any, ...],
        work: Work,
        again: Callable[[], Body | None] = lambda: None,
        **more: Any,
    ) -> Body:
        """Start an operation and wait for its resource; `again` reads the resource where the operation failed."""

        def operate() -> Body:
            polling = self._polling(doing, work)
            body: Body = begin(*arguments, cls=parsed, polling=polling, **more).result()
            return body

        return self._in_turn(doing, operate, work, again)

    def _delete(
        self,
        doing: str,
        begin: Callable[..., LROPoller[None]],
        arguments: tuple[Any, ...],
        work: Work,
        params: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Delete and wait until it is done; nothing there is fine."""

        def operate() -> Body:
            polling = self._polling(doing, work)
            try:
                begin(*arguments, polling=polling, params=dict(params or {}), **more).result()
            except AzureError as error:
                if not self._is_missing(error):
                    raise
            return {}

        self._in_turn(doing, operate, work)

    def _in_turn(
        self,
        doing: str,
        operate: Callable[[], Body],
        work: Work,
        again: Callable[[], Body | None] = lambda: None,
    ) -> Body:
        """Run an operation once the one before it is done: an interrupted run's still goes on in Azure."""
        while True:
            try:
                with applied(work):
                    return operate()
            except AzureError as error:
                failure = mapped(error, doing, _after(error, again))
                is_busy = isinstance(failure, ArmError) and failure.code == _BUSY
                if not is_busy or work.remaining <= self.pause:
                    raise failure from error
            work.status(f"{doing}: waiting for another operation on it to end")
            work.wait(self.pause, doing)

    def _get(self, path: str, api_version: str, doing: str) -> Body:
        """Read what no client package covers."""
        return self._read(f"{self.environment.resource_manager}{path}?api-version={api_version}", doing)

    def clock(self) -> datetime.datetime:
        """Return Azure's time: the emulator's can be advanced, and a machine's may be wrong."""
        url = f"{self.environment.resource_manager}{_ANYTHING}"

        def request() -> Any:
            return self._resources.send_request(HttpRequest("GET", url)).headers.get("Date")

        date = self._call("asking Azure for the time", request)
        return parsedate_to_datetime(date) if date else datetime.datetime.now(datetime.UTC)

    def _list(self, path: str, api_version: str) -> list[Body]:
        """Return a list's items, of all its pages."""
        items: list[Body] = []
        link: str | None = f"{self.environment.resource_manager}{path}?api-version={api_version}"
        while link:
            page = self._read(link, f"listing {path}")
            items += page.get("value") or []
            link = page.get("nextLink")
        return items

    def _read(self, url: str, doing: str) -> Body:
        def request() -> Any:
            answer = self._resources.send_request(HttpRequest("GET", url))
            answer.raise_for_status()
            return answer.json()

        body: Body = self._call(doing, request)
        return body

    @property
    def pause(self) -> float:
        """Return the seconds between two looks at something that Azure does."""
        return _EMULATOR_POLL_SECONDS if self.environment.is_emulator else _POLL_SECONDS

    def _polling(self, doing: str, work: Work) -> _Polling:
        return _Polling(doing, work, self.pause)


class _Polling(ARMPolling):
    """ARM's way of waiting for an operation, within a deadline and saying how it is."""

    def __init__(self, doing: str, work: Work, seconds: float) -> None:
        super().__init__(seconds)  # where Azure doesn't say Retry-After
        self._doing, self._work = doing, work

    def run(self) -> None:
        """Poll until the end; the client calls it in a thread of its own."""
        with applied(self._work):
            super().run()

    def update_status(self) -> None:
        """Poll once."""
        self._work.check(self._doing)
        super().update_status()
        self._work.status(f"{self._doing}: {self.status()}")


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a request's body."""
    return json.dumps(body).encode()


def parsed(response: Any, *_: Any) -> Any:
    """Return an answer's JSON as it came; the clients' `cls` argument."""
    text = response.http_response.text()
    return json.loads(text) if text else None


def _after(error: AzureError, again: Callable[[], Body | None]) -> Body | None:
    """Return the resource after its operation failed; a request that was refused changed nothing."""
    if not isinstance(error, HttpResponseError) or (error.status_code or 0) >= 400:
        return None
    try:
        return again()
    except ArcError:
        return None  # it only explains the failure that is being reported
