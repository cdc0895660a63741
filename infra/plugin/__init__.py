"""Serves any Pulumi plugin: the protocol, its operations and values; knows no resource."""
