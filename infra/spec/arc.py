"""Azure Arc: which Azure a stack's clusters are connected to (`azlocal:arc`), and how each one is (`arc:`).

Names are those of the ARM resources (arc_facts.md §1.10, §4.1, §5) and of `az connectedk8s` (§1.8, §8).
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from infra.model.azure import CloudName
from infra.spec.arc_extensions import ExtensionSpec, KnownExtensions, SettingsMap
from infra.spec.findings import KeyPath
from infra.spec.forms import ARC_GATEWAY, GUID, HTTPS_URL, NAMESPACE, OBJECT_NAME, PRIVATE_LINK_SCOPE, Example
from infra.spec.types import Address, Boolean, Integer, Minutes, Model, Name

DEFAULT_ARC_TIMEOUT_MINUTES = 20  # what `az connectedk8s connect` allows Helm (§1.8)

Guid = Annotated[str, GUID]
Url = Annotated[str, HTTPS_URL]
Seconds = Annotated[Integer, Field(ge=1, le=9_223_372_036)]  # what Go, in which Flux is written, has as a duration
Tags = dict[str, str]


class AzureRbac(Model):
    """Azure roles decide in the cluster (§8.5)."""

    enabled: Boolean = Field(False, description="Install guard, the authentication and authorization webhook.")
    skip_authz_check: tuple[str, ...] = Field((), description="User names that Azure isn't asked about.")


class OidcIssuer(Model):
    """The cluster as an OpenID Connect issuer (§1.10)."""

    enabled: Boolean = Field(False, description="Switched off again, the cluster is connected again.")
    self_hosted_issuer_url: Url | None = Field(None, description="Your own issuer; absent: one that Azure hosts.")


class OidcIssuerProfile(Model):
    """Whether Azure publishes the keys of a cluster's service accounts (API-GA oidcIssuerProfile)."""

    enabled: Boolean = Field(
        False,
        description="The API server's tokens name the issuer that Azure publishes, so that Entra can check them. "
        "Can't be switched off again without connecting the cluster again.",
    )


class WorkloadIdentity(Model):
    """Pods as identities of Entra."""

    enabled: Boolean = Field(
        False,
        description="Needs the OIDC issuer. The mutating webhook isn't installed here: pods mount a token for "
        "api://AzureADTokenExchange and set AZURE_* variables themselves (docs/arc.md).",
    )


class SecurityProfile(Model):
    """What secures a cluster (API-GA securityProfile)."""

    workload_identity: WorkloadIdentity = Field(WorkloadIdentity.model_construct())


class CustomLocationsFeature(Model):
    """The feature that custom locations need in a cluster (§8.6)."""

    enabled: Boolean = Field(False, description="Needs clusterConnect, and excludes a private link scope.")
    oid: Guid | None = Field(
        None, description="Object id of the service principal of bc313c14-388c-4e7d-a58e-70017303ee3b."
    )


class CustomLocation(Model):
    """A custom location: a namespace of this cluster that Azure services deploy to."""

    name: Name = Field(description="Name of the Azure resource.")
    namespace: Name = Field(description="The namespace; one custom location each.")
    extensions: tuple[Name, ...] = Field(description="Names of the extensions whose services it offers.")
    display_name: str | None = Field(None, description="What the portal shows; absent: the name.")


class RepositoryRef(Model):
    """What of a Git repository is followed; one of these."""

    branch: str | None = Field(None)
    tag: str | None = Field(None)
    semver: str | None = Field(None)
    commit: str | None = Field(None)


class GitRepository(Model):
    """A Git repository as Flux's source."""

    url: str = Field(description="http(s):// or ssh:// address.")
    repository_ref: RepositoryRef = Field(RepositoryRef.model_construct(branch="main"))
    sync_interval_in_seconds: Seconds = Field(600)
    timeout_in_seconds: Seconds = Field(600)
    https_user: str | None = Field(None, description="Its key is a protected setting, httpsKey.")
    https_ca_file: str | None = Field(
        None, alias="httpsCAFile", description="PEM file of the authorities that the server's certificate needs."
    )
    ssh_known_hosts_file: str | None = Field(None, description="known_hosts of the server.")
    local_auth_ref: str | None = Field(None, description="A secret of the namespace with the credentials.")


class Kustomization(Model):
    """A folder of the source that Flux applies."""

    path: str = Field("", description="Folder; empty is the source's root.")
    depends_on: tuple[str, ...] = Field(())
    sync_interval_in_seconds: Seconds = Field(600)
    timeout_in_seconds: Seconds = Field(600)
    retry_interval_in_seconds: Seconds | None = Field(None)
    prune: Boolean = Field(True, description="Remove what the source no longer has, and all of it in the end.")
    force: Boolean = Field(False, description="Replace objects whose change Kubernetes refuses.")
    wait: Boolean = Field(True, description="Ready when what was applied is.")


