"""Pulumi components, one a file: what the preview shows as a tree. They declare, and decide nothing."""
