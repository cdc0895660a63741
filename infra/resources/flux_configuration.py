"""A Flux configuration: a repository that Azure has Flux keep a cluster equal to (arc_facts.md §5)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import REPLACE, UPDATE, Contract, Secret
from infra.resources.on_cluster import OnCluster


class RepositoryRef(Model):
    """What of the repository is followed."""

    branch: str | None = None
    tag: str | None = None
    semver: str | None = None
    commit: str | None = None


class GitRepository(Model):
    """The repository."""

    url: str
    repository_ref: RepositoryRef = Field(default_factory=RepositoryRef)
    sync_interval_in_seconds: int = 600
    timeout_in_seconds: int = 600
    https_user: str | None = None
    https_ca_cert: str | None = Field(default=None, description="Base64 of the PEM", alias="httpsCACert")
    ssh_known_hosts: str | None = Field(default=None, description="Base64 of known_hosts")
    local_auth_ref: str | None = None


class Kustomization(Model):
    """A folder of it that is applied."""

    path: str = ""
    depends_on: list[str] = Field(default_factory=list)
    sync_interval_in_seconds: int = 600
    timeout_in_seconds: int = 600
    retry_interval_in_seconds: int | None = None
    prune: bool = True
    force: bool = False
    wait: bool = True


class FluxConfigurationInputs(OnCluster):
    """What the program says of a Flux configuration."""

    namespace: Annotated[str, REPLACE] = "default"
    scope: Annotated[Literal["cluster", "namespace"], REPLACE] = "cluster"
    suspend: Annotated[bool, UPDATE] = False
    git_repository: Annotated[GitRepository, UPDATE]
    kustomizations: Annotated[dict[str, Kustomization], UPDATE] = Field(default_factory=dict)
    configuration_protected_settings: Annotated[dict[str, str], UPDATE, Secret()] = Field(
        default_factory=dict, description="Base64 values; sent in full on each update, never given back"
    )


class FluxConfigurationState(FluxConfigurationInputs):
    """The configuration as it stands."""

    provisioning_state: str
    compliance_state: str | None = Field(default=None, description="Compliant, Non-Compliant, Pending, Suspended")
    source_synced_commit_id: str | None = Field(default=None, description="What the cluster has")
    problems: list[str] = Field(default_factory=list, description="What Flux says is wrong")


FLUX_CONFIGURATION = Contract(
    "azlocal:index:FluxConfiguration",
    FluxConfigurationInputs,
    FluxConfigurationState,
    "A Flux configuration of a connected cluster.",
    "{clusterId}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/{name}",
)
