"""`azlocal rotate-keys`: another key for a cluster's Secrets, while it stands."""
