"""Acts on a cluster through its API: waits, explains, collects logs. Knows nothing of the engine."""
