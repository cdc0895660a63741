"""Carry a plan over to Azure Local: parameter files, scripts and designs for Azure's own tools. Pure.

`wanted` decides what Azure is asked for, `refused` and `left_out` say what doesn't carry, and each format writes
it down.
Shapes and traps of every format: azure_parity.md §3.
"""
