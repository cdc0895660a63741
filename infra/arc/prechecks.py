"""All that has to hold before a cluster is connected, looked at before anything is made; every fault at once.

Nothing is changed, but for resource providers that a subscription lacks, where it is asked for.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from typing import Final

from infra.arc.azure import (
    EXTENDED_LOCATION,
    GATEWAY_VERSION,
    HYBRID_COMPUTE,
    KUBERNETES,
    KUBERNETES_CONFIGURATION,
    Azure,
)
from infra.arc.charts import check_version, minor_of, parse_chart
from infra.arc.cluster_checks import ClusterFacts, cluster_problems
from infra.arc.data_plane import REGISTRY_VARIABLE, DataPlane
from infra.arc.errors import ArcError, CredentialError
from infra.arc.model import Onboarding, Problem, Severity
from infra.counting import counted
from infra.kubernetes.api import ApiError, ClusterApi, ClusterUnreachable
from infra.model.azure_regions import short_location
from infra.model.work import Work

_REGISTERED: Final = ("Registered", "Registering")
_MANAGED: Final = ".azmk8s.io"
_OWN_ISSUER: Final = ("gke", "eks", "aks")
_LOCATIONS_APP: Final = "bc313c14-388c-4e7d-a58e-70017303ee3b"
_SKEW: Final = datetime.timedelta(minutes=5)
_SUPPORTED_BACK: Final = 2
_PRIVATE_LINK_VERSION: Final = "2024-07-10"


def find_problems(azure: Azure, wanted: Onboarding, cluster_api: ClusterApi | None, work: Work) -> list[Problem]:
    """Return every problem; see `infra.arc.onboarding.precheck`."""
    problems = [*_settings(wanted)]
    azure_side = list(_azure(azure, wanted, work))
    problems += azure_side
    if cluster_api is not None:
        now = None
        if not any(problem.rule in _NO_AZURE for problem in azure_side) and not azure.environment.is_emulator:
            now = azure.clock()
        problems += _cluster(cluster_api, wanted, now)
    return problems


_NO_AZURE: Final = ("credential", "subscription", "azure-unreachable")


def _settings(wanted: Onboarding) -> Iterator[Problem]:
    """Check what excludes or needs each other (facts §8)."""
    features = wanted.features
    locations = features.custom_locations
    if features.private_link_scope_id and locations.enabled:
        yield Problem(
            "private-link-custom-locations",
            "custom locations can't be used over a private link: they need cluster connect, which it forces off",
            "switch one of them off",
        )
    elif locations.enabled and not features.connects:
        yield Problem("custom-locations-connect", "custom locations need cluster connect", "switch it on")
    if locations.enabled and not locations.oid:
        yield Problem(
            "custom-locations-oid",
            "custom locations need the object id, in this tenant, of Azure's service principal for them",
            f"az ad sp show --id {_LOCATIONS_APP} --query id --output tsv, by somebody who may read applications",
        )
    if features.private_link_scope_id and features.gateway_id:
        yield Problem("private-link-gateway", "a private link and an Arc gateway exclude each other", "choose one")
    if features.gateway_id and wanted.environment.name not in ("AzureCloud", "emulator", "custom"):
        yield Problem("gateway-cloud", f"Arc gateways aren't offered in {wanted.environment.name}", "leave it out")
    issuer = features.oidc_issuer
    if features.workload_identity and not issuer.enabled:
        yield Problem("workload-identity-issuer", "workload identity needs the OIDC issuer", "switch it on, too")
    if issuer.enabled and not issuer.self_hosted_url and wanted.distribution in _OWN_ISSUER:
        yield Problem(
            "oidc-issuer",
            f"on {wanted.distribution} the OIDC issuer is the cluster's own",
            "name its URL (selfHostedIssuerUrl)",
        )
    if wanted.agent_version:
        try:
            check_version(wanted.agent_version, wanted.release_train)
        except ArcError as error:
            yield _problem(error)


def _azure(azure: Azure, wanted: Onboarding, work: Work) -> Iterator[Problem]:
    try:
        azure.credential.get_token(azure.environment.token_scope)
        subscription = azure.subscription()
    except CredentialError as error:
        yield Problem("credential", error.message, error.remedy)
        return
    except ArcError as error:
        rule = "subscription" if not error.rule.endswith(("unreachable", "untrusted")) else "azure-unreachable"
        yield Problem(rule, error.message, error.remedy)
        return
    if subscription.get("state") not in (None, "Enabled", "Warned"):
        yield Problem(
            "subscription",
            f"subscription {wanted.scope.subscription_id} is {subscription['state']}",
            "enable it again",
        )
    for check in (_providers, _location, _group, _private_link, _gateway, _clock, _data_plane):
        try:
            yield from check(azure, wanted, work)
        except ArcError as error:
            yield _problem(error)


def _providers(azure: Azure, wanted: Onboarding, work: Work) -> Iterator[Problem]:
    features = wanted.features
    needed: dict[str, Severity] = {
        KUBERNETES: "error",
        KUBERNETES_CONFIGURATION: "error" if features.workload_identity else "warning",
    }
    if features.gateway_id or features.private_link_scope_id:
        needed[HYBRID_COMPUTE] = "error"
    if features.custom_locations.enabled:
        needed[EXTENDED_LOCATION] = "error"
    needed |= dict.fromkeys(wanted.providers, "error")
    for namespace, severity in needed.items():
        state = azure.provider_state(namespace)
        if state in _REGISTERED:
            continue
        if wanted.register_providers:
            azure.register(namespace, work=work)
            continue
        yield Problem(
            "provider-not-registered",
            f"subscription {wanted.scope.subscription_id} hasn't registered {namespace} ({state or 'unknown'})",
            f"az provider register --namespace {namespace}, or let azlocal do it (registerProviders: true)",
            severity,
        )


def _location(azure: Azure, wanted: Onboarding, _: Work) -> Iterator[Problem]:
    offered = azure.locations(KUBERNETES, "connectedClusters")
    if offered and short_location(wanted.location) not in offered:
        yield Problem(
            "location",
            f"connected clusters aren't offered in {wanted.location!r}",
            f"choose one of {', '.join(sorted(offered))}",
        )


def _group(azure: Azure, wanted: Onboarding, _: Work) -> Iterator[Problem]:
    """Check that the resource group can be read, or made; one that isn't there is made."""
    group = azure.resource_group()
    state = str(((group or {}).get("properties") or {}).get("provisioningState") or "Succeeded")
    if state == "Deleting":
        yield Problem(
            "resource-group",
            f"resource group {wanted.scope.resource_group} is being deleted",
            "wait until it is gone",
        )


