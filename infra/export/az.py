"""A script for the az CLI: logical networks, clusters, pools, and what is installed on them.

Commands and options: azure_parity.md §3.3. Every value is quoted, and a secret is a variable of whoever runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from infra.export.above import LOAD_BALANCER, Secret
from infra.export.left_out import FIRST_POOL
from infra.export.output import MADE_BY, Export, command
from infra.export.wanted import Wanted, WantedCluster, WantedNetwork, WantedPool
from infra.spec.arc import FluxConfiguration, Kustomization
from infra.spec.arc_extensions import ExtensionSpec

SCRIPT: Final = "azlocal.sh"
_HYBRID_BENEFIT: Final = "True"
_NEXT_LINE: Final = " \\\n    "
Words = list[str]


class Variable(str):
    """A word that the shell fills in, already quoted as it has to be."""


def to_az(wanted: Wanted, gateway: str | None) -> Export:
    """Return the script, the keys that it names, and how it is run.

    Args:
        wanted: What Azure is asked for.
        gateway: The ARM id of an Arc gateway.
    """
    files = {
        f"cluster-{cluster.key}.pub": f"{cluster.ssh_key}\n" for cluster in wanted.clusters if cluster.ssh_key
    }
    script = "\n".join(_script(wanted, gateway)) + "\n"
    steps = tuple(f"bash {SCRIPT} {part}" for part in ("networks", "validate", "clusters"))
    return Export({SCRIPT: script, **files}, steps)


def _script(wanted: Wanted, gateway: str | None) -> Iterator[str]:
    yield "#!/usr/bin/env bash"
    yield f"# {MADE_BY}"
    yield f"# Usage: bash {SCRIPT} networks | validate | clusters"
    yield "# networks: makes the logical networks. validate: has Azure check each cluster, and makes nothing."
    yield "# clusters: makes the clusters, their pools, and what is installed on them."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "${BASH_SOURCE[0]}")"'
    yield ""
    yield from _function("networks", (_network(wanted, network) for network in wanted.networks if network.is_made))
    for number, cluster in enumerate(wanted.clusters):
        yield from _function(f"cluster_{number}", [[*_cluster(wanted, cluster, gateway), Variable('"$@"')]])
        yield from _function(f"above_{number}", _above(wanted, cluster))
    numbers = range(len(wanted.clusters))
    yield from _function("validate", ([f"cluster_{number}", "--validate"] for number in numbers))
    yield from _function("clusters", ([f"{part}_{number}"] for number in numbers for part in ("cluster", "above")))
    yield 'case "${1:-}" in'
    yield 'networks | validate | clusters) "$1" ;;'
    yield "*)"
    yield f"  echo 'usage: bash {SCRIPT} networks | validate | clusters' >&2"
    yield "  exit 2"
    yield "  ;;"
    yield "esac"


def _function(name: str, commands: Iterable[Words]) -> Iterator[str]:
    """Yield a function of the shell, each option of a command on a line of its own."""
    yield f"{name}() {{"
    lines = ["  " + _command(words) for words in commands]
    yield from lines or ["  :"]
    yield "}"
    yield ""


def _command(words: Words) -> str:
    text = ""
    for word in words:
        gap = _NEXT_LINE if word.startswith("--") else " "
        text += f"{gap * bool(text)}{word if isinstance(word, Variable) else command([word])}"
    return text


def _place(wanted: Wanted) -> Words:
    return ["--subscription", wanted.subscription_id, "--resource-group", wanted.resource_group]


def _network(wanted: Wanted, network: WantedNetwork) -> Words:
    written = network.network
    servers = [str(server) for server in written.dns_servers]
    words = ["az", "stack-hci-vm", "network", "lnet", "create", *_place(wanted), "--name", network.name]
    words += ["--location", wanted.location, "--custom-location", wanted.custom_location]
    words += ["--vm-switch-name", network.switch, "--ip-allocation-method", "Static"]
    words += ["--address-prefixes", str(written.address_prefix.network), "--gateway", str(written.gateway)]
    words += ["--dns-servers", *servers] if servers else ["--no-dns-servers", "true"]
    if len(network.pools) == 1:
        (pool,) = network.pools
        words += [
            "--ip-pool-start",
            pool["start"],
            "--ip-pool-end",
            pool["end"],
            "--ip-pool-type",
            pool["ipPoolType"],
        ]
    elif network.pools:
        pools = [
            {"start": pool["start"], "end": pool["end"], "ip_pool_type": pool["ipPoolType"]}
            for pool in network.pools
        ]
        words += ["--ip-pools", json.dumps(pools)]
    words += ["--vlan", str(written.vlan)] if written.vlan else []
    return words + _pairs("--tags", network.tags)


def _cluster(wanted: Wanted, cluster: WantedCluster, gateway: str | None) -> Words:
    arc, plane, first = cluster.spec.arc, cluster.spec.control_plane, _first(cluster)
    words = ["az", "aksarc", "create", *_place(wanted), "--name", cluster.name, "--location", wanted.location]
    words += ["--custom-location", wanted.custom_location, "--vnet-ids", cluster.network.id]
    words += ["--kubernetes-version", cluster.version, "--load-balancer-count", "0"]
    words += ["--control-plane-count", str(plane.count), "--control-plane-vm-size", cluster.plane_size]
    words += ["--control-plane-ip", cluster.host_ip] if cluster.host_ip is not None else []
    words += ["--pod-cidr", str(cluster.spec.network_profile.pod_cidr.network)]
    words += ["--ssh-key-value", f"./cluster-{cluster.key}.pub"] if cluster.ssh_key else ["--generate-ssh-keys"]
    words += ["--ssh-authorized-ip-ranges", ",".join(cluster.ssh_from)] if cluster.ssh_from else []
    words += _pool(first, "--nodepool-labels", "--nodepool-taints")
    profile = cluster.spec.auto_scaler_profile
    settings = profile.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if any(pool.pool.enable_auto_scaling for pool in cluster.pools):
        words += _pairs("--cluster-autoscaler-profile", settings)
    aad = cluster.aad or {"adminGroupObjectIDs": [], "enableAzureRBAC": False}
    words += (
        ["--aad-admin-group-object-ids", ",".join(aad["adminGroupObjectIDs"])]
        if aad["adminGroupObjectIDs"]
        else []
    )
    switches = {
        "--enable-azure-rbac": aad["enableAzureRBAC"],
        "--enable-ahub": arc.azure_hybrid_benefit == _HYBRID_BENEFIT,
        "--disable-nfs-driver": not cluster.has_nfs,
        "--disable-smb-driver": not cluster.has_smb,
        "--enable-oidc-issuer": cluster.spec.is_issuer,
        "--enable-workload-identity": cluster.spec.has_workload_identity,
    }
    words += [option for option, is_on in switches.items() if is_on]
    words += ["--gateway-id", gateway] if gateway is not None else []
    return words + _pairs("--tags", cluster.tags)


def _first(cluster: WantedCluster) -> WantedPool:
    """Return the pool that is made with a cluster: the one of az's name for it, else the first in the file."""
    return next((pool for pool in cluster.pools if pool.pool.name == FIRST_POOL), cluster.pools[0])


