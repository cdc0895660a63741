"""Take over what stands in Azure Local: what az prints and parameter files say, as the project's own files. Pure.

`recognise` finds in each file the ARM resources that it describes, whatever its syntax; `networks`, `clusters`,
`services` and `instance` write them down by our keys, with the place that each value is from; `importing` checks
the result as `azlocal plan` would. The counterpart of `infra.export`. Shapes and traps: azure_parity.md §3.5.
"""
