"""What people wrote, as frozen models: one file of code per input file. Imports nothing of ours."""

from infra.spec.findings import Finding, Severity, SpecError
from infra.spec.loader import InstanceSpec, Sources, load_instance
from infra.spec.ssh_keys import read_public_keys

__all__ = [
    "Finding",
    "InstanceSpec",
    "Severity",
    "Sources",
    "SpecError",
    "load_instance",
    "read_public_keys",
]
