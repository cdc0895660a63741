"""Adopting an instance whose state was lost: a new state is written from what stands, and nothing is replaced.

What only the state knew is had again: the hosts are told again which state has the instance, and a cluster's
authorities and keys are read from one of its control planes. Everything else of azlocal's carries a mark, by which
an `up` knows it again (infra/kvm/ownership.py); Helm and the API server know their objects by their own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.kvm.claim import Claim, who_is_here
from infra.login_keys import identity_files
from infra.model.run import PoolSizes, RunSettings
from infra.provider.standing import Standing
from infra.resources.cluster_identity import CLUSTER_IDENTITY
from infra.resources.host import HOST
from infra.stack.messages import confirmed, say
from infra.stack.pool_sizes import sizes_of
from infra.stack.settle import owners_of, resources_of
from infra.stack.standing import StandingHost, differences, look, nodes_of, read_cluster, topology_of

if TYPE_CHECKING:
    from infra.stack.state import Stack

_TOKENS = (CLUSTER_IDENTITY.token, HOST.token)


@dataclass(frozen=True)
class Adoption:
    """What is to be adopted.

    Attributes:
        hosts: on which something of the instance stands.
        standing: what the kinds are told of it.
        kubeconfigs: an administrator's, of each cluster that runs.
        drops_state: there is a state, and nothing that it has stands anywhere.
        pool_sizes: how many nodes pools with autoscaling have.
    """

    hosts: Sequence[StandingHost]
    standing: Standing
    kubeconfigs: Sequence[str]
    drops_state: bool
    pool_sizes: PoolSizes


def find(stack: Stack) -> Adoption:
    """Look at an instance's hosts and control planes; nothing is changed.

    Raises:
        UserError: nothing stands; the state isn't lost; what stands isn't what the files describe; or a cluster's
            keys can't be read. The message says what to do.
    """
    from infra.guest import API_PORT
    from infra.kubernetes.pki import administrator_kubeconfig
    from infra.spec import load_instance

    spec = load_instance(stack.name, stack.directory)
    topology = topology_of(spec)
    hosts = look(topology, stack.name)
    if not hosts:
        raise UserError(f"nothing of {stack.name} stands on its hosts, so there is nothing to adopt: `make up`")
    state = _begun(stack)
    owner = state.owner(hosts)
    known = state.clusters if owner in state.owners else frozenset()
    machines = [machine for host in hosts for machine in host.machines]
    pool_sizes = sizes_of(spec, {machine.name for machine in machines}, {})
    topology = topology_of(spec.at(RunSettings(pool_sizes=pool_sizes)))
    differing = list(differences(topology, machines))
    if differing:
        raise UserError(
            "what stands isn't what the files describe, so an `up` would remove it or make it twice:\n"
            + "\n".join(f"  - {difference}" for difference in differing)
            + f"\nBring Pulumi.{stack.name}.yaml, hosts/ and netplans/, with their .lock.yaml files, to what they "
            "were when it was made; after the adoption they can be changed again. Nothing was touched"
        )
    keys, clusters, kubeconfigs, with_nodes = identity_files(spec), {}, [], set()
    for cluster in topology.clusters:
        nodes = nodes_of(cluster, topology.instance, machines)
        id = CLUSTER_IDENTITY.id_of({"instance": topology.instance, "cluster": cluster.name})
        if cluster.provisioning != "kubernetes" or not nodes:
            continue
        with_nodes.add(id)
        if id in known:
            continue
        say(f"reading the keys of cluster {cluster.name} from its control plane")
        clusters[id] = read_cluster(cluster.name, nodes, keys)
        server = f"https://{cluster.endpoint}:{API_PORT}"
        kubeconfigs.append(administrator_kubeconfig(cluster.name, server, clusters[id].pki.ca))
    standing = Standing(owner, clusters, frozenset(with_nodes))
    drops_state = stack.exists() and owner not in state.owners
    return Adoption(hosts, standing, kubeconfigs, drops_state, pool_sizes)


def confirm(stack: Stack, adoption: Adoption, *, yes: bool) -> None:
    """Tell what will be adopted, and have the user say that it is meant.

    Raises:
        UserError: it isn't, or nobody can be asked.
    """
    for host in adoption.hosts:
        listed = ", ".join(machine.name for machine in host.machines) or "no machine"
        say(f"{host.name}: {listed}; made by the state of {host.claim.made_by}")
    say("from now on this state has them; one that had them before, if it is still there, is refused by the hosts")
    confirmed(stack.name, "adopt it", yes=yes)


def take(stack: Stack, adoption: Adoption) -> None:
    """Tell the hosts whose the instance is now, and Helm that its releases are to be reinstalled.

    Raises:
        UserError: a host or a cluster can't be told; the same command goes on from there.
    """
    from infra.components.add_ons import RELEASES
    from infra.kubernetes.api import ClusterApi
    from infra.kubernetes.helm import forget_release
    from infra.ssh import root_shell

    if adoption.drops_state:
        stack.forget()
    for kubeconfig in adoption.kubeconfigs:
        api = ClusterApi(kubeconfig)
        for name, namespace in RELEASES.items():
            forget_release(api, namespace, name)
    claim = Claim(adoption.standing.owner, stack.name, stack.name, who_is_here())
    for host in adoption.hosts:
        with closing(root_shell(host.connection)) as shell:
            claim.renew(shell, host.directory)


@dataclass(frozen=True)
class _State:
    """What a state has that is there already: of an `up` that hosts refused, or of an adoption that was killed.

    Attributes:
        stack: its stack's name.
        owners: the ids that hosts may know it by.
        clusters: ids of the clusters whose keys it has.
        has_hosts: whether it has hosts.
    """

    stack: str
    owners: frozenset[str]
    clusters: frozenset[str]
    has_hosts: bool

    def owner(self, hosts: Iterable[StandingHost]) -> str:
        """Return the id by which hosts will know it.

        Raises:
            UserError: it has hosts, and isn't that of what stands.
        """
        claimed = self.owners & {host.claim.id for host in hosts}
        if claimed:
            return min(claimed)
        if self.has_hosts:
            raise UserError(
                f"the state of {self.stack} has hosts, and isn't that of what stands on the others: only a state "
                "without any can adopt. If what it has may go, `make down` takes that away; then adopt"
            )
        return str(uuid.uuid4())


def _begun(stack: Stack) -> _State:
    resources = resources_of(stack.deployment()) if stack.exists() else []
    by_type = {token: [resource for resource in resources if resource["type"] == token] for token in _TOKENS}
    clusters = frozenset(str(resource.get("id")) for resource in by_type[CLUSTER_IDENTITY.token])
    return _State(stack.name, owners_of(resources), clusters, bool(by_type[HOST.token]))