def _private_link(azure: Azure, wanted: Onboarding, _: Work) -> Iterator[Problem]:
    id = wanted.features.private_link_scope_id
    if not id:
        return
    scope = azure.get_resource(id, _PRIVATE_LINK_VERSION)
    if scope is None:
        yield Problem("private-link-scope", f"there is no private link scope {id}", "make it, or correct the id")
    elif short_location(str(scope.get("location"))) != short_location(wanted.location):
        yield Problem(
            "private-link-location",
            f"the private link scope is in {scope.get('location')}, the cluster is to be in {wanted.location}",
            "use a scope in the cluster's region",
        )


def _gateway(azure: Azure, wanted: Onboarding, _: Work) -> Iterator[Problem]:
    id = wanted.features.gateway_id
    if id and azure.get_resource(id, GATEWAY_VERSION) is None:
        yield Problem("gateway", f"there is no Arc gateway {id}", "make it, or correct the id")


def _clock(azure: Azure, _: Onboarding, __: Work) -> Iterator[Problem]:
    if azure.environment.is_emulator:
        return  # its clock can be advanced
    ahead = datetime.datetime.now(datetime.UTC) - azure.clock()
    if abs(ahead) > _SKEW:
        minutes = round(ahead.total_seconds() / 60)
        yield Problem(
            "clock",
            f"this machine's clock is {counted(abs(minutes), 'minute')} "
            f"{'ahead of' if minutes > 0 else 'behind'} Azure's",
            "let it keep time (NTP)",
        )


def _data_plane(azure: Azure, wanted: Onboarding, work: Work) -> Iterator[Problem]:
    if os.environ.get(REGISTRY_VARIABLE):
        return  # it isn't asked
    plane = DataPlane(azure.environment, short_location(wanted.location), azure.credential)
    plane.check_health(work)
    newest = minor_of(parse_chart(plane.latest_chart(wanted.release_train, work)).version)
    pinned = minor_of(wanted.agent_version or "")
    if newest and pinned and pinned < (newest[0], newest[1] - _SUPPORTED_BACK):
        yield Problem(
            "agents-version-old",
            f"agents {wanted.agent_version} are no longer supported: the newest are {newest[0]}.{newest[1]}, and "
            "only two minor versions before are, too",
            "write a newer agentVersion, or leave it out",
            "warning",
        )


def _cluster(api: ClusterApi, wanted: Onboarding, now: datetime.datetime | None) -> list[Problem]:
    if _MANAGED in api.server:
        return [Problem("aks", f"{api.server} is a cluster that Azure runs (AKS)", "leave it out")]
    try:
        return cluster_problems(cluster_facts(api, now), wanted)
    except ClusterUnreachable as error:
        return [Problem("cluster-unreachable", str(error), "check the kubeconfig and the way to the API server")]
    except ApiError as error:
        # Who may not even look is no administrator.
        return [Problem("cluster-admin", str(error), "use a kubeconfig of an administrator (cluster-admin)")]


def cluster_facts(api: ClusterApi, now: datetime.datetime | None) -> ClusterFacts:
    """Ask a cluster what there is to know of it before agents come.

    Raises:
        ClusterError: It refuses, or doesn't answer.
    """
    return ClusterFacts(
        version=str(api.get("/version")["gitVersion"]).removeprefix("v"),
        is_admin=_is_admin(api),
        nodes=api.items("/api/v1/nodes"),
        pods=api.items("/api/v1/pods"),
        leases=api.items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
        now=now,
    )


def _is_admin(api: ClusterApi) -> bool:
    attributes = {"verb": "create", "resource": "clusterrolebindings", "group": "rbac.authorization.k8s.io"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = json.loads(api.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review))
    return bool((answer.get("status") or {}).get("allowed"))


def _problem(error: ArcError) -> Problem:
    return Problem(error.rule, error.message, error.remedy)
