"""Azure Arc: connect a cluster, see how it is, change it, disconnect it. Knows neither the engine nor specs."""
