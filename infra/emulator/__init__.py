"""A stand-in for Azure, where there is no subscription: the SDKs, the az CLI and Helm talk to it unmodified.

One process with one SQLite file: Entra's token endpoint, Azure Resource Manager, the Arc data plane, an OCI
registry with the agents' chart, and what the agents in a cluster talk to. `daemon` starts and stops it; it holds
no secret of a real subscription, and says on every answer what it is (`x-ms-azlocal-emulator: 1`).
"""
