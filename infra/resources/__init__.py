"""The typed contract of each resource kind, one file a kind; `provider/kinds/` has their other half."""
