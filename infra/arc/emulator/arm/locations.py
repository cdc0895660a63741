"""Azure's regions as the emulator knows them, by both of their names."""

from __future__ import annotations

from typing import Final

# Where connected clusters can be, by short name (arc_facts.md §1.2; dated, as every such list is).
DISPLAY_NAMES: Final = {
    "australiaeast": "Australia East",
    "australiasoutheast": "Australia Southeast",
    "canadacentral": "Canada Central",
    "centralindia": "Central India",
    "centralus": "Central US",
    "eastasia": "East Asia",
    "eastus": "East US",
    "eastus2": "East US 2",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "japaneast": "Japan East",
    "japanwest": "Japan West",
    "koreacentral": "Korea Central",
    "northcentralus": "North Central US",
    "northeurope": "North Europe",
    "norwayeast": "Norway East",
    "southafricanorth": "South Africa North",
    "southcentralus": "South Central US",
    "southeastasia": "Southeast Asia",
    "southindia": "South India",
    "switzerlandnorth": "Switzerland North",
    "uksouth": "UK South",
    "ukwest": "UK West",
    "westcentralus": "West Central US",
    "westeurope": "West Europe",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
}
# Regions of Azure in which nothing of Arc is: a resource group can be there, a cluster can't.
WITHOUT_ARC: Final = {"brazilsouth": "Brazil South", "uaenorth": "UAE North"}


def normalised(location: str) -> str:
    """Return a region's short name, as Azure compares them: `East US` is `eastus`."""
    return location.replace(" ", "").lower()