def _pool(wanted: WantedPool, labels: str, taints: str) -> Words:
    pool = wanted.pool
    words = ["--node-count", str(pool.count), "--node-vm-size", wanted.size, "--max-pods", str(pool.max_pods)]
    words += _pairs(labels, pool.node_labels)
    words += [taints, ",".join(pool.node_taints)] if pool.node_taints else []
    if pool.enable_auto_scaling:
        words += ["--enable-cluster-autoscaler", "--min-count", str(wanted.least), "--max-count", str(wanted.most)]
    return words


def _above(wanted: Wanted, cluster: WantedCluster) -> Iterator[Words]:
    first = _first(cluster)
    for pool in cluster.pools:
        if pool is not first:
            add = ["az", "aksarc", "nodepool", "add", *_place(wanted), "--cluster-name", cluster.name]
            kind = ["--name", pool.pool.name, "--os-type", pool.pool.os_type, "--os-sku", pool.os_sku]
            yield [*add, *kind, *_pool(pool, "--labels", "--node-taints")]
    own = ["--cluster-type", "connectedClusters", "--cluster-name", cluster.name, *_place(wanted)]
    for spec in cluster.above.specs:
        yield _extension(spec, own)
    if cluster.above.addresses:
        balancer = ["az", "k8s-runtime", "load-balancer"]
        if not any(spec.is_load_balancer for spec in cluster.above.specs):
            yield [*balancer, "enable", "--resource-uri", cluster.id]
        create = [*balancer, "create", "--resource-uri", cluster.id, "--load-balancer-name", LOAD_BALANCER]
        yield [*create, "--addresses", json.dumps(cluster.above.addresses), "--advertise-mode", "ARP"]
    for flux in cluster.above.configurations:
        yield _flux(flux, own)