class FluxConfiguration(Model):
    """GitOps: a repository that Flux keeps the cluster equal to (§5)."""

    name: Annotated[Name, OBJECT_NAME] = Field(
        json_schema_extra={"maxLength": 63}, description="With a kustomization's name, 62 characters at most."
    )
    namespace: Annotated[Name, NAMESPACE] = Field("default", description="Where Flux's objects are.")
    scope: Literal["cluster", "namespace"] = Field("cluster")
    suspend: Boolean = Field(False)
    git_repository: GitRepository
    kustomizations: dict[Annotated[Name, OBJECT_NAME], Kustomization] = Field(
        {"kustomization-1": Kustomization.model_construct()}
    )
    configuration_protected_settings: SettingsMap = Field(
        {},
        description="sshPrivateKey, httpsKey: the name of the secret `arc:<name>` in the stack's configuration.",
    )


class ClusterArc(Model):
    """How one cluster is connected to Azure Arc."""

    enabled: Boolean = Field(True, description="false: this cluster isn't connected.")
    name: Name | None = Field(None, description="Of the Azure resource; absent: <instance>-<cluster>.")
    location: Annotated[Name, Example("eastus")] | None = Field(
        None, description="Absent: the instance's. `azlocal arc move` writes it."
    )
    tags: Tags = Field({}, description="Beside the stack's.")
    distribution: Name = Field("generic", description="What kind of Kubernetes Azure shows.")
    infrastructure: Name = Field("azure_stack_hci", description="What Azure shows that it runs on.")
    azure_hybrid_benefit: Literal["True", "False", "NotApplicable"] = Field("NotApplicable")
    agent_auto_upgrade: Boolean = Field(True, description="Let Azure upgrade the agents; that is no drift.")
    release_train: Literal["stable", "preview"] = Field("stable")
    cluster_connect: Boolean = Field(
        True, description="Reach the API server through Azure; off over a private link."
    )
    azure_rbac: AzureRbac = Field(AzureRbac.model_construct())
    oidc_issuer: OidcIssuer = Field(OidcIssuer.model_construct())
    workload_identity: Boolean = Field(False, description="Needs the OIDC issuer.")
    custom_locations_feature: CustomLocationsFeature = Field(CustomLocationsFeature.model_construct())
    extensions: tuple[ExtensionSpec, ...] = Field((), description="Extensions as Azure's API has them.")
    known_extensions: KnownExtensions = Field(
        KnownExtensions.model_construct(), description="The usual ones, by what they are."
    )
    flux_configurations: tuple[FluxConfiguration, ...] = Field((), description="GitOps; installs Flux.")
    custom_locations: tuple[CustomLocation, ...] = Field(())
    timeout_minutes: Minutes = Field(
        DEFAULT_ARC_TIMEOUT_MINUTES, description="How long the agents, and then Azure, may take until Connected."
    )

    def written_extensions(self) -> Iterator[tuple[KeyPath, ExtensionSpec]]:
        """Return the extensions that are written, each with its place below `arc:`."""
        yield from ((("extensions", index), extension) for index, extension in enumerate(self.extensions))
        yield from ((("knownExtensions", key), extension) for key, extension in self.known_extensions.chosen())

    def files(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the files of this machine that are named, each with its place below `arc:`."""
        for index, configuration in enumerate(self.flux_configurations):
            git = configuration.git_repository
            for key, written in (
                ("httpsCAFile", git.https_ca_file),
                ("sshKnownHostsFile", git.ssh_known_hosts_file),
            ):
                if written is not None:
                    yield ("fluxConfigurations", index, "gitRepository", key), written

    def all_extensions(self) -> tuple[ExtensionSpec, ...]:
        """Return every extension once: the written ones, the usual ones, and Flux where GitOps needs it."""
        extensions = [extension for _, extension in self.written_extensions()]
        if self.flux_configurations and not any(extension.is_flux for extension in extensions):
            extensions.append(KnownExtensions.default_flux())
        return tuple(extensions)


class ArcSpec(Model):
    """Which Azure, and what holds for every cluster."""

    cloud: CloudName = Field(
        "AzureCloud",
        description="emulator: a stand-in for Azure on this machine, for labs without a subscription.",
    )
    subscription_id: Guid | None = Field(None, description="Not with the emulator, which has its own.")
    tenant_id: Guid | None = Field(None, description="Absent: the one of whoever is logged in.")
    resource_group: Name | None = Field(None, description="Made if need be; absent: the instance's name.")
    resource_manager: Url | None = Field(
        None, description="With cloud custom: where Azure Resource Manager answers."
    )
    ca_file: str | None = Field(None, description="PEM file of the authorities that this Azure's TLS needs.")
    emulator_address: Address | None = Field(
        None,
        description="With the emulator: this machine's address as the clusters reach it. Absent: the gateway of "
        "their network, which is here where the hosts are.",
    )
    register_providers: Boolean = Field(
        False, description="Register what the subscription lacks, instead of saying so."
    )
    proxy_ca_file: str | None = Field(
        None,
        description="PEM file of the authorities that the netplan's proxy, or a TLS inspection, signs with.",
    )
    private_link_scope: Annotated[str, PRIVATE_LINK_SCOPE] | None = Field(
        None, description="A Microsoft.HybridCompute/privateLinkScopes id."
    )
    gateway: Annotated[str, ARC_GATEWAY] | None = Field(None, description="A Microsoft.HybridCompute/gateways id.")
    tags: Tags = Field({}, description="On every Azure resource.")

    def files(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the files of this machine that are named, each with its place below `arc:`."""
        for key, written in (("caFile", self.ca_file), ("proxyCaFile", self.proxy_ca_file)):
            if written is not None:
                yield (key,), written
