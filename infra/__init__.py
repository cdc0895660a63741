"""azlocal: an Azure Local instance and its AKS clusters on plain KVM machines."""

__version__ = "0.1.0"
"""The version of pyproject.toml: reading it from the installed package's metadata takes each plugin 40 ms."""