def _extension(spec: ExtensionSpec, own: Words) -> Words:
    words = ["az", "k8s-extension", "create", *own, "--name", spec.name, "--extension-type", spec.extension_type]
    words += ["--release-train", spec.release_train]
    if spec.version is not None:
        words += ["--auto-upgrade-minor-version", "false", "--version", spec.version]
    scope = spec.scope
    if scope.namespace is not None:
        words += ["--scope", "namespace", "--target-namespace", scope.namespace.target_namespace]
    elif scope.cluster is not None and scope.cluster.release_namespace is not None:
        words += ["--scope", "cluster", "--release-namespace", scope.cluster.release_namespace]
    for key, value in spec.configuration_settings.items():
        words += ["--configuration-settings", f"{key}={value}"]
    for key, name in spec.configuration_protected_settings.items():
        words += ["--configuration-protected-settings", Variable(command([f"{key}="]) + _filled(Secret(name)))]
    return words


_FLUX_SECRETS: Final = {"sshPrivateKey": "--ssh-private-key", "httpsKey": "--https-key"}
_IN_BASE64: Final = frozenset({"sshPrivateKey"})


def _flux(flux: FluxConfiguration, own: Words) -> Words:
    git = flux.git_repository
    words = ["az", "k8s-configuration", "flux", "create", *own, "--name", flux.name, "--namespace", flux.namespace]
    words += ["--scope", flux.scope, "--kind", "git", "--url", git.url]
    words += ["--interval", f"{git.sync_interval_in_seconds}s", "--timeout", f"{git.timeout_in_seconds}s"]
    reference = git.repository_ref
    for option, value in {
        "--branch": reference.branch,
        "--tag": reference.tag,
        "--semver": reference.semver,
        "--commit": reference.commit,
        "--https-user": git.https_user,
        "--local-auth-ref": git.local_auth_ref,
    }.items():
        words += [option, value] if value is not None else []
    words += ["--suspend"] if flux.suspend else []
    for key, name in flux.configuration_protected_settings.items():
        if key in _FLUX_SECRETS:
            words += [_FLUX_SECRETS[key], Variable(_filled(Secret(name), in_base64=key in _IN_BASE64))]
    for name, step in flux.kustomizations.items():
        words += ["--kustomization", *_kustomization(name, step)]
    return words


def _kustomization(name: str, step: Kustomization) -> Words:
    values = {
        "name": name,
        "path": step.path,
        "depends_on": ",".join(step.depends_on),
        "sync_interval": f"{step.sync_interval_in_seconds}s",
        "timeout": f"{step.timeout_in_seconds}s",
        "retry_interval": f"{step.retry_interval_in_seconds}s"
        if step.retry_interval_in_seconds is not None
        else "",
        "prune": "true" if step.prune else "false",
        "force": "true" if step.force else "false",
        "disable_health_check": "false" if step.wait else "true",
    }
    return [f"{key}={value}" for key, value in values.items() if value]


def _filled(secret: Secret, *, in_base64: bool = False) -> str:
    """Return a variable's value for the shell; it stops, and says which is missing, where it is empty."""
    variable = f"${{{secret}:?is empty: the value of a protected setting}}"
    return f'"$(printf %s "{variable}" | base64 -w0)"' if in_base64 else f'"{variable}"'


def _pairs(option: str, values: Mapping[str, str]) -> Words:
    """Return an option with `key=value` for each value; nothing where there are none."""
    return [option, *(f"{key}={value}" for key, value in values.items())] if values else []
