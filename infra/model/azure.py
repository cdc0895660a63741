"""What Azure calls things."""

from typing import Literal

CloudName = Literal["AzureCloud", "AzureUSGovernment", "AzureChinaCloud", "custom", "emulator"]
"""An Azure cloud by its name in Microsoft's tools, one described by its endpoints, or the emulator."""

CollectedData = Literal["logs", "metrics"]
"""What Azure Monitor collects of a cluster."""
