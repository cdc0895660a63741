"""targets/<site>.yaml: the Azure Local instance that a site's plans are carried over to. The Azure team's file.

It has what the other files don't: Azure's ids and names. None of it is a secret; passwords are given to whoever
deploys. `azlocal export` reads it, and nothing else does. Sources: azure_parity.md §3.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.spec.arc import Guid, Tags
from infra.spec.forms import CLUSTER_NAME, RESOURCE_GROUP, STORAGE_ACCOUNT, Example, Form
from infra.spec.kubernetes_versions import KUBERNETES_VERSION
from infra.spec.ssh_keys import check_public_key
from infra.spec.types import Boolean, Integer, Model, Name, Prefix
from infra.spec.vm_sizes import AZURE_SIZES

_GUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_EXAMPLE_ID = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers"

_GROUP = Form(RESOURCE_GROUP.pattern, RESOURCE_GROUP.words, RESOURCE_GROUP.example)
_CUSTOM_LOCATION = Form(
    rf"/subscriptions/{_GUID}/resource[Gg]roups/[-\w().]+"
    r"/providers/Microsoft\.ExtendedLocation/custom[Ll]ocations/[a-zA-Z0-9][-_a-zA-Z0-9]{0,62}",
    "the id of a custom location",
    f"{_EXAMPLE_ID}/Microsoft.ExtendedLocation/customLocations/site-1",
)
_LOGICAL_NETWORK = Form(
    rf"/subscriptions/{_GUID}/resource[Gg]roups/[-\w().]+"
    r"/providers/Microsoft\.AzureStackHCI/logical[Nn]etworks/[-._a-zA-Z0-9]{2,64}",
    "the id of a logical network",
    f"{_EXAMPLE_ID}/Microsoft.AzureStackHCI/logicalNetworks/aks",
)
_KEY_VAULT = Form(
    "[a-zA-Z](-?[a-zA-Z0-9]){2,23}",
    "the name of a key vault: 3-24 letters, digits and single inner hyphens, a letter first",
    "kv-site-1",
)
_CLUSTER_NAME = Form(
    "[a-zA-Z][-a-zA-Z0-9]{1,22}[a-zA-Z0-9]",
    "the name of an Azure Local instance: 3-24 letters, digits and inner hyphens, a letter first",
    "site-1",
)
_RESOURCE_NAME = Form(
    "[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?",
    "the name of a connected cluster: 1-63 letters, digits, inner hyphens and underscores",
    "site-1-a",
)
_CLUSTER_KEY = Form(
    f"([A-Za-z0-9][A-Za-z0-9._-]{{0,62}}/)?({CLUSTER_NAME.pattern})",
    "a cluster's name, or <stack>/<cluster>",
    "lab/cluster-a",
)
_NAMING_PREFIX = Form(
    "[a-zA-Z0-9-]{1,8}", "a prefix of the instance's objects: 1-8 letters, digits and hyphens", "site1"
)
_DOMAIN = Form(
    r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)+",
    "the name of an Active Directory domain",
    "ad.example.com",
)
_TEXT = Form(r"\S(.*\S)?", "a text without spaces at its ends", "site-1", is_generic=True)
_AZURE_SIZE = Form(
    "|".join(map(re.escape, AZURE_SIZES)),
    "a VM size of Azure Local",
    "Standard_A4_v2",
    advise=lambda text: f"write one of: {', '.join(AZURE_SIZES)}",
)

_Text = Annotated[str, Field(max_length=256), _TEXT]
_Key = Annotated[str, AfterValidator(check_public_key), Example("~/.ssh/id_ed25519.pub")]


class Switch(Model):
    """Whether a driver is installed (API-GA storageProfile)."""

    enabled: Boolean = Field(True)


class StorageProfile(Model):
    """The CSI drivers that AKS installs beside its own disks; both, unless told otherwise."""

    smb_csi_driver: Switch = Field(Switch.model_construct(), description="Shares by SMB.")
    nfs_csi_driver: Switch = Field(Switch.model_construct(), description="Shares by NFS.")


class ClusterTarget(Model):
    """What Azure is told of one cluster beside the stack's file."""

    name: Annotated[str, _RESOURCE_NAME] | None = Field(
        None, description="Its name in Azure; absent: arc.name, or <stack>-<cluster>."
    )
    kubernetes_version: Annotated[str, KUBERNETES_VERSION] | None = Field(
        None, description="Instead of the cluster's own and of the target's."
    )
    ssh_public_key: _Key | None = Field(None, description="Instead of the target's.")
    storage_profile: StorageProfile = Field(StorageProfile.model_construct())
    authorized_ip_ranges: tuple[Prefix, ...] = Field(
        (), alias="authorizedIPRanges", description="Who may reach the nodes by SSH; empty: everybody."
    )
    tags: Tags = Field({}, description="Beside the target's.")


