"""Pools as the upstream cluster-autoscaler sees them: its cloud provider `externalgrpc`, served by azlocal.

The upstream image decides then; azlocal only makes pools larger and smaller, by the runs that `azlocal up` makes.
"""
