"""What workload identity asks of a cluster: pods that Entra knows by the tokens of their service accounts."""

from collections.abc import Iterator

from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath
from infra.spec.stack import ClusterSpec

_ISSUER: KeyPath = ("oidcIssuerProfile", "enabled")
_WORKLOADS: KeyPath = ("securityProfile", "workloadIdentity", "enabled")


@rule("workload-identity-without-arc", source="arc_facts §1.10")
def workload_identity_without_arc(facts: Facts) -> Iterator[Fault]:
    """Azure publishes the issuer of a connected cluster."""
    for path, cluster in facts.clusters:
        if (why := _unconnected(facts, cluster)) is not None:
            what, remedy = why
            for key in _switched_on(cluster):
                message = f"{'.'.join(map(str, key))} of cluster {cluster.name} is true, and {what}"
                yield Fault("stack", (*path, key[0]), message, f"{remedy}; or remove {key[0]}")


@rule("workload-identity-without-issuer", source="arc_facts §1.10")
def workload_identity_without_issuer(facts: Facts) -> Iterator[Fault]:
    """Entra takes the tokens of a cluster whose issuer is published."""
    for path, cluster in facts.clusters:
        is_on = cluster.security_profile.workload_identity.enabled and _unconnected(facts, cluster) is None
        if is_on and not cluster.oidc_issuer_profile.enabled:
            message = (
                f"securityProfile.workloadIdentity of cluster {cluster.name} needs the OIDC issuer, which is off"
            )
            yield Fault("stack", (*path, _WORKLOADS[0]), message, "set oidcIssuerProfile.enabled: true")


@rule("issuer-published-twice", source="azlocal")
def issuer_published_twice(facts: Facts) -> Iterator[Fault]:
    """The issuer that the API server names is either Azure's or the user's own."""
    for path, cluster in facts.clusters:
        own = cluster.arc.oidc_issuer.self_hosted_issuer_url
        if cluster.oidc_issuer_profile.enabled and own is not None:
            message = (
                f"oidcIssuerProfile of cluster {cluster.name} asks for an issuer of Azure's, and {own} is named"
            )
            remedy = "remove arc.oidcIssuer.selfHostedIssuerUrl; or oidcIssuerProfile, and set the flags yourself"
            yield Fault("stack", (*path, "arc", "oidcIssuer", "selfHostedIssuerUrl"), message, remedy)


def _switched_on(cluster: ClusterSpec) -> Iterator[KeyPath]:
    if cluster.oidc_issuer_profile.enabled:
        yield _ISSUER
    if cluster.security_profile.workload_identity.enabled:
        yield _WORKLOADS


def _unconnected(facts: Facts, cluster: ClusterSpec) -> tuple[str, str] | None:
    """Return why a cluster isn't connected to Azure Arc, and what to do; None where it is."""
    if facts.spec.stack.arc is None:
        return "the stack isn't connected to Azure", "add azlocal:arc"
    if not cluster.arc.enabled:
        return "arc.enabled is false", "set arc.enabled: true"
    if cluster.provisioning != "kubernetes":
        return f"provisioning {cluster.provisioning} makes no cluster", "set provisioning: kubernetes"
    return None