class SshKeyVault(Model):
    """A key vault that AVM's modules keep a key pair for SSH in, which they make if need be."""

    name: Annotated[str, _KEY_VAULT]
    subscription_id: Guid | None = Field(None, description="Absent: the target's.")
    resource_group: Annotated[str, _GROUP] | None = Field(None, description="Absent: the target's.")


class NetworkIntent(Model):
    """What some of the hosts' adapters carry (Network ATC)."""

    name: _Text = Field(description="The switch of one that carries Compute is ConvergedSwitch(<name>).")
    traffic_types: Annotated[
        tuple[Literal["Management", "Compute", "Storage"], ...], Field(min_length=1, max_length=3)
    ]
    adapters: Annotated[tuple[_Text, ...], Field(min_length=1)] = Field(
        description="Adapters' names on each host."
    )


class StorageNetwork(Model):
    """A network between the hosts' storage adapters."""

    name: _Text
    adapter: _Text = Field(description="The adapter's name on each host.")
    vlan: Annotated[Integer, Field(ge=0, le=4094)]


class InstanceTarget(Model):
    """The Azure Local instance itself, for its deployment (`--to arm`), which asks for the passwords."""

    cluster_name: Annotated[str, _CLUSTER_NAME]
    naming_prefix: Annotated[str, _NAMING_PREFIX] | None = Field(None, description="Absent: the template's own.")
    key_vault_name: Annotated[str, _KEY_VAULT] = Field(description="Where the deployment keeps its secrets.")
    diagnostic_storage_account_name: Annotated[str, STORAGE_ACCOUNT] = Field(
        description="For the vault's audit log."
    )
    witness_storage_account_name: Annotated[str, STORAGE_ACCOUNT] | None = Field(
        None, description="Named: a cloud witness, which two hosts need."
    )
    resource_provider_object_id: Guid = Field(
        description="Object id of the service principal of the provider Microsoft.AzureStackHCI in your tenant."
    )
    domain_fqdn: Annotated[str, _DOMAIN] | None = Field(None, description="Absent: an instance without a domain.")
    adou_path: _Text | None = Field(None, description="The organizational unit made for the instance.")
    local_admin_user_name: _Text
    deployment_user_name: _Text = Field(description="The deployment's (LCM) user.")
    networking_pattern: Literal[
        "hyperConverged", "convergedManagementCompute", "convergedComputeStorage", "custom"
    ] = Field("hyperConverged")
    network_intents: Annotated[tuple[NetworkIntent, ...], Field(min_length=1)]
    storage_networks: tuple[StorageNetwork, ...] = Field(())
    storage_connectivity_switchless: Boolean = Field(
        False, description="Hosts' storage adapters are cabled directly."
    )


class Target(Model):
    """All of targets/<site>.yaml."""

    subscription_id: Guid | None = Field(None, description="Absent: the one of azlocal:arc.")
    tenant_id: Guid | None = Field(None, description="Absent: the one of azlocal:arc.")
    resource_group: Annotated[str, _GROUP] | None = Field(None, description="Absent: the one of azlocal:arc.")
    custom_location_resource_id: Annotated[str, _CUSTOM_LOCATION] | None = Field(
        None, description="The instance's custom location, which its deployment made."
    )
    vm_switch_name: _Text | None = Field(
        None, description="ConvergedSwitch(<intent>); vmSwitchName of a logical network wins."
    )
    logical_networks: dict[Name, Annotated[str, _LOGICAL_NETWORK]] = Field(
        {}, description="Networks of the netplan that stand in Azure already, and their ids: they aren't exported."
    )
    ssh_public_key: _Key | None = Field(
        None,
        description="The one key that logs in to nodes, or its file; absent: the stack's, if it has one only.",
    )
    ssh_key_vault: SshKeyVault | None = Field(None, description="Instead of a key.")
    admin_group_object_ids: tuple[Guid, ...] = Field(
        (), alias="adminGroupObjectIDs", description="Entra groups that administer the clusters."
    )
    k8s_runtime_fpa_object_id: Guid | None = Field(
        None,
        alias="k8sRuntimeFpaObjectId",
        description="Object id of the service principal of 087fca6e-4606-4d41-b3f6-5ebdf75b8b4c, for MetalLB.",
    )
    kubernetes_version: Annotated[str, KUBERNETES_VERSION] | None = Field(
        None, description="Instead of the clusters' own."
    )
    vm_sizes: dict[Name, Annotated[str, _AZURE_SIZE]] = Field(
        {}, description="What Azure has in place of the site's own sizes: Lab_Small: Standard_A4_v2."
    )
    tags: Tags = Field({}, description="On every resource that is exported.")
    clusters: dict[Annotated[str, _CLUSTER_KEY], ClusterTarget] = Field(
        {}, description="By the clusters' names; where stacks share the site, <stack>/<cluster>."
    )
    instance: InstanceTarget | None = Field(None, description="The instance itself, for its deployment.")
