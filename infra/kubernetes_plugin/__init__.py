"""The stand-in for Pulumi's kubernetes plugin, for machines that can't download it.

It serves the resources of the `pulumi_kubernetes` SDK against a real API server: any API object by
server-side apply, Helm releases by the `helm` binary. What it doesn't cover it refuses by name.
State is laid out as the official plugin lays it out, so that a stack can go on with either.
"""
